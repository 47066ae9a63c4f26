"""An archive that is away: nothing is written to the working folder for it, and the others go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.aws import noise
from tests.support.disks import disk
from tests.support.pipeline import Bag, Bagger, Installation, is_archived

from glacier_sync import pipeline
from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline import Done, RetryLater
from glacier_sync.pipeline.intake import take
from glacier_sync.settings import load_settings

RUN = Run.of_dag_run("dag", "one")
AWAY = "W1TEST76"


@pytest.fixture
def mounted(place: Installation) -> Callable[[], object]:
    """An archive whose last part isn't mounted; returns what mounts it."""
    root = place.archived(AWAY).parents[1]
    away = root.rename(root.with_name("away"))
    return lambda: away.rename(root)


def large(work: Path) -> None:
    (work / "images" / "noise.bin").write_bytes(noise(2**20))


def test_works_whose_archive_is_away_take_no_room(
    place: Installation, bag: Bagger, mounted: Callable[[], object]
) -> None:
    """The disk has room for three; as many were enough to fill it for as long as their archive is away."""
    away = [bag(f"W1TEST{number}", change=large) for number in (76, 77, 78)]
    here = [bag(f"W1TEST{number}", change=large) for number in (30, 31, 32, 33)]
    with disk(place.settings.data_dir):
        for made in away:
            place.restored(made)
        place.run()
        assert place.working_data() == []
        for made in here:
            place.restored(made)
        place.run()
        assert all(is_archived(place, made.works[0]) for made in here)
        mounted()
        place.run()
        assert all(is_archived(place, made.works[0]) for made in away)


def test_what_is_downloaded_already_stays_and_is_not_unpacked(
    place: Installation, bag: Bagger, mounted: Callable[[], object]
) -> None:
    mounted()
    made = bag(AWAY)
    number = place.claimed(made, RUN)
    assert isinstance(pipeline.download_from_messages(place.context(RUN), number), Done)
    before = place.working_data()
    root = place.archived(AWAY).parents[1]
    root.rename(root.with_name("away"))
    assert isinstance(pipeline.download_from_messages(place.context(RUN), number), Done)
    outcome = pipeline.debag_downloads(place.context(RUN), number)
    assert isinstance(outcome, RetryLater)
    assert f"the archive's root {root} isn't there" in outcome.reason
    assert place.working_data() == before
    mounted()
    assert isinstance(pipeline.debag_downloads(place.context(RUN), number), Done)


def test_a_zip_in_the_watched_folder_is_not_unpacked(
    place: Installation, bag: Bagger, mounted: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.home / "watched"
    folder.mkdir()
    monkeypatch.setenv("GLACIER_SYNC_WATCHED_DIR", str(folder))
    monkeypatch.setenv("GLACIER_SYNC_SETTLE_SECONDS", "0.05")
    shutil.copyfile(bag(AWAY).zip_path, folder / f"{AWAY}.bag.zip")
    time.sleep(0.05)
    watching = replace(place, settings=load_settings())
    (item,) = take(watching.context(RUN)).objects
    assert isinstance(pipeline.take_in_files(watching.context(RUN), item.id), Done)
    assert isinstance(pipeline.debag_downloads(watching.context(RUN), item.id), RetryLater)
    assert place.working_data() == []
    mounted()
    assert isinstance(pipeline.debag_downloads(watching.context(RUN), item.id), Done)


def known_works(place: Installation, made: Bag) -> int:
    """Return an object of which another host has found out what it holds."""
    number = place.debagged(made, RUN)
    shutil.rmtree(place.settings.data_dir)
    return number


def test_the_works_that_an_object_is_known_to_hold_are_what_counts(place: Installation, bag: Bagger) -> None:
    number = known_works(place, bag("W1TEST01", AWAY))
    shutil.rmtree(place.archived(AWAY).parents[1])
    outcome = pipeline.download_from_messages(place.context(RUN), number)
    assert isinstance(outcome, RetryLater)
    assert "isn't there" in outcome.reason


def test_a_site_that_archives_nothing_needs_no_archive(
    place: Installation, bag: Bagger, mounted: Callable[[], object]
) -> None:
    place.say({"sync": {"archive": False, "web": False}})
    assert place.synced(bag(AWAY)).phase is Phase.SYNCED
