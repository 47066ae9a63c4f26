"""New attempts of what has failed, what is forgotten, and what waits for another restore."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

import pytest
from tests.support.ledger import LEASE, START, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.ledger import (
    Forgotten,
    Ledger,
    LedgerObject,
    Phase,
    RefusedError,
    Run,
    UnknownObjectError,
    WorkFacts,
)

ONE = dag_run("one")
TWO = dag_run("two")
OPERATOR = Run(name="elie@archive", host="archive", process=None)


def failed(ledger: Ledger, rid: str = "W1") -> int:
    """An object whose second work failed when it was as good as done."""
    (number,) = record_works(ledger, rid)
    ledger.hold(number, ONE)
    ledger.advance(number, ONE, Phase.DOWNLOADED, "downloaded")
    ledger.set_works(number, ONE, [WorkFacts(rid, 1, 1), WorkFacts(f"{rid}-2", 1, 1)])
    ledger.advance(number, ONE, Phase.DEBAGGED, "unbagged")
    ledger.update_work(number, ONE, rid, phase=Phase.SYNCED, destination="/mnt/Archive0/00/W1", audit="Passed")
    ledger.update_work(number, ONE, f"{rid}-2", phase=Phase.FAILED, audit="Failed", reason="a page is missing")
    ledger.count_unknown_error(number, ONE, "EIO")
    ledger.fail(number, ONE, "a page is missing", "audit.csv")
    return number


def test_a_retry_begins_a_new_attempt_and_keeps_the_history(ledger: Ledger, clock: HandClock) -> None:
    number = failed(ledger)
    before = ledger.events(number)
    clock.passes(timedelta(days=1))
    (item,) = ledger.retry([number], OPERATOR)
    assert item == ledger.object(number)
    assert (item.phase, item.attempt, item.unknown_errors) == (Phase.RESTORED, 2, 0)
    assert (item.failure_reason, item.failure_cause) == (None, None)
    assert item.restore_complete_on == START
    assert (item.download_complete_on, item.debag_complete_on) == (None, None)
    assert [(work.phase, work.reason) for work in item.works] == [(Phase.SYNCED, None), (Phase.DEBAGGED, None)]
    (*earlier, event) = ledger.events(number)
    assert earlier == before
    assert (event.kind, event.run, event.time) == ("retried", OPERATOR.name, clock.now)
    assert event.message == "attempt 2, asked for by elie@archive; the one before failed: a page is missing"
    assert event.details == {"reason": "a page is missing", "cause": "audit.csv"}
    assert [row.id for row in ledger.claim(TWO, 5)] == [number]


def test_an_attempt_goes_all_the_way_again(ledger: Ledger) -> None:
    number = failed(ledger)
    ledger.retry([number], OPERATOR)
    ledger.hold(number, ONE)
    for phase in (Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED):
        ledger.advance(number, ONE, phase, f"{phase} at last")
    assert ledger.object(number).phase is Phase.SYNCED
    assert [event.kind for event in ledger.events(number)].count("downloaded") == 2


@pytest.mark.parametrize("phase", [Phase.RESTORED, Phase.DOWNLOADED, Phase.SYNCED])
def test_what_has_not_failed_is_not_retried_nor_is_anything_beside_it(ledger: Ledger, phase: Phase) -> None:
    first = failed(ledger)
    (second,) = record_works(ledger, "W2")
    ledger.hold(second, ONE)
    if phase is not Phase.RESTORED:
        ledger.advance(second, ONE, phase, "on its way")
    before = (ledger.objects(), ledger.events())
    with pytest.raises(RefusedError, match=rf"object {second} .* is {phase}: only what has failed is tried anew"):
        ledger.retry([first, second], OPERATOR)
    assert (ledger.objects(), ledger.events()) == before


def test_what_was_restored_once_more_is_not_retried(ledger: Ledger) -> None:
    number = failed(ledger)
    again = announced(work_key("W1"), expiry=START + timedelta(days=9))
    (later,) = ledger.record("nlm", "again", [again], [])
    with pytest.raises(RefusedError, match=rf"that is object {later}, which is restored; look at that one"):
        ledger.retry([number], OPERATOR)


def synced(ledger: Ledger, key: str, *rids: str, later: timedelta) -> int:
    """An object that was announced later than others, and synced."""
    (number,) = ledger.record("nlm", key, [announced(key, etag=key, event_time=START + later)], [])
    ledger.hold(number, ONE)
    ledger.set_works(number, ONE, [WorkFacts(rid, 1, 1) for rid in rids])
    for rid in rids:
        ledger.update_work(number, ONE, rid, phase=Phase.SYNCED)
    ledger.advance(number, ONE, Phase.SYNCED, "synced")
    return number


def test_what_is_older_than_what_was_synced_since_is_not_retried(ledger: Ledger) -> None:
    number = failed(ledger)
    earlier = synced(ledger, "earlier/W1.bag.zip", "W1", "W1-2", later=-timedelta(minutes=1))
    one_work = synced(ledger, "later/W1.bag.zip", "W1", later=timedelta(minutes=1))
    assert ledger.synced_later(number, "W1-2") is None
    assert ledger.synced_later(number, "W1") == ledger.object(one_work)
    assert [item.phase for item in ledger.retry([number], OPERATOR)] == [Phase.RESTORED]
    ledger.forget([number], OPERATOR, "it failed again")
    at_once = synced(ledger, "at-once/W1.bag.zip", "W1-2", later=timedelta(0))
    assert ledger.synced_later(number, "W1-2") == ledger.object(at_once)
    assert ledger.synced_later(at_once, "W1-2") is None
    newest = synced(ledger, "newest/W1.bag.zip", "W1", "W1-2", later=timedelta(minutes=2))
    with pytest.raises(
        RefusedError, match=rf"is older than what the archive has: that is of object {newest} \(newest/"
    ):
        ledger.retry([number], OPERATOR)
    assert ledger.synced_later(newest, "W1") is None
    assert ledger.synced_later(earlier, "W1-2") == ledger.object(newest)


def test_a_lapsed_claim_is_not_taken_back_when_a_later_version_is_synced(ledger: Ledger, clock: HandClock) -> None:
    """What wakes up late must write over nothing newer; an older version is nobody's reason to stop."""
    first, second = record_works(ledger, "W1", "W2")
    for number in (first, second):
        ledger.hold(number, TWO)
    clock.passes(LEASE)
    synced(ledger, "later/W1.bag.zip", "W1", later=timedelta(minutes=1))
    synced(ledger, "earlier/W2.bag.zip", "W2", later=-timedelta(minutes=1))
    assert ledger.renew(TWO) == {second}


