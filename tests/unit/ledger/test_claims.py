from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.ledger import LEASE, START, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.ledger import ClaimLostError, Ledger, Phase, PhaseOrderError, Run, UnknownObjectError, WorkFacts
from glacier_sync.ledger.processes import is_certainly_dead, this_process
from glacier_sync.progress import Pace

ONE = dag_run("one")
TWO = dag_run("two")
MINUTE = timedelta(minutes=1)


def ids(ledger: Ledger, run: Run, limit: int = 100) -> list[int]:
    return [row.id for row in ledger.claim(run, limit)]


def process_run(name: str, *, host: str = "here", **changes: object) -> Run:
    """A run of this process, or of one whose identity differs in the fields given."""
    fields = ("machine", "boot", "namespace", "pid", "start")
    identity = dict(zip(fields, json.loads(this_process()), strict=True)) | changes
    return Run(name=name, host=host, process=json.dumps([identity[field] for field in fields]))


def test_a_claim_says_who_has_it_and_until_when(ledger: Ledger) -> None:
    (number,) = record_works(ledger, "W1")
    (row,) = ledger.claim(ONE, 5)
    assert row == ledger.object(number)
    assert (row.claimed_by, row.lease_until, row.claim_count) == (ONE.name, START + LEASE, 1)
    event = ledger.events(number)[-1]
    assert (event.kind, event.run) == ("claimed", ONE.name)


def test_no_more_than_the_limit_is_taken(ledger: Ledger) -> None:
    first, second, third = record_works(ledger, "W1", "W2", "W3")
    assert ids(ledger, ONE, 0) == []
    assert ids(ledger, ONE, -1) == []
    assert ids(ledger, ONE, 2) == [first, second]
    assert ids(ledger, TWO, 2) == [third]


def test_a_run_gets_its_own_objects_back_first(ledger: Ledger) -> None:
    soon = announced(work_key("W0"), expiry=START + timedelta(hours=1))
    first, second = record_works(ledger, "W1", "W2")
    assert ids(ledger, ONE, 1) == [first]
    (urgent,) = ledger.record("nlm", "later", [soon], [])
    assert sorted(ids(ledger, ONE, 2)) == [first, urgent]
    assert ledger.object(first).claim_count == 1
    assert ids(ledger, ONE, 1) == [urgent]
    assert ids(ledger, TWO, 5) == [second]


def test_a_run_gets_its_own_objects_back_after_its_lease_has_run_out(ledger: Ledger, clock: HandClock) -> None:
    (number,) = record_works(ledger, "W1")
    ids(ledger, ONE)
    clock.passes(LEASE)
    assert ids(ledger, ONE) == [number]
    row = ledger.object(number)
    assert (row.lease_until, row.claim_count) == (clock.now + LEASE, 1)


def test_a_lease_that_has_run_out_is_free_for_others(ledger: Ledger, clock: HandClock) -> None:
    (number,) = record_works(ledger, "W1")
    ids(ledger, ONE)
    clock.passes(LEASE - timedelta(microseconds=1))
    assert ids(ledger, TWO) == []
    clock.passes(timedelta(microseconds=1))
    assert ids(ledger, TWO) == [number]
    assert ledger.object(number).claim_count == 2
    assert [event.kind for event in ledger.events(number)[-2:]] == ["lapsed", "claimed"]


def test_renewing_keeps_a_claim_alive(ledger: Ledger, clock: HandClock) -> None:
    record_works(ledger, "W1", "W2", "W3")
    ids(ledger, ONE, 2)
    ids(ledger, TWO, 1)
    for _ in range(3):
        clock.passes(LEASE - MINUTE)
        assert len(ledger.renew(ONE)) == 2
    assert len(ids(ledger, TWO)) == 1


