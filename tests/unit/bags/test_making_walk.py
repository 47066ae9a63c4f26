"""A work's files while it is bagged: gone through in the order of their names, and held to stay what they are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bag_builder import make_work

from glacier_sync import bags

# Those that stand before and behind a slash, and one that stands at the end.
COMPONENTS = st.text(st.sampled_from("-./0a"), min_size=1, max_size=3).map(lambda name: f"{name.replace('/', '_')}x")
NAMES = st.sets(st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=NAMES)
def test_files_are_in_the_order_of_their_names(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("work")
    # A name can't be a file's and a folder's.
    files = {f"images/{name}": b"" for name in names if not any(other.startswith(f"{name}/") for other in names)}
    bags.make_bag_zip([make_work(folder, "W1", files)], folder / "W1.bag.zip", algorithms=["md5"])
    with zipfile.ZipFile(folder / "W1.bag.zip") as archive:
        found = [name.removeprefix("W1.bag/data/W1/") for name in archive.namelist() if "/data/" in name]
    assert found == sorted(files)


@pytest.mark.parametrize("change", ["another file", "a file less", "a longer file"])
def test_a_work_that_changes_is_not_bagged(tmp_path: Path, change: str) -> None:
    work = make_work(tmp_path, "W1")

    def progress(done: int, in_all: int) -> None:
        last = work / "sources" / "readme.txt"
        if change == "a longer file":
            last.write_bytes(b"longer")
        elif change == "a file less":
            last.unlink(missing_ok=True)
        else:
            (work / "sources" / "another.txt").touch()

    expected = r"W1 changed while being bagged: 3 files of 11010 bytes became \d of 1101\d"
    with pytest.raises(bags.BusyError, match=expected):
        bags.make_bag_zip([work], tmp_path / "W1.bag.zip", progress=progress)
    assert [path.name for path in tmp_path.iterdir()] == ["W1"]
