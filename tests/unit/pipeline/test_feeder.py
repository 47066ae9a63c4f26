"""The feeder: from the incoming folder into the watched folder, with the originals kept."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.support.clocks import look_after
from tests.support.feeding import start_feeding
from tests.support.pipeline import Bag, Bagger, Installation, add_page, is_archived, kill

from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Phase
from glacier_sync.pipeline import feeder, retention
from glacier_sync.pipeline.feeder import Fed
from glacier_sync.settings import load_settings

SETTLE = 0.05
RANDOM_KILLS = 5
FOLDERS = ("incoming", "watched", "retention")


@dataclass(frozen=True)
class Feeding:
    """A site with the feeder's three folders."""

    place: Installation
    incoming: Path
    watched: Path
    retention: Path

    def put(self, made: Bag, name: str | None = None) -> Path:
        """Put a bag into the incoming folder, and wait until it is settled."""
        path = self.incoming / (name or made.zip_path.name)
        shutil.copyfile(made.zip_path, path)
        time.sleep(SETTLE)
        return path

    def feed(self, **changed: object) -> Fed:
        return feeder.feed(self.place.context(**changed))

    def sync(self) -> None:
        time.sleep(SETTLE)
        self.place.run()

    def clear(self, days: float = 0) -> list[str]:
        return [path.name for path in retention.clear(self.place.ledger, self.retention, days)]

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.retention.glob("*/*"))

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def made_at(place: Installation, monkeypatch: pytest.MonkeyPatch, **folders: Path) -> Feeding:
    paths = {name: folders.get(name, place.home) / name for name in FOLDERS}
    for name, path in paths.items():
        path.mkdir(parents=True)
        monkeypatch.setenv(f"GLACIER_SYNC_{name.upper()}_DIR", str(path))
    monkeypatch.setenv("GLACIER_SYNC_SETTLE_SECONDS", str(SETTLE))
    return Feeding(replace(place, settings=load_settings()), **paths)


