"""Manifests that speak for the archive after the working data is gone."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.pipeline import STAMP, Bag, Bagger, Installation, add_page, change_page

from glacier_sync import bags
from glacier_sync.pipeline import Failed, fixity
from glacier_sync.pipeline.by_hand import ByHand


def test_manifests_of_a_bag_of_several_works_are_kept(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    place.settled(made)
    for work in made.works:
        to = place.archived(work.name)
        assert not (to / f"{work.name}.bag").exists()
        checked = fixity.check(place.settings, place.ledger, work.name)
        assert (checked.rid, checked.path, checked.intact) == (work.name, to, True)
        assert checked.bag_dir.is_relative_to(place.settings.log_dir / "bags")
    change_page(place.archived("W1TEST02"))
    found = fixity.check(place.settings, place.ledger, "W1TEST02").differences
    assert found.changed == ("archive/W1TEST02-I0001/I00010001.jpg",)


def test_kept_manifests_of_another_ledger_are_not_taken(place: Installation, bag: Bagger) -> None:
    """The ledger was made anew, and numbers begin at 1 again."""
    strange = place.settings.log_dir / "bags" / "1" / "W1TEST01.bag"
    strange.mkdir(parents=True)
    (strange / "manifest-md5.txt").write_text(f"{'0' * 32}  data/W1TEST01/images/other.tif\n")
    place.settled(bag("W1TEST01", "W1TEST02"))
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact


def test_manifests_of_a_work_that_was_refused_do_not_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.synced(bag("W1TEST02"))
    outcome, _ = place.settled(bag("W1TEST01", "W1TEST02", change=add_page))
    assert isinstance(outcome, Failed)
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


def test_the_manifests_that_came_last_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.settled(bag("W1TEST01", "W1TEST02"))
    place.say({"sync": {"replace": True}})
    place.settled(bag("W1TEST02", change=add_page))
    assert (place.archived("W1TEST02") / "images" / "added.txt").exists()
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


def test_manifests_of_an_equal_copy_without_any_are_kept(place: Installation, bag: Bagger) -> None:
    """As works stand in an archive that were put there in other ways."""
    made = bag("W1TEST01")
    shutil.copytree(made.works[0], place.archived("W1TEST01"))
    place.settled(made)
    assert not (place.archived("W1TEST01") / "W1TEST01.bag").exists()
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact


# --- power cuts ------------------------------------------------------------------------


def new_disk(path: Path) -> Path:
    """Make a disk that is a file: a copy of it holds what there would be after a power cut."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("no disk can be made here: apt-get install e2fsprogs")
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    return path


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    """Mount a disk that is a file."""
    assert image.exists()
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of a file can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def synced_by_hand(place: Installation, made: Bag) -> None:
    works = bags.unbag(made.zip_path, place.home / "staging", workers=1)
    hand = ByHand(place.settings, place.ledger, STAMP, lambda _: lambda _done, _in_all: None)
    assert [result.failure for result in hand.sync([work.path for work in works])] == [None, None]


@pytest.mark.parametrize("sync", [Installation.synced, synced_by_hand])
def test_what_is_kept_is_on_the_disk_when_its_works_are_synced(
    place: Installation, bag: Bagger, tmp_path: Path, sync: Callable[[Installation, Bag], object]
) -> None:
    """What the system holds in memory alone is lost with its power."""
    disk, after = new_disk(tmp_path / "disk"), tmp_path / "after"
    with mounted(disk, place.settings.log_dir):
        sync(place, bag("W1TEST01", "W1TEST02"))
        shutil.copyfile(disk, after)
    with mounted(after, place.settings.log_dir):
        for rid in ("W1TEST01", "W1TEST02"):
            assert fixity.check(place.settings, place.ledger, rid).intact