def test_renewing_takes_back_what_lapsed_unless_it_is_in_other_hands(ledger: Ledger, clock: HandClock) -> None:
    (first,) = record_works(ledger, "W1")
    ids(ledger, ONE)
    clock.passes(LEASE)
    assert ledger.renew(ONE) == {first}
    clock.passes(LEASE)
    # Another object of the same work was taken while nobody held the first.
    (second,) = ledger.record("nlm", "m2", [announced("other/W1.zip")], [])
    ledger.hold(second, TWO)
    assert ledger.renew(ONE) == set()
    with pytest.raises(ClaimLostError, match=f"the key or a work of object {second}"):
        ledger.hold(first, ONE)
    with pytest.raises(ClaimLostError, match=f"the key or a work of object {second}"):
        ledger.note(first, ONE, "still here")
    assert ids(ledger, ONE) == []


@pytest.mark.parametrize("other", ["other/W1.zip", work_key("W1")], ids=["same RID", "same key"])
def test_a_work_is_never_in_two_hands(ledger: Ledger, other: str) -> None:
    first, second = ledger.record("nlm", "m1", [announced(work_key("W1")), announced(other, etag="new")], [])
    assert ids(ledger, ONE) == [first]
    assert ids(ledger, ONE) == [first]
    assert ids(ledger, TWO) == []
    with pytest.raises(ClaimLostError):
        ledger.hold(second, TWO)
    ledger.advance(first, ONE, Phase.SYNCED, "done")
    assert ids(ledger, TWO) == [second]


def test_the_same_key_in_another_bucket_is_another_object_unless_the_work_is_the_same(ledger: Ledger) -> None:
    keys = ["-no work", "-no work"]
    found = [announced(key, bucket=bucket) for key, bucket in zip(keys, ["one", "two"], strict=True)]
    assert ids(ledger, ONE) == []
    assert len(ledger.record("nlm", "m1", found, [])) == 2
    assert len(ids(ledger, ONE)) == 2


def test_works_found_inside_an_object_are_in_hand_too(ledger: Ledger) -> None:
    box, work = record_works(ledger, "Box", "W7")
    ledger.hold(box, ONE)
    ledger.set_works(box, ONE, [WorkFacts("W6", 1, 1), WorkFacts("W7", 1, 1)])
    assert ids(ledger, TWO) == []
    with pytest.raises(ClaimLostError, match=f"the key or a work of object {box}"):
        ledger.hold(work, TWO)
    ledger.release(box, ONE, "later")
    assert ids(ledger, TWO, 1) == [box]


def test_a_work_found_that_is_in_other_hands_is_refused(ledger: Ledger) -> None:
    box, work = record_works(ledger, "Box", "W7")
    ledger.hold(box, ONE)
    ledger.hold(work, TWO)
    with pytest.raises(ClaimLostError, match=f"object {work} .*a work can't be in two hands"):
        ledger.set_works(box, ONE, [WorkFacts("W7", 1, 1)])
    assert ledger.object(box).works == ()


def test_hold_renews_and_returns_the_object(ledger: Ledger, clock: HandClock) -> None:
    (number,) = record_works(ledger, "W1")
    assert ledger.hold(number, ONE).claimed_by == ONE.name
    clock.passes(MINUTE)
    assert ledger.hold(number, ONE).lease_until == clock.now + LEASE
    assert ledger.object(number).claim_count == 1


def test_hold_takes_over_what_has_lapsed(ledger: Ledger, clock: HandClock) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.hold(number, ONE)
    with pytest.raises(ClaimLostError):
        ledger.hold(number, TWO)
    clock.passes(LEASE)
    assert ledger.hold(number, TWO).claimed_by == TWO.name
    with pytest.raises(ClaimLostError):
        ledger.hold(number, ONE)


def test_hold_returns_what_is_synced_or_failed_without_taking_it(ledger: Ledger) -> None:
    first, second = record_works(ledger, "W1", "W2")
    ids(ledger, ONE)
    ledger.advance(first, ONE, Phase.SYNCED, "done")
    ledger.fail(second, ONE, "bad", "cause")
    for number, phase in ((first, Phase.SYNCED), (second, Phase.FAILED)):
        row = ledger.hold(number, TWO)
        assert (row.phase, row.claimed_by) == (phase, None)
    assert ids(ledger, TWO) == []