@pytest.fixture
def feeding(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Feeding:
    return made_at(place, monkeypatch)


def test_a_file_is_moved_and_its_original_kept_until_it_is_synced(feeding: Feeding, bag: Bagger) -> None:
    made = bag("W1TEST01")
    feeding.put(made)
    assert feeding.feed() == Fed(files=["W1TEST01.bag.zip"])
    assert feeding.names(feeding.incoming) == []
    assert feeding.names(feeding.watched) == feeding.kept() == ["W1TEST01.bag.zip"]
    (kept,) = feeding.retention.glob("*/*")
    assert kept.samefile(feeding.watched / kept.name), "where the folders share a file system nothing is copied"
    assert feeding.clear() == []

    feeding.sync()
    assert is_archived(feeding.place, made.works[0])
    assert feeding.names(feeding.watched) == []
    assert feeding.clear(days=1) == []
    assert kept.read_bytes() == made.zip_path.read_bytes()
    assert feeding.clear() == ["W1TEST01.bag.zip"]
    assert feeding.names(feeding.retention) == []


@pytest.mark.parametrize("away", FOLDERS)
def test_folders_on_different_file_systems(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch, elsewhere: Path, away: str
) -> None:
    feeding = made_at(place, monkeypatch, **{away: elsewhere})
    made = bag("W1TEST01")
    path = feeding.put(made)
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    time.sleep(SETTLE)
    assert feeding.feed() == Fed(files=["W1TEST01.bag.zip"])
    assert feeding.names(feeding.incoming) == []
    assert feeding.names(feeding.watched) == feeding.kept() == ["W1TEST01.bag.zip"]
    feeding.sync()
    assert is_archived(feeding.place, made.works[0])
    assert feeding.clear() == ["W1TEST01.bag.zip"]


def test_a_file_that_is_still_being_written_stays(
    feeding: Feeding, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = feeding.put(bag("W1TEST01"))
    path.touch()
    look_after(monkeypatch, path, SETTLE / 2)
    assert feeding.feed() == Fed()
    assert path.exists()


def test_what_does_not_belong_there_is_recorded_once_and_left_alone(feeding: Feeding) -> None:
    (feeding.incoming / "notes.txt").write_text("x")
    (feeding.incoming / "link.bag.zip").symlink_to("/etc/passwd")
    time.sleep(SETTLE)
    for _ in range(2):
        assert feeding.feed() == Fed()
    assert len([event for event in feeding.place.ledger.events() if event.kind == "message_rejected"]) == 2
    assert feeding.names(feeding.incoming) == ["link.bag.zip", "notes.txt"]


def test_no_more_files_are_fed_than_a_run_takes(feeding: Feeding, bag: Bagger) -> None:
    made = bag("W1TEST01")
    for number in range(3):
        feeding.put(made, f"W1TEST01.{number}.bag.zip")
    fed = feeding.feed(max_objects_per_run=2)
    assert fed.files == ["W1TEST01.0.bag.zip", "W1TEST01.1.bag.zip"]
    assert fed.waiting == [
        "W1TEST01.2.bag.zip waits: as many files as a run takes (GLACIER_SYNC_MAX_OBJECTS_PER_RUN) "
        "are in the watched folder"
    ]
    assert feeding.feed(max_objects_per_run=2).files == []
    feeding.sync()
    assert feeding.feed(max_objects_per_run=2).files == ["W1TEST01.2.bag.zip"]


def test_no_more_is_fed_than_the_disk_has_room_for(feeding: Feeding, bag: Bagger) -> None:
    feeding.put(bag("W1TEST01"))
    fed = feeding.feed(keep_free_mib=2**40)
    assert fed.files == []
    assert "W1TEST01.bag.zip waits: its contents need" in fed.waiting[0]


def test_a_file_waits_for_another_of_its_name(feeding: Feeding, bag: Bagger) -> None:
    made = bag("W1TEST01")
    feeding.put(made)
    feeding.feed()
    feeding.put(made)
    fed = feeding.feed()
    assert fed.files == []
    assert "another of that name is in" in fed.waiting[0]
    feeding.sync()
    assert feeding.feed().files == ["W1TEST01.bag.zip"]
    feeding.sync()
    assert [item.phase for item in feeding.place.ledger.objects()] == [Phase.SYNCED, Phase.SYNCED]
    assert feeding.kept() == ["W1TEST01.bag.zip", "W1TEST01.bag.zip"]
    assert len(feeding.clear()) == 2


def test_a_file_that_failed_is_kept_and_gives_way_to_the_next_of_its_name(feeding: Feeding, bag: Bagger) -> None:
    good = bag("W1TEST01")
    feeding.place.synced(good)
    feeding.put(bag("W1TEST01", change=add_page))
    feeding.feed()
    feeding.sync()
    assert feeding.place.ledger.objects()[-1].phase is Phase.FAILED
    assert feeding.clear() == []
    assert feeding.names(feeding.watched) == ["W1TEST01.bag.zip"]
    feeding.put(good)
    assert feeding.feed().files == ["W1TEST01.bag.zip"]
    feeding.sync()
    assert feeding.place.ledger.objects()[-1].phase is Phase.SYNCED
    assert feeding.clear() == ["W1TEST01.bag.zip"]
    assert feeding.kept() == ["W1TEST01.bag.zip"], "the original of the one that failed"


def test_an_earlier_sync_of_the_same_file_ends_no_retention(feeding: Feeding, bag: Bagger) -> None:
    made = bag("W1TEST01")
    for _ in range(2):
        os.utime(feeding.put(made), (1_700_000_000, 1_700_000_000))
        time.sleep(1.1)
        feeding.feed()
        if not feeding.place.ledger.objects():
            feeding.sync()
    assert len(feeding.clear()) == 1
    assert feeding.kept() == ["W1TEST01.bag.zip"]


def test_an_original_is_kept_for_any_failed_file_of_its_name_size_and_time(feeding: Feeding, bag: Bagger) -> None:
    made = bag("W1TEST01")
    whole = made.zip_path.read_bytes()
    damaged = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for content in (damaged, whole):
        path = feeding.incoming / made.zip_path.name
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        time.sleep(1.1)
        feeding.feed()
        feeding.sync()
    assert [item.phase for item in feeding.place.ledger.objects()] == [Phase.FAILED, Phase.SYNCED]
    (kept,) = {path for path in feeding.retention.glob("*/*") if path.read_bytes() != whole}
    assert feeding.clear() == ["W1TEST01.bag.zip"]
    assert list(feeding.retention.glob("*/*")) == [kept]


def test_what_is_beside_an_original_holds_nothing_up(feeding: Feeding, bag: Bagger) -> None:
    for rid in ("W1TEST01", "W1TEST02"):
        feeding.put(bag(rid))
    feeding.feed()
    feeding.sync()
    for folder in list(feeding.retention.iterdir()):
        (folder / ".DS_Store").touch()
    (feeding.retention / "20260101T000000Z-file").touch()
    assert sorted(feeding.clear()) == ["W1TEST01.bag.zip", "W1TEST02.bag.zip"]
    assert feeding.kept() == [".DS_Store", ".DS_Store"]
    assert feeding.clear() == []


def test_a_retention_folder_that_is_away_is_told(feeding: Feeding) -> None:
    feeding.retention.rmdir()
    with pytest.raises(ConfigurationError, match=r"retention can't be looked into \(No such file or directory\)"):
        feeding.clear()


def test_what_a_site_keeps_in_the_retention_folder_by_itself_stays(feeding: Feeding) -> None:
    (feeding.retention / "20260301-by-hand").mkdir()
    (feeding.retention / "notes.txt").write_text("x")
    feeding.feed()
    assert feeding.clear() == []
    assert feeding.names(feeding.retention) == ["20260301-by-hand", "notes.txt"]


# --- folders ----------------------------------------------------------------------


@pytest.mark.parametrize("missing", FOLDERS[1:])
def test_it_needs_all_three_folders(feeding: Feeding, missing: str) -> None:
    with pytest.raises(ConfigurationError, match="the feeder needs three folders"):
        feeding.feed(**{f"{missing}_dir": None})


def test_its_folders_are_apart(feeding: Feeding) -> None:
    inside = feeding.watched / "retention"
    inside.mkdir()
    with pytest.raises(ConfigurationError, match="has another in it: expected three that are apart"):
        feeding.feed(retention_dir=inside)
    with pytest.raises(ConfigurationError, match="has another in it"):
        feeding.feed(retention_dir=feeding.watched)


@pytest.mark.parametrize("away", FOLDERS)
def test_a_folder_that_is_away_changes_nothing(feeding: Feeding, bag: Bagger, away: str) -> None:
    path = feeding.put(bag("W1TEST01"))
    missing = feeding.place.home / away
    missing.rename(feeding.place.home / "unmounted")
    with pytest.raises(ConfigurationError, match=f"{away} (can't be read|isn't there)"):
        feeding.feed()
    (feeding.place.home / "unmounted").rename(missing)
    assert path.exists()
    assert feeding.kept() == []


# --- kills ------------------------------------------------------------------------


def test_a_kill_before_the_file_is_in_the_watched_folder(feeding: Feeding, bag: Bagger) -> None:
    path = feeding.put(bag("W1TEST01"))
    folder = feeding.retention / "20260301T120000Z-killed.new"
    folder.mkdir()
    path.rename(folder / path.name)
    assert feeding.feed() == Fed(files=["W1TEST01.bag.zip"])
    assert feeding.names(feeding.watched) == ["W1TEST01.bag.zip"]
    assert feeding.names(feeding.retention) == ["20260301T120000Z-killed"]


def test_a_kill_when_the_file_is_in_the_watched_folder(feeding: Feeding, bag: Bagger) -> None:
    feeding.put(bag("W1TEST01"))
    feeding.feed()
    (settled,) = feeding.retention.iterdir()
    settled.rename(settled.with_name(f"{settled.name}.new"))
    assert feeding.feed() == Fed(files=["W1TEST01.bag.zip"])
    assert list(feeding.retention.iterdir()) == [settled]
    feeding.sync()
    assert [item.phase for item in feeding.place.ledger.objects()] == [Phase.SYNCED]


def test_a_kill_in_the_middle_of_a_copy(feeding: Feeding, bag: Bagger) -> None:
    path = feeding.put(bag("W1TEST01"))
    folder = feeding.retention / "20260301T120000Z-killed.new"
    folder.mkdir()
    (folder / ".part").write_bytes(path.read_bytes()[:1000])
    assert feeding.feed() == Fed(files=["W1TEST01.bag.zip"])
    assert not folder.exists()
    assert feeding.kept() == ["W1TEST01.bag.zip"]


@pytest.mark.parametrize("away", FOLDERS)
def test_killed_at_any_moment(
    place: Installation,
    bag: Bagger,
    monkeypatch: pytest.MonkeyPatch,
    *,
    elsewhere: Path,
    away: str,
    dice: random.Random,
) -> None:
    feeding = made_at(place, monkeypatch, **{away: elsewhere})
    made = bag("W1TEST01")
    content = made.zip_path.read_bytes()
    names = [f"W1TEST01.{number}.bag.zip" for number in range(8)]
    for name in names:
        feeding.put(made, name)
    for _ in range(RANDOM_KILLS):
        process = start_feeding()
        process.join(dice.uniform(0.2, 0.8))
        kill(process, with_children=True)
        for folder in (feeding.watched, feeding.retention, feeding.incoming):
            for path in folder.rglob("[!.]*.zip"):
                assert path.read_bytes() == content, "a file is whole wherever it has its name"
    while feeding.feed().files:
        pass
    assert feeding.names(feeding.incoming) == []
    assert feeding.names(feeding.watched) == names
    assert set(feeding.kept()) == set(names)
    assert not list(feeding.retention.glob("*.new"))
