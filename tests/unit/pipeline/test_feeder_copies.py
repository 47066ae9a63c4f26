"""The feeder between file systems, where it copies: what a kill or a power cut leaves is neither lost nor fed twice."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest
from tests.support.pipeline import Bagger, Installation
from tests.unit.pipeline import test_feeder as apart_from
from tests.unit.pipeline.test_feeder import SETTLE, Feeding, made_at
from tests.unit.pipeline.test_manifests import mounted, new_disk

from glacier_sync.pipeline import retention
from glacier_sync.pipeline.arrivals import look_at
from glacier_sync.pipeline.feeder import Fed

elsewhere = apart_from.elsewhere
NAME = "W1TEST01.bag.zip"


@pytest.fixture
def feeding(place: Installation, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> Feeding:
    return made_at(place, monkeypatch, incoming=elsewhere)


def test_a_kill_before_the_copied_file_is_removed(feeding: Feeding, bag: Bagger) -> None:
    path = feeding.put(bag("W1TEST01"))
    arrival = look_at(path)
    assert arrival
    shutil.copy2(retention.keep(arrival, feeding.retention), path)
    time.sleep(SETTLE)
    assert feeding.feed() == Fed(files=[NAME])
    assert feeding.names(feeding.incoming) == []
    feeding.sync()
    assert feeding.feed() == Fed()
    assert [item.phase for item in feeding.place.ledger.objects()] == ["synced"]


def test_another_file_of_that_name_size_and_time_stays(feeding: Feeding, bag: Bagger) -> None:
    path = feeding.put(bag("W1TEST01"))
    arrival = look_at(path)
    assert arrival
    kept = retention.keep(arrival, feeding.retention)
    path.write_bytes(bytes(arrival.size))
    shutil.copystat(kept, path)
    # It ends as no zip does, and is waited for that long.
    time.sleep(11 * SETTLE)
    fed = feeding.feed()
    assert fed.files == [NAME]
    assert fed.waiting[0].startswith(f"{NAME} waits: another of that name is in ")
    assert path.read_bytes() == bytes(arrival.size)


def test_a_power_cut_when_the_copied_file_is_removed(feeding: Feeding, bag: Bagger, tmp_path: Path) -> None:
    """The folder that it came from has written that to its disk first."""
    made = bag("W1TEST01")
    path, disk, after = feeding.put(made), new_disk(tmp_path / "disk"), tmp_path / "after"

    def cut(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.remove" and Path(str(arguments[0])) == path and not after.exists():
            shutil.copyfile(disk, after)

    sys.addaudithook(cut)
    with mounted(disk, feeding.retention):
        assert feeding.feed().files == [NAME]
    (feeding.watched / NAME).unlink()
    with mounted(after, feeding.retention):
        assert feeding.feed().files == [NAME]
        assert (feeding.watched / NAME).read_bytes() == made.zip_path.read_bytes()