def test_hold_refuses_what_is_not_restored_yet(ledger: Ledger) -> None:
    waiting = announced(event_name="ObjectRestore:Post", expiry=None)
    (number,) = ledger.record("nlm", "m1", [waiting], [])
    with pytest.raises(PhaseOrderError, match="isn't restored yet"):
        ledger.hold(number, ONE)


def test_an_object_that_does_not_exist_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownObjectError, match="the ledger has no object 4711"):
        ledger.hold(4711, ONE)
    with pytest.raises(UnknownObjectError, match="the ledger has no object 4711"):
        ledger.object(4711)


def test_released_is_free_and_can_be_released_again(ledger: Ledger) -> None:
    (number,) = record_works(ledger, "W1")
    ids(ledger, ONE)
    with pytest.raises(ClaimLostError):
        ledger.release(number, TWO, "not mine")
    ledger.release(number, ONE, "no space")
    ledger.release(number, ONE, "no space")
    assert (ledger.object(number).claimed_by, ledger.object(number).lease_until) == (None, None)
    assert [event.message for event in ledger.events(number) if event.kind == "released"] == ["no space"]
    assert ids(ledger, TWO) == [number]


WRITES = {
    "advance": lambda ledger, number, run: ledger.advance(number, run, Phase.DOWNLOADED, "done"),
    "note": lambda ledger, number, run: ledger.note(number, run, "remark"),
    "fail": lambda ledger, number, run: ledger.fail(number, run, "bad", "cause"),
    "count": lambda ledger, number, run: ledger.count_unknown_error(number, run, "cause"),
    "set_works": lambda ledger, number, run: ledger.set_works(number, run, [WorkFacts("W1", 2, 2)]),
    "update_work": lambda ledger, number, run: ledger.update_work(number, run, "W1", phase=Phase.SYNCED),
    "tell_pace": lambda ledger, number, run: ledger.tell_pace(number, run, "stage", Pace(1, 2, gained=1, seconds=1)),
}


@pytest.mark.parametrize("write", WRITES)
def test_every_write_needs_the_claim_and_else_changes_nothing(ledger: Ledger, clock: HandClock, write: str) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.hold(number, ONE)
    ledger.set_works(number, ONE, [WorkFacts("W1", 1, 1)])
    ledger.release(number, ONE, "put back")
    with pytest.raises(ClaimLostError, match=r"object 1 .* is in the hands of nobody, expected .*/one"):
        WRITES[write](ledger, number, ONE)
    clock.passes(MINUTE)
    ledger.hold(number, TWO)
    before = (ledger.object(number), ledger.events())
    with pytest.raises(ClaimLostError, match=r"in the hands of .*/two on scheduler-1 until 2026-03-01 12:16:00 UTC"):
        WRITES[write](ledger, number, ONE)
    assert (ledger.object(number), ledger.events()) == before
    WRITES[write](ledger, number, TWO)
    assert (ledger.object(number), ledger.events()) != before


@pytest.mark.parametrize("write", WRITES)
def test_a_task_that_was_overtaken_by_its_next_try_changes_nothing(
    ledger: Ledger, clock: HandClock, write: str
) -> None:
    first_try, next_try = (replace(ONE, worker=name) for name in ("first try", "next try"))
    (number,) = record_works(ledger, "W1")
    assert [item.id for item in ledger.claim(replace(ONE, worker="the task before"), 1)] == [number]
    ledger.hold(number, first_try)
    ledger.set_works(number, first_try, [WorkFacts("W1", 1, 1)])
    ledger.hold(number, next_try)
    before = (ledger.object(number), ledger.events())
    with pytest.raises(ClaimLostError, match=r"is in the hands of another process of .*/one on scheduler-1"):
        WRITES[write](ledger, number, first_try)
    assert ledger.renew(first_try) == set()
    assert (ledger.object(number), ledger.events()) == before
    clock.passes(MINUTE)
    assert ledger.renew(next_try) == {number}
    WRITES[write](ledger, number, next_try)