def test_what_never_was_unpacked_goes_by_its_key(ledger: Ledger) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.forget([number], OPERATOR, "restored by mistake")
    synced(ledger, "later/W1.bag.zip", "W1", later=timedelta(minutes=1))
    with pytest.raises(RefusedError, match="forget this one, or have it restored once more if it is the right one"):
        ledger.retry([number], OPERATOR)


def test_an_unknown_object_is_told(ledger: Ledger) -> None:
    with pytest.raises(UnknownObjectError):
        ledger.retry([7], OPERATOR)
    with pytest.raises(UnknownObjectError):
        ledger.forget([7], OPERATOR, "nobody knows it")


def test_what_is_forgotten_stays_failed_with_who_when_and_why(ledger: Ledger, clock: HandClock) -> None:
    number = failed(ledger)
    before = ledger.events(number)
    clock.passes(timedelta(days=1))
    (item,) = ledger.forget([number], OPERATOR, "the disc is lost")
    assert item == ledger.object(number)
    assert item.forgotten == Forgotten(by=OPERATOR.name, on=clock.now, reason="the disc is lost")
    assert (item.phase, item.failure_reason) == (Phase.FAILED, "a page is missing")
    (*earlier, event) = ledger.events(number)
    assert earlier == before
    assert (event.kind, event.run) == ("forgotten", OPERATOR.name)
    assert event.message == "forgotten by elie@archive: the disc is lost"


def test_what_waits_can_be_forgotten_and_is_claimed_no_more(ledger: Ledger) -> None:
    number, other = record_works(ledger, "W1", "W2")
    (item,) = ledger.forget([number], OPERATOR, "restored by mistake")
    assert (item.phase, item.failure_reason) == (Phase.FAILED, "forgotten by elie@archive: restored by mistake")
    assert [row.id for row in ledger.claim(ONE, 5)] == [other]


