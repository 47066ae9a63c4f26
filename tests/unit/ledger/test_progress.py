from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.ledger import START, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.ledger import (
    ClaimLostError,
    Ledger,
    LedgerWork,
    Phase,
    PhaseOrderError,
    UnknownObjectError,
    WorkFacts,
)
from glacier_sync.ledger.models import Event

ONE = dag_run("one")
TWO = dag_run("two")
HOUR = timedelta(hours=1)


@pytest.fixture
def number(ledger: Ledger) -> int:
    (found,) = record_works(ledger, "W1")
    ledger.hold(found, ONE)
    return found


def column(url: str, name: str) -> list[object]:
    """What a site's report reads: a column as it is in the database."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        values = connection.execute(sa.text(f"SELECT {name} FROM glacier_sync_progress ORDER BY id")).scalars().all()
    engine.dispose()
    return [json.loads(value) if name == "user_data" and isinstance(value, str) else value for value in values]


def test_each_phase_has_its_time_and_its_event(ledger: Ledger, number: int, clock: HandClock) -> None:
    for phase in (Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED):
        clock.passes(HOUR / 10)
        ledger.advance(number, ONE, phase, f"it is {phase}", {"seconds": 7})
    row = ledger.object(number)
    times = (row.restore_complete_on, row.download_complete_on, row.debag_complete_on, row.sync_complete_on)
    assert times == (START, START + HOUR / 10, START + 2 * HOUR / 10, START + 3 * HOUR / 10)
    assert (row.phase, row.update_time, row.claimed_by, row.lease_until) == (Phase.SYNCED, clock.now, None, None)
    events = [(event.kind, event.message, event.run) for event in ledger.events(number)][2:]
    assert events == [(phase, f"it is {phase}", ONE.name) for phase in ("downloaded", "debagged", "synced")]
    assert ledger.events(number)[-1].details == {"seconds": 7}


def test_the_columns_of_the_sites_are_filled(ledger: Ledger, number: int, url: str) -> None:
    ledger.advance(number, ONE, Phase.DOWNLOADED, "17 GB", {"seconds": 7})
    ledger.fail(number, ONE, "bad bag", "3 defects")
    assert column(url, "object_name") == [work_key("W1")]
    assert column(url, "user_data") == [
        [
            {"time_stamp": START.isoformat(), "user_data": {"message": "17 GB", "details": {"seconds": 7}}},
            {"time_stamp": START.isoformat(), "user_data": {"message": "bad bag", "details": {"cause": "3 defects"}}},
        ]
    ]
    assert all(value is not None for value in column(url, "download_complete_on"))


@pytest.mark.parametrize("key", ["a" * 400 + "/W1.bag.zip", "\x00" * 300, "📜" * 256], ids=["long", "escaped", "emoji"])
def test_a_long_key_is_shortened_recognisably_for_the_sites(ledger: Ledger, url: str, key: str) -> None:
    ledger.record("nlm", "m1", [announced(key)], [])
    (name,) = column(url, "object_name")
    assert isinstance(name, str)
    assert len(name) == 255
    assert "…" in name
    if key.endswith("zip"):
        assert name.startswith("aaaa")
        assert name.endswith("/W1.bag.zip")


def test_a_key_of_255_characters_is_whole(ledger: Ledger, url: str) -> None:
    ledger.record("nlm", "m1", [announced("k" * 255)], [])
    assert column(url, "object_name") == ["k" * 255]


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.RESTORED, Phase.DOWNLOADED, Phase.DEBAGGED])
def test_phases_only_move_forward(ledger: Ledger, number: int, phase: Phase) -> None:
    ledger.advance(number, ONE, Phase.DEBAGGED, "unpacked")
    ledger.release(number, ONE, "killed")
    ledger.hold(number, TWO)
    with pytest.raises(PhaseOrderError, match=f"is debagged and can't become {phase}: phases only move forward"):
        ledger.advance(number, TWO, phase, "again")
    assert ledger.object(number).phase is Phase.DEBAGGED


@pytest.mark.parametrize("phase", [Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED])
def test_a_stage_that_was_killed_after_its_commit_can_say_it_again(ledger: Ledger, number: int, phase: Phase) -> None:
    ledger.advance(number, ONE, phase, "done")
    before = (ledger.object(number), ledger.events())
    ledger.advance(number, ONE, phase, "done")
    assert (ledger.object(number), ledger.events()) == before


def test_failing_again_says_nothing_new(ledger: Ledger, number: int) -> None:
    ledger.fail(number, ONE, "bad bag", "cause")
    before = (ledger.object(number), ledger.events())
    ledger.fail(number, ONE, "bad bag", "cause")
    assert (ledger.object(number), ledger.events()) == before


def test_a_failure_says_why_and_gives_the_object_back(ledger: Ledger, number: int) -> None:
    ledger.fail(number, ONE, "the bag is invalid: 2 files differ", "sha512 of a/\x00.tif", {"report": Path("/x")})
    row = ledger.object(number)
    assert (row.phase, row.claimed_by, row.attempt) == (Phase.FAILED, None, 1)
    assert (row.failure_reason, row.failure_cause) == ("the bag is invalid: 2 files differ", "sha512 of a/\x00.tif")
    event = ledger.events(number)[-1]
    assert (event.kind, event.details) == ("failed", {"report": "/x", "cause": "sha512 of a/\x00.tif"})


def test_what_is_synced_cannot_fail_and_what_failed_cannot_go_on(ledger: Ledger) -> None:
    first, second = record_works(ledger, "W1", "W2")
    ledger.claim(ONE, 2)
    ledger.advance(first, ONE, Phase.SYNCED, "done")
    ledger.fail(second, ONE, "bad", "cause")
    with pytest.raises(PhaseOrderError, match="is synced and can't become failed"):
        ledger.fail(first, ONE, "bad", "cause")
    with pytest.raises(PhaseOrderError, match="is failed and can't become synced"):
        ledger.advance(second, ONE, Phase.SYNCED, "done")


def test_what_others_have_ended_is_lost(ledger: Ledger) -> None:
    first, second = record_works(ledger, "W1", "W2")
    ledger.claim(TWO, 2)
    ledger.advance(first, TWO, Phase.SYNCED, "done")
    ledger.fail(second, TWO, "bad", "cause")
    before = (ledger.objects(), ledger.events())
    with pytest.raises(
        ClaimLostError, match=f"is synced: {TWO.name} ended it when the lease of {ONE.name} had run out"
    ):
        ledger.fail(first, ONE, "bad", "cause")
    with pytest.raises(ClaimLostError, match="is failed"):
        ledger.fail(second, ONE, "bad", "cause")
    with pytest.raises(ClaimLostError, match="is failed"):
        ledger.advance(second, ONE, Phase.SYNCED, "done")
    assert (ledger.objects(), ledger.events()) == before


def test_to_fail_needs_a_reason(ledger: Ledger, number: int) -> None:
    with pytest.raises(ValueError, match="use fail"):
        ledger.advance(number, ONE, Phase.FAILED, "done")


def test_a_remark_on_a_work_needs_no_claim_and_goes_to_its_newest_object(ledger: Ledger, number: int) -> None:
    for phase in (Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED):
        ledger.advance(number, ONE, phase, "done")
    (newest,) = ledger.record("nlm", "again", [announced(work_key("W1"), expiry=START + 9 * HOUR)], [])
    before = ledger.object(newest)
    assert ledger.remark("W1", TWO, "audited by hand", {"outcome": "Passed"})
    last = ledger.events(newest)[-1]
    assert (last.kind, last.message, last.run, last.details) == (
        "note",
        "audited by hand",
        TWO.name,
        {"outcome": "Passed", "rid": "W1"},
    )
    assert "note" not in [event.kind for event in ledger.events(number)]
    after = ledger.object(newest)
    assert (after.phase, after.claimed_by, after.works) == (before.phase, before.claimed_by, before.works)


def test_a_remark_on_a_work_that_nobody_knows_is_kept_by_itself(ledger: Ledger, number: int) -> None:
    for text in ("audited by hand", "synced by hand"):
        assert not ledger.remark("W2", ONE, text, {"outcome": "Passed"})
    assert not ledger.remark("W3", ONE, "audited by hand")
    assert [
        (event.object_id, event.kind, event.message, event.run, event.details) for event in ledger.remarks("W2")
    ] == [
        (None, "note", "audited by hand", ONE.name, {"outcome": "Passed", "rid": "W2"}),
        (None, "note", "synced by hand", ONE.name, {"outcome": "Passed", "rid": "W2"}),
    ]
    assert ledger.remarks("W1") == []


@pytest.mark.parametrize("rid", ["W2", "W\\1\n", "W\x00", "W\udcff", "W'\"%", "པར"])
def test_remarks_on_other_works_are_not_even_read(ledger: Ledger, rid: str) -> None:
    for other in ("W22", "w2", "%", rid):
        ledger.remark(other, ONE, "audited by hand")
    read: list[int] = []

    def count(event: Event, _context: object) -> None:
        read.append(event.id)

    sa.event.listen(Event, "load", count)
    try:
        found = ledger.remarks(rid)
    finally:
        sa.event.remove(Event, "load", count)
    assert [event.details for event in found] == [{"rid": rid}]
    assert read == [event.id for event in found]


def test_details_of_any_kind_are_recorded(ledger: Ledger, number: int) -> None:
    details = {"path": Path("a"), "time": START, "bytes": b"\xff", "nan": float("nan"), "set": {1}, 7: ("\ud800", None)}
    ledger.note(number, ONE, "remark", details)
    assert ledger.events(number)[-1].details == {
        "path": "a",
        "time": "2026-03-01 12:00:00+00:00",
        "bytes": "b'\\xff'",
        "nan": "nan",
        "set": [1],
        "7": ["\ud800", None],
    }


def test_unknown_errors_are_counted(ledger: Ledger, number: int) -> None:
    assert [ledger.count_unknown_error(number, ONE, f"KeyError {n}") for n in (1, 2)] == [1, 2]
    assert ledger.object(number).unknown_errors == 2
    assert ledger.events(number)[-1].message == "an unknown error, number 2: KeyError 2"


def test_works_are_recorded_and_replaced(ledger: Ledger, number: int) -> None:
    ledger.set_works(number, ONE, [WorkFacts("W1", 10, 1000), WorkFacts("W2", 2, 2**40)])
    ledger.update_work(number, ONE, "W1", phase=Phase.SYNCED, destination="/mnt/Archive0/01/W1", audit="Warnings")
    before = (ledger.object(number), ledger.events())
    ledger.set_works(number, ONE, [WorkFacts("W2", 2, 2**40), WorkFacts("W1", 10, 1000)])
    assert (ledger.object(number), ledger.events()) == before
    ledger.set_works(number, ONE, [WorkFacts("W1", 10, 1000), WorkFacts("W2", 3, 3), WorkFacts("W3", 0, 0)])
    assert [(work.rid, work.files, work.phase) for work in ledger.object(number).works] == [
        ("W1", 10, Phase.SYNCED),
        ("W2", 3, Phase.DEBAGGED),
        ("W3", 0, Phase.DEBAGGED),
    ]
    ledger.set_works(number, ONE, [])
    assert ledger.object(number).works == ()


def test_a_work_listed_twice_is_refused(ledger: Ledger, number: int) -> None:
    with pytest.raises(ValueError, match="a work is listed twice: W1, W1"):
        ledger.set_works(number, ONE, [WorkFacts("W1", 1, 1), WorkFacts("W1", 2, 2)])


def test_a_work_keeps_its_destination_and_audit_until_they_are_known_better(
    ledger: Ledger, number: int, clock: HandClock
) -> None:
    ledger.set_works(number, ONE, [WorkFacts("W1", 1, 1)])
    ledger.update_work(number, ONE, "W1", phase=Phase.DEBAGGED, audit="Passed", destination="/a")
    clock.passes(HOUR / 10)
    ledger.update_work(number, ONE, "W1", phase=Phase.SYNCED)
    synced = LedgerWork("W1", 1, 1, Phase.SYNCED, "/a", "Passed", None, clock.now)
    assert ledger.object(number).works == (synced,)
    clock.passes(HOUR / 10)
    events = len(ledger.events())
    ledger.update_work(number, ONE, "W1", phase=Phase.SYNCED)
    assert (ledger.object(number).works, len(ledger.events())) == ((synced,), events)
    with pytest.raises(PhaseOrderError, match="work W1 is synced and can't become debagged again"):
        ledger.update_work(number, ONE, "W1", phase=Phase.DEBAGGED)
    ledger.update_work(number, ONE, "W1", phase=Phase.FAILED, audit="Failed", reason="a file differs")
    assert ledger.object(number).works == (
        LedgerWork("W1", 1, 1, Phase.FAILED, "/a", "Failed", "a file differs", None),
    )


def test_a_work_that_was_not_found_is_named(ledger: Ledger, number: int) -> None:
    with pytest.raises(UnknownObjectError, match="holds no work W9"):
        ledger.update_work(number, ONE, "W9", phase=Phase.SYNCED)


def test_objects_are_found_by_work_rid_and_key(ledger: Ledger) -> None:
    first, second, third = record_works(ledger, "W1", "W2", "W3")
    ledger.hold(first, ONE)
    ledger.set_works(first, ONE, [WorkFacts("W2", 1, 1), WorkFacts("W8", 1, 1)])
    assert [row.id for row in ledger.find("W2")] == [first, second]
    assert [row.id for row in ledger.find("W8")] == [first]
    assert [row.id for row in ledger.find(work_key("W3"))] == [third]
    assert ledger.find("W") == []


def test_objects_are_listed_by_phase_and_limit(ledger: Ledger) -> None:
    first, second, third = record_works(ledger, "W1", "W2", "W3")
    ledger.hold(second, ONE)
    ledger.advance(second, ONE, Phase.DOWNLOADED, "done")
    assert [row.id for row in ledger.objects()] == [first, second, third]
    assert [row.id for row in ledger.objects(limit=2)] == [second, third]
    assert [row.id for row in ledger.objects({Phase.RESTORED})] == [first, third]
    assert [row.id for row in ledger.objects([Phase.DOWNLOADED, Phase.SYNCED])] == [second]
    assert ledger.objects([]) == []


def test_events_cannot_be_changed_even_by_hand(ledger: Ledger, number: int, url: str) -> None:
    engine = sa.create_engine(url)
    before = ledger.events()
    statements = ["UPDATE glacier_sync_event SET message = 'x'", "DELETE FROM glacier_sync_event"]
    if engine.dialect.name == "postgresql":
        statements.append("TRUNCATE glacier_sync_event")
    for statement in statements:
        with pytest.raises(sa.exc.DBAPIError, match="appended, never changed"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()
    assert ledger.events() == before


def test_times_come_from_the_clock_of_the_database(url: str) -> None:
    with Ledger(url, lease=timedelta(minutes=15)) as ledger:
        ledger.migrate()
        (number,) = record_works(ledger, "W1")
        row = ledger.hold(number, ONE)
    assert row.lease_until is not None
    assert row.lease_until.utcoffset() == timedelta()
    assert row.lease_until - row.update_time == timedelta(minutes=15)