def test_every_process_of_a_run_keeps_all_its_claims_alive(ledger: Ledger, clock: HandClock) -> None:
    one, two = (replace(ONE, worker=name, host=name) for name in ("one", "two"))
    first, second = record_works(ledger, "W1", "W2")
    ids(ledger, one)
    ledger.hold(first, one)
    ledger.hold(second, two)
    clock.passes(LEASE - MINUTE)
    assert ledger.renew(one) == {first}
    clock.passes(LEASE - MINUTE)
    assert ids(ledger, TWO) == []
    ledger.note(second, two, "still here")


@pytest.mark.parametrize("write", WRITES)
def test_a_write_after_the_lease_has_run_out_renews_it_if_nobody_else_came(
    ledger: Ledger, clock: HandClock, write: str
) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.hold(number, ONE)
    ledger.set_works(number, ONE, [WorkFacts("W1", 1, 1)])
    clock.passes(2 * LEASE)
    WRITES[write](ledger, number, ONE)
    assert ledger.object(number).lease_until == (None if write == "fail" else clock.now + LEASE)


def test_a_claim_of_this_living_process_holds(ledger: Ledger) -> None:
    record_works(ledger, "W1")
    assert len(ids(ledger, process_run("alive"))) == 1
    assert ids(ledger, process_run("other")) == []


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"start": "1"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"boot": "another boot"}, True),
        ({"boot": "another boot", "machine": ""}, False),
        ({"boot": "another boot", "machine": "another machine of the same name"}, False),
        ({"pid": 2**22 + 1, "namespace": "pid:[another container]"}, False),
    ],
    ids=["number used again", "gone", "rebooted", "machine unknown", "other machine", "other container"],
)
def test_a_dead_process_of_this_host_holds_nothing_if_it_is_certain(
    ledger: Ledger, changes: dict[str, object], *, free: bool
) -> None:
    if free and "boot" in changes and not Path("/etc/machine-id").exists():
        pytest.skip("this machine has no /etc/machine-id, so that it was this one that was booted can't be proved")
    (number,) = record_works(ledger, "W1")
    dead = process_run("dead", **changes)
    ids(ledger, dead)
    assert ids(ledger, process_run("far", host="elsewhere")) == []
    assert ids(ledger, process_run("next")) == ([number] if free else [])


def test_a_dead_process_ends_its_claim_without_a_word(ledger: Ledger) -> None:
    (number,) = record_works(ledger, "W1")
    ids(ledger, process_run("dead", start="1"))
    assert ids(ledger, process_run("next")) == [number]
    assert ledger.lapses() == {number: 1}


def test_a_process_that_has_ended_unnoticed_by_its_parent_holds_nothing() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, this_process().encode())
        os._exit(0)
    identity = os.read(read, 1000).decode()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_certainly_dead(identity)
    os.waitpid(child, 0)
    assert is_certainly_dead(identity)
    assert not is_certainly_dead(this_process())
    os.close(read)
    os.close(write)


def test_a_dag_run_is_not_tied_to_a_process() -> None:
    run = Run.of_dag_run("sqs_scheduled_dag", "scheduled__2026-03-01")
    assert run == Run("sqs_scheduled_dag/scheduled__2026-03-01", socket.gethostname(), None, this_process())


def test_a_run_of_this_process_is_always_the_same_and_of_no_other() -> None:
    run = Run.of_this_process()
    assert run == Run.of_this_process()
    assert (run.host, run.process) == (socket.gethostname(), this_process())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, Run.of_this_process().name.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read().decode() not in ("", run.name)