def test_what_is_in_hand_is_not_forgotten(ledger: Ledger, clock: HandClock) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.hold(number, ONE)
    before = (ledger.object(number), ledger.events())
    with pytest.raises(RefusedError, match=r"is in the hands of .*/one on .*: forget it when that has ended"):
        ledger.forget([number], OPERATOR, "hopeless")
    assert (ledger.object(number), ledger.events()) == before
    clock.passes(LEASE)
    (item,) = ledger.forget([number], OPERATOR, "hopeless")
    assert item.claimed_by is None


def test_what_is_synced_or_forgotten_is_not_forgotten(ledger: Ledger) -> None:
    number = failed(ledger)
    ledger.forget([number], OPERATOR, "the disc is lost")
    with pytest.raises(RefusedError, match="is forgotten already, by elie@archive: the disc is lost"):
        ledger.forget([number], OPERATOR, "again")
    (synced,) = record_works(ledger, "W2")
    ledger.hold(synced, ONE)
    ledger.advance(synced, ONE, Phase.SYNCED, "done")
    with pytest.raises(RefusedError, match="is synced: its works are in the archive"):
        ledger.forget([synced], OPERATOR, "hopeless")


def test_a_retry_puts_back_on_the_list_what_was_forgotten(ledger: Ledger) -> None:
    number = failed(ledger)
    ledger.forget([number], OPERATOR, "the disc is lost")
    (item,) = ledger.retry([number], OPERATOR)
    assert (item.phase, item.forgotten) == (Phase.RESTORED, None)


def test_what_never_was_restored_is_looked_at_when_it_is_retried(ledger: Ledger) -> None:
    asked = announced(work_key("W1"), event_name="ObjectRestore:Post", expiry=None)
    (number,) = ledger.record("nlm", "m1", [asked], [])
    ledger.forget([number], OPERATOR, "it takes too long")
    assert [item.phase for item in ledger.retry([number], OPERATOR)] == [Phase.RESTORED]


def test_an_operator_is_known_by_name_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "elie")
    assert Run.by_hand() == Run(f"elie@{socket.gethostname()}", socket.gethostname(), None)


def waiting(ledger: Ledger, number: int, known: datetime | None, *, requested: bool = True) -> bool:
    return ledger.await_restore(number, ONE, "its copy has expired", known_expiry=known, requested=requested)


@pytest.fixture
def expired(ledger: Ledger) -> LedgerObject:
    """An object whose restored copy has expired, in the first run's hands."""
    (number,) = record_works(ledger, "W1")
    return ledger.hold(number, ONE)


@pytest.mark.parametrize("requested", [True, False])
def test_what_has_no_copy_waits_in_nobodys_hands_until_one_is_announced(
    ledger: Ledger, clock: HandClock, expired: LedgerObject, *, requested: bool
) -> None:
    assert waiting(ledger, expired.id, expired.restore_expiry, requested=requested)
    item = ledger.object(expired.id)
    assert (item.phase, item.attempt, item.claimed_by) == (Phase.REQUESTED, 2, None)
    assert (item.restore_expiry, item.restore_complete_on) == (None, None)
    assert item.restore_requested_on == (clock.now if requested else None)
    assert ledger.events(item.id)[-1].message == "its copy has expired"
    assert ledger.claim(ONE, 5) == []
    # The earlier restore's event, delivered once more, is not the new one's.
    assert ledger.record("nlm", "late", [announced(work_key("W1"))], []) == ()
    assert ledger.object(item.id).phase is Phase.REQUESTED
    anew = announced(work_key("W1"), expiry=START + timedelta(days=20))
    ledger.record("nlm", "anew", [anew], [])
    assert [(row.id, row.attempt) for row in ledger.claim(TWO, 5)] == [(item.id, 2)]


def test_a_restore_that_was_announced_meanwhile_is_not_waited_for(ledger: Ledger, expired: LedgerObject) -> None:
    ledger.record("nlm", "anew", [announced(work_key("W1"), expiry=START + timedelta(days=20))], [])
    before = (ledger.object(expired.id), ledger.events())
    assert not waiting(ledger, expired.id, expired.restore_expiry)
    assert (ledger.object(expired.id), ledger.events()) == before


def test_objects_are_found_in_the_order_of_their_announcement(ledger: Ledger) -> None:
    times = [timedelta(minutes=minute) for minute in (2, 0, 1)]
    numbers = [
        ledger.record("nlm", f"at {time}", [announced(work_key("W1"), etag=f"{time}", event_time=START + time)], [])[0]
        for time in times
    ]
    assert [item.id for item in ledger.find("W1")] == [numbers[1], numbers[2], numbers[0]]
