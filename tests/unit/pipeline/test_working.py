"""The working folder: what can't be removed there, or is no object's, stops nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.pipeline import INNERMOST, Bag, Bagger, Installation, is_archived

from glacier_sync.errors import PermanentError
from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import (
    Context,
    Done,
    Failed,
    debag_downloads,
    download_from_messages,
    get_restored_object_messages,
    leftovers,
    sync,
)
from glacier_sync.pipeline.stage import Stage, run_stage

REMOVE = os.rmdir
ONE = Run.of_dag_run("dag", "one")
TWO = Run.of_dag_run("dag", "two")


@pytest.fixture
def undeletable(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Objects' folders can't be removed, until that is undone: as if they were immutable, or another user's."""
    refused = {place.settings.download_dir, place.settings.work_dir}

    def refuse(path: str) -> None:
        if Path(path).parent in refused:
            raise PermissionError(1, "Operation not permitted", path)
        REMOVE(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refuse)
        yield patch


def test_a_left_over_that_cannot_be_removed_stops_nothing(
    place: Installation, bag: Bagger, undeletable: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    number = place.claimed(bag("W1TEST01"))
    assert isinstance(download_from_messages(place.context(), number), Done)
    place.ledger.release(number, Run.of_this_process(), "tried later")
    place.ledger.forget([number], Run.by_hand(), "restored by mistake")
    (left,) = place.settings.download_dir.iterdir()
    assert place.run().problems == []
    assert {record.getMessage() for record in caplog.records if record.levelname == "WARNING"} == {
        f"{left} can't be removed ([Errno 1] Operation not permitted: '{left}'): expected a folder that this user may "
        "empty; see to its owner, its permissions and its disk; the next run tries again"
    }
    undeletable.undo()
    place.run()
    assert place.working_data() == []


def test_what_is_settled_stays_so_though_its_data_cannot_be_removed(
    place: Installation, bag: Bagger, undeletable: pytest.MonkeyPatch
) -> None:
    place.restored(bag("W1TEST01"))
    place.site.put(place.restored(bag("W1TEST02")), b"this is no zip")
    for _ in range(2):
        outcomes = place.run().outcomes
        assert [(item.phase, item.unknown_errors) for item in place.ledger.objects()] == [("synced", 0), ("failed", 0)]
    assert outcomes == {}
    undeletable.undo()
    place.run()
    assert place.working_data() == []


def test_a_folder_with_a_number_that_no_object_can_have_is_left_alone(place: Installation, bag: Bagger) -> None:
    place.restored(bag("W1TEST01"))
    stray = place.settings.work_dir / f"{2**63}-of-somebody-else"
    stray.mkdir(parents=True)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert stray.is_dir()


def test_what_an_ended_attempt_has_left_half_removed_is_never_taken_for_the_next_ones(
    place: Installation, bag: Bagger
) -> None:
    """Another host unpacks the next attempt and gives it back, so that the ledger says it is unpacked."""
    made = bag("W1TEST01")
    number = place.debagged(made, ONE)
    place.ledger.fail(number, ONE, "the disk is sick", "")
    next(place.settings.work_dir.glob("*/W1TEST01/images/*/*.tif")).unlink()
    place.ledger.retry([number], Run.by_hand())
    elsewhere = place.home / "data-of-another-host"
    get_restored_object_messages(place.context(TWO, data_dir=elsewhere))
    for stage in (download_from_messages, debag_downloads):
        assert isinstance(stage(place.context(TWO, data_dir=elsewhere), number), Done)
    place.ledger.release(number, TWO, "put off")
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert is_archived(place, made.works[0])
    assert place.working_data() == []


def test_a_slow_removal_takes_nothing_of_the_next_attempt(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag("W1TEST01")
    number = place.debagged(made, ONE)

    def retried_first(path: str) -> None:
        monkeypatch.setattr(os, "rmdir", REMOVE)
        place.ledger.retry([number], Run.by_hand())
        get_restored_object_messages(place.context(TWO))
        for stage in (download_from_messages, debag_downloads):
            assert isinstance(stage(place.context(TWO), number), Done)
        REMOVE(path)

    def fail(_context: Context, _item: LedgerObject) -> Done:
        monkeypatch.setattr(os, "rmdir", retried_first)
        raise PermanentError("the disk is sick")

    assert isinstance(run_stage(place.context(ONE), Stage("try_out", fail), number), Failed)
    assert isinstance(sync.sync(place.context(TWO), number), Done)
    assert is_archived(place, made.works[0])
    assert place.working_data() == []


def test_a_thousand_folders_one_in_the_other_are_removed_too(place: Installation, deep_bag: Bag) -> None:
    place.restored(deep_bag)
    tally = place.run()
    assert ([type(outcome) for outcome in tally.outcomes.values()], tally.problems) == ([Done], [])
    assert (place.archived("W1TEST01") / INNERMOST).is_file()
    assert place.working_data() == []


def test_data_of_ended_attempts_is_removed(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), ONE)
    assert isinstance(download_from_messages(place.context(ONE), number), Done)
    place.ledger.fail(number, ONE, "the disk is sick", "")
    place.ledger.retry([number], Run.by_hand())
    (left,) = place.settings.download_dir.iterdir()
    leftovers.sweep(place.context())
    assert not left.exists()
