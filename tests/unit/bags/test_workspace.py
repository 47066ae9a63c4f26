"""The folder where works are unpacked, and their way out of it: what is somebody else's stays."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder

from glacier_sync import bags
from glacier_sync.bags.disk import rename_to_new
from glacier_sync.bags.workspace import workspace

TWO = BagBuilder(name="Bag", payload={"W1/images/1": b"1", "W2/images/2": b"22"})


def unpacked(path: Path, to: Path) -> Path:
    """Return the folder that a zip is unpacked in, as a killed run leaves it."""
    with workspace(to, path) as space:
        return space.content.parent


def journal(folder: Path, *names: str, of: Path) -> None:
    status = of.stat()
    lines = [f"{status.st_dev}:{status.st_ino} {name}" for name in names]
    (folder / "journal").write_text("\0".join(lines))


@pytest.mark.parametrize(
    "somebody",
    [
        lambda work: work.mkdir(),
        lambda work: (work.mkdir(), (work / "precious.txt").touch()),
        lambda work: work.touch(),
        lambda work: work.symlink_to("nowhere"),
    ],
    ids=["empty folder", "folder", "file", "link"],
)
def test_what_appears_meanwhile_is_left_alone(tmp_path: Path, somebody: Callable[[Path], object]) -> None:
    to = tmp_path / "to"

    def progress(done: int, total: int) -> None:
        if done == total:
            somebody(to / "W2")

    with pytest.raises(bags.WorkExistsError, match=re.escape(f"{to / 'W2'} exists already: expected nothing there")):
        bags.unbag(TWO.zip(tmp_path), to, workers=1, progress=progress)
    (left,) = to.iterdir()
    assert left.name == "W2"
    assert not left.is_dir() or [item.name for item in left.iterdir()] in ([], ["precious.txt"])


def test_works_that_were_all_in_place_at_a_kill_are_their_owners(tmp_path: Path) -> None:
    path, to = BagBuilder().zip(tmp_path), tmp_path / "to"
    bags.unbag(path, to, workers=1)
    folder = to / unpacked(path, to).name
    (to / "W1" / "mine.txt").touch()
    (folder / "content").mkdir(parents=True)
    journal(folder, "W1", of=to / "W1")
    with pytest.raises(bags.WorkExistsError):
        bags.unbag(path, to, workers=1)
    assert (to / "W1" / "mine.txt").exists()
    assert not folder.exists()


def test_somebody_elses_folder_in_the_place_of_a_work_is_left_alone(tmp_path: Path) -> None:
    path, to = TWO.zip(tmp_path), tmp_path / "to"
    folder = unpacked(path, to)
    (folder / "content" / "W2").mkdir(parents=True)
    journal(folder, "Bag.bag", "W1", "W2", of=folder / "content" / "W2")
    (to / "W1").mkdir()
    (to / "W1" / "precious.txt").touch()
    with pytest.raises(bags.WorkExistsError):
        bags.unbag(path, to, workers=1)
    assert [str(item.relative_to(to)) for item in sorted(to.rglob("*"))] == ["W1", "W1/precious.txt"]


def test_works_that_were_moved_on_after_a_kill_are_unpacked_anew(tmp_path: Path) -> None:
    path, to = TWO.zip(tmp_path), tmp_path / "to"
    folder = unpacked(path, to)
    (folder / "content" / "W2").mkdir(parents=True)
    (folder / "journal").write_bytes(b"1:1 W1\0001:2 W2")
    bags.unbag(path, to, workers=1)
    assert {item.name for item in to.iterdir()} == {"Bag.bag", "W1", "W2"}


def test_nothing_is_left_where_no_lock_can_be_made(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(tmp_path, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with (
            pytest.raises(bags.WriteError, match="Too many open files"),
            workspace(tmp_path / "to", tmp_path / "W1.zip"),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_only_a_folder_is_taken_for_that_of_an_earlier_run(tmp_path: Path, kind: str) -> None:
    path, to, others = BagBuilder().zip(tmp_path), tmp_path / "to", tmp_path / "others"
    (others / "content").mkdir(parents=True)
    (others / "content" / "precious.txt").touch()
    to.mkdir()
    planted = to / unpacked(path, to).name
    if kind == "link":
        planted.symlink_to(others)
    else:
        planted.touch()
    with pytest.raises(bags.PathError, match=re.escape(f"{planted} is no folder: expected nothing there, or what an")):
        bags.unbag(path, to, workers=1)
    assert list(to.iterdir()) == [planted]
    assert (others / "content" / "precious.txt").exists()


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError):
        rename_to_new(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        rename_to_new(tmp_path / "c", tmp_path / "d")
    rename_to_new(tmp_path / "a", tmp_path / "c")
    assert {item.name for item in tmp_path.iterdir()} == {"b", "c"}


def test_folders_one_in_the_other_are_removed_however_many(tmp_path: Path) -> None:
    to, name = tmp_path / "to", "W1/images/" + "d/" * 1500 + "1"
    with pytest.raises(bags.InvalidBagError):
        bags.unbag(BagBuilder(payload={name: b"1"}, overrides={f"data/{name}": b"?"}).zip(tmp_path), to, workers=1)
    assert not to.exists()


def test_a_work_with_the_longest_path_that_is_unpacked_can_be_replaced(tmp_path: Path) -> None:
    to, name = tmp_path / "to", "W1/images/" + "d/" * 2030
    with pytest.raises(bags.InvalidBagError, match="is too long a path below") as caught:
        bags.unbag(BagBuilder(payload={f"{name}1": b""}).zip(tmp_path), to, workers=1)
    found = re.search(r"expected (\d+) bytes at most", str(caught.value))
    assert found
    longest = name[: int(found[1]) - 1] + "1"
    bags.unbag(BagBuilder(payload={longest: b""}).zip(tmp_path), to, workers=1)
    bags.unbag(BagBuilder().zip(tmp_path), to, workers=1, replace=True)
    assert [path.name for path in to.iterdir()] == ["W1"]
    assert sorted(path.name for path in (to / "W1").iterdir()) == ["W1.bag", "images", "sources"]
