"""Whose turn it is: the order in which objects are taken, and what goes behind others for a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from tests.support.ledger import LEASE, START, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.ledger import EventKind, Ledger, Phase, Run

ONE, TWO, THREE = (dag_run(name) for name in ("one", "two", "three"))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def ids(ledger: Ledger, run: Run, limit: int = 100) -> list[int]:
    return [row.id for row in ledger.claim(run, limit)]


def test_nearest_expiry_comes_first_then_the_oldest(ledger: Ledger, clock: HandClock) -> None:
    for rid, days in (("W1", None), ("W2", 5), ("W3", 1), ("W4", 5), ("W5", None)):
        expiry = None if days is None else START + timedelta(days=days)
        ledger.record("nlm", rid, [announced(work_key(rid), expiry=expiry)], [])
        clock.passes(MINUTE)
    assert [row.rid for row in ledger.claim(ONE, 10)] == ["W3", "W2", "W4", "W1", "W5"]


def record_expiring(ledger: Ledger, days: Iterable[int]) -> None:
    """Record an object for each of these numbers of days after which its restored copy expires."""
    for number in days:
        expiry = START + timedelta(days=number)
        ledger.record("nlm", f"m{number}", [announced(work_key(f"W{number}"), expiry=expiry)], [])


def test_what_was_tried_in_vain_goes_behind_what_has_not_been_tried_since(ledger: Ledger, clock: HandClock) -> None:
    record_expiring(ledger, range(1, 6))
    turns = []
    for turn in range(5):
        clock.passes(MINUTE)
        taken = ids(ledger, dag_run(f"turn {turn}"), 2)
        turns.append(taken)
        for number in taken:
            clock.passes(MINUTE)
            ledger.release(number, dag_run(f"turn {turn}"), "its archive is away", in_vain=True)
    assert turns == [[1, 2], [3, 4], [5, 1], [2, 3], [4, 5]]


def test_what_was_tried_in_vain_once_is_in_its_turn_again_after_an_hour(ledger: Ledger, clock: HandClock) -> None:
    record_expiring(ledger, range(1, 101))
    for turn, back_off in enumerate([HOUR, 2 * HOUR, 4 * HOUR]):
        run, others = (dag_run(f"{kind} {turn}") for kind in ("turn", "others"))
        assert ids(ledger, run, 1) == [1]
        ledger.release(1, run, "S3 asks for fewer requests", in_vain=True)
        clock.passes(back_off - MINUTE)
        assert ids(ledger, others, 1) == [2]
        ledger.release(2, others, "given back")
        clock.passes(MINUTE)


def test_what_is_always_tried_in_vain_starves_nobody(ledger: Ledger, clock: HandClock) -> None:
    """More objects of an archive that is away than can be tried in an hour, all of which expire before the others."""
    away = range(1, 41)
    record_expiring(ledger, range(1, 101))
    left = set(range(41, 101))
    turns = 0
    while left:
        turns += 1
        assert turns < 150
        run = dag_run(f"turn {turns}")
        taken = ids(ledger, run, 3)
        clock.passes(10 * MINUTE)
        for number in taken:
            if number in away:
                ledger.release(number, run, "its archive is away", in_vain=True)
            else:
                ledger.advance(number, run, Phase.SYNCED, "done")
                left.discard(number)


def test_what_is_given_back_or_is_tried_anew_keeps_its_turn(ledger: Ledger) -> None:
    first, second = record_works(ledger, "W1", "W2")
    ids(ledger, ONE, 1)
    ledger.release(first, ONE, "no room")
    assert ids(ledger, ONE, 1) == [first]
    ledger.release(first, ONE, "its archive is away", in_vain=True)
    assert ids(ledger, TWO, 1) == [second]
    ledger.release(second, TWO, "given back")
    ledger.hold(first, ONE)
    ledger.fail(first, ONE, "bad", "cause")
    ledger.retry([first], ONE)
    assert ids(ledger, TWO, 1) == [first]


def test_what_was_killed_goes_on_in_its_turn_once_and_then_backs_off(ledger: Ledger, clock: HandClock) -> None:
    """An object that its process dies of mustn't take down the others of each run."""
    record_expiring(ledger, [1, 2, 3])
    assert ids(ledger, ONE, 1) == [1]
    clock.passes(LEASE)
    assert ids(ledger, TWO, 1) == [1]
    assert ledger.lapses() == {1: 1}
    clock.passes(LEASE)
    assert ids(ledger, THREE, 3) == [2, 3, 1]
    assert ledger.lapses() == {1: 2}
    lapses = [event for event in ledger.events(1) if event.kind == EventKind.LAPSED]
    assert [event.run for event in lapses] == [ONE.name, TWO.name]
    assert lapses[0].message.startswith(
        f"the claim of {ONE.name} on scheduler-1 until 2026-03-01 12:15:00 UTC ended without a word"
    )
    ledger.advance(1, THREE, Phase.DOWNLOADED, "done")
    assert ledger.lapses() == {}
    clock.passes(LEASE)
    ledger.hold(1, ONE)
    assert ledger.lapses() == {1: 1}
    ledger.fail(1, ONE, "bad", "cause")
    ledger.retry([1], ONE)
    assert ledger.lapses() == {}
