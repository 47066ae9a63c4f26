"""Removing folders: all that is in them, and nothing beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from glacier_sync import removal
from glacier_sync.removal import remove_tree


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_everything_in_a_folder_goes_and_nothing_that_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(removal, "_FOLDERS_AT_ONCE", at_once)
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    for place in (kept, *(folder / name for name in ("a/b/c", "a/d", "e", "f"))):
        place.mkdir(parents=True)
        (place / "file").touch()
    (folder / "a" / "link").symlink_to(kept)
    (folder / "link to a file").symlink_to(kept / "file")
    remove_tree(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept"]


def test_what_a_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to("kept")
    with pytest.raises(NotADirectoryError, match="is a link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept" / "file").exists()


def test_a_folder_that_isnt_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "nowhere")
