"""How far a stage has come with what is in hand: told now and then, and no event."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.ledger import LEASE, HandClock, dag_run, record_works

from glacier_sync.ledger import ClaimLostError, Ledger, Phase, StageProgress
from glacier_sync.progress import Pace

ONE = dag_run("one")
TWO = dag_run("two")
STAGE = "download_from_messages"
EARLY = Pace(5_000_000_000, 17_017_201_852, gained=4_000_000_000, seconds=40.5)
LATER = dataclasses.replace(EARLY, done=9_000_000_000, gained=8_000_000_000, seconds=80.5)


@pytest.fixture
def number(ledger: Ledger) -> int:
    """An object in the first run's hands."""
    (found,) = record_works(ledger, "W1")
    ledger.hold(found, ONE)
    return found


def test_the_last_word_counts_and_is_no_event(ledger: Ledger, clock: HandClock, number: int) -> None:
    assert ledger.object(number).progress is None
    before = (ledger.object(number).update_time, ledger.events())
    ledger.tell_pace(number, ONE, STAGE, EARLY)
    clock.passes(timedelta(seconds=40))
    ledger.tell_pace(number, ONE, STAGE, LATER)
    item = ledger.object(number)
    assert item.progress == StageProgress(STAGE, LATER, clock.now)
    assert (item.update_time, ledger.events()) == before
    assert ledger.objects()[0].progress == item.progress


@pytest.mark.parametrize(
    "end",
    [
        lambda ledger, number: ledger.advance(number, ONE, Phase.DOWNLOADED, "done"),
        lambda ledger, number: ledger.advance(number, ONE, Phase.SYNCED, "done"),
        lambda ledger, number: ledger.fail(number, ONE, "bad", "cause"),
        lambda ledger, number: ledger.release(number, ONE, "no space"),
        lambda ledger, number: ledger.hold(number, ONE),
    ],
    ids=["done", "synced", "failed", "given back", "begun again"],
)
def test_the_end_of_a_stage_takes_its_pace_away(
    ledger: Ledger, number: int, end: Callable[[Ledger, int], object]
) -> None:
    ledger.tell_pace(number, ONE, STAGE, EARLY)
    end(ledger, number)
    assert ledger.object(number).progress is None


def test_other_hands_begin_without_a_pace(ledger: Ledger, clock: HandClock, number: int) -> None:
    ledger.tell_pace(number, ONE, STAGE, EARLY)
    clock.passes(LEASE)
    assert [item.progress for item in ledger.claim(TWO, 1)] == [None]
    with pytest.raises(ClaimLostError):
        ledger.tell_pace(number, ONE, STAGE, LATER)


def test_renewing_leaves_it_alone(ledger: Ledger, number: int) -> None:
    ledger.tell_pace(number, ONE, STAGE, EARLY)
    ledger.renew(ONE)
    ledger.note(number, ONE, "a remark")
    found = ledger.object(number).progress
    assert found is not None
    assert found.pace == EARLY
