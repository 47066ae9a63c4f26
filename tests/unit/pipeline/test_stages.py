"""One stage on one object: how each outcome is recorded."""

import errno
import os
from dataclasses import replace

import pytest
from tests.support.ledger import LEASE, HandClock
from tests.support.pipeline import (
    Bagger,
    Installation,
)
from tests.support.stages import FIRST, SECOND, raising, stage

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError, PermanentError, TransientError
from glacier_sync.ledger import Ledger, LedgerObject, Run
from glacier_sync.pipeline import Context, Done, Failed, RetryLater
from glacier_sync.pipeline.stage import run_stage
from glacier_sync.works import staging_key


def test_a_cause_that_passes_keeps_the_object_for_the_next_try(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    error = TransientError("the disk is busy", cause="EBUSY")
    assert run_stage(place.context(FIRST), raising(error), number) == RetryLater("the disk is busy", "EBUSY")
    event = place.ledger.events(number)[-1]
    assert (event.kind, event.message) == ("note", "try_out is to be tried again: the disk is busy")
    assert event.details == {"cause": "EBUSY"}
    assert place.ledger.object(number).claimed_by == FIRST.name


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ENOTCONN, errno.ETIMEDOUT])
def test_no_object_is_to_blame_for_its_machine(place: Installation, bag: Bagger, number: int) -> None:
    claimed = place.claimed(bag("W1TEST01"), FIRST)
    error = OSError(number, os.strerror(number), "/a\nb")
    outcome = run_stage(place.context(FIRST), raising(error), claimed)
    said = f"try_out met a trouble of this machine's at /a\\nb: {os.strerror(number)}; mend that, then try again"
    assert isinstance(outcome, RetryLater)
    assert outcome.reason == said
    assert place.ledger.object(claimed).unknown_errors == 0


@pytest.mark.parametrize("kind", [TransientError, ConfigurationError])
def test_the_last_try_gives_the_object_back(place: Installation, bag: Bagger, kind: type[TransientError]) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    outcome = run_stage(place.context(FIRST, last_try=True), raising(kind("the disk is busy")), number)
    assert isinstance(outcome, RetryLater)
    event = place.ledger.events(number)[-1]
    assert (event.kind, event.message) == ("released", "try_out is to be tried again: the disk is busy")
    item = place.ledger.object(number)
    assert (item.claimed_by, item.phase) == (None, "restored")


def test_a_permanent_cause_fails_the_object_and_removes_its_data(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    assert isinstance(pipeline.download_from_messages(place.context(FIRST), number), Done)
    assert place.working_data() != []
    error = PermanentError("the page is torn", cause="page 3")
    assert run_stage(place.context(FIRST), raising(error), number) == Failed("the page is torn", "page 3")
    item = place.ledger.object(number)
    assert (item.phase, item.failure_reason, item.failure_cause) == ("failed", "the page is torn", "page 3")
    assert item.claimed_by is None
    assert place.working_data() == []


def test_unknown_errors_are_counted_and_fail_the_object_in_the_end(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    context = place.context(FIRST, max_unknown_errors=2)
    first = run_stage(context, raising(ZeroDivisionError("division by zero")), number)
    what = "try_out met an error that isn't known"
    assert first == RetryLater(what, "ZeroDivisionError: division by zero")
    assert place.ledger.object(number).phase == "restored"
    second = run_stage(context, raising(KeyError("page")), number)
    reason = f"{what}, 2 times; see the cause and the log"
    assert second == Failed(reason, "KeyError: 'page'")
    item = place.ledger.object(number)
    assert (item.phase, item.failure_reason, item.unknown_errors) == ("failed", reason, 2)


def test_a_single_unknown_error_is_told_as_one(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    outcome = run_stage(place.context(FIRST, max_unknown_errors=1), raising(KeyError("page")), number)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "try_out met an error that isn't known, once; see the cause and the log"


def test_a_stage_leaves_what_is_settled_alone(place: Installation, bag: Bagger) -> None:
    failed = place.claimed(bag("W1TEST01"), FIRST)
    run_stage(place.context(FIRST), raising(PermanentError("the page is torn")), failed)
    synced = place.synced(bag("W1TEST02")).id
    before = place.ledger.events()
    untouched = raising(AssertionError("must not be called"))
    assert run_stage(place.context(SECOND), untouched, failed) == Failed("the page is torn", "PermanentError")
    assert run_stage(place.context(SECOND), untouched, synced) == Done(f"{staging_key('W1TEST02')} is synced already")
    assert place.ledger.events() == before


@pytest.mark.parametrize(
    "error", [PermanentError("the bag is invalid"), TransientError("the disk is busy"), OSError(0)]
)
def test_what_an_operator_has_forgotten_meanwhile_is_left_as_it_is(
    place: Installation, bag: Bagger, error: Exception
) -> None:
    clock = HandClock()
    with Ledger(place.settings.ledger_url.get_secret_value(), lease=LEASE, clock=clock) as ledger:
        slept = replace(place, ledger=ledger)
        number = slept.claimed(bag("W1TEST01"), FIRST)

        def work(_context: Context, item: LedgerObject) -> Done:
            clock.passes(LEASE)
            ledger.forget([item.id], Run.by_hand(), "hopeless")
            raise error

        outcome = run_stage(slept.context(FIRST), stage(work), number)
        assert isinstance(outcome, RetryLater)
        assert ledger.object(number).forgotten
