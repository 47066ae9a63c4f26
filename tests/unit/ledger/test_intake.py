from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.ledger import COMPLETED, START, HandClock, announced, dag_run, work_key

from glacier_sync.events import RestoredObject, UnwantedObject
from glacier_sync.ledger import Ledger, Phase

RUN = dag_run("one")
LATER = START + timedelta(days=9)


def kinds(ledger: Ledger, object_id: int | None = None) -> list[str]:
    return [event.kind for event in ledger.events(object_id)]


def sync(ledger: Ledger, object_id: int) -> None:
    ledger.hold(object_id, RUN)
    ledger.advance(object_id, RUN, Phase.SYNCED, "synced")


def test_a_wanted_object_becomes_a_row(ledger: Ledger) -> None:
    found = announced(version_id="v1")
    (number,) = ledger.record("nlm", "m1", [found], [])
    row = ledger.object(number)
    assert (row.queue, row.bucket, row.key, row.version_id, row.etag, row.size) == (
        "nlm",
        found.bucket,
        found.key,
        "v1",
        found.etag,
        found.size,
    )
    assert (row.phase, row.attempt, row.rid, row.claimed_by) == (Phase.RESTORED, 1, "W1NLM4700", None)
    assert (row.restore_expiry, row.event_name) == (found.restore_expiry, COMPLETED)
    assert (row.restore_complete_on, row.restore_requested_on, row.create_time) == (START, None, START)
    (event,) = ledger.events(number)
    assert (event.kind, event.details["message_id"], event.details["region"]) == ("restored", "m1", "ap-northeast-2")


def test_all_objects_of_a_message_are_recorded_in_its_order(ledger: Ledger) -> None:
    found = [announced(work_key(rid)) for rid in ("W3", "W1", "W2")]
    numbers = ledger.record("nlm", "m1", found, [])
    assert [ledger.object(number).rid for number in numbers] == ["W3", "W1", "W2"]


def test_the_same_message_again_makes_nothing_new(ledger: Ledger) -> None:
    assert len(ledger.record("nlm", "m1", [announced()], [])) == 1
    assert ledger.record("nlm", "m1", [announced()], []) == ()
    assert ledger.record("nlm", "m1", [announced()], []) == ()
    assert kinds(ledger) == ["restored", "duplicate"]


def test_the_same_restore_in_another_message_is_a_duplicate(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m1", [announced()], [])
    assert ledger.record("nlm", "m2", [announced(event_time=START + timedelta(hours=1))], []) == ()
    assert kinds(ledger, number) == ["restored", "duplicate"]
    assert len(ledger.objects()) == 1


def test_the_same_restore_twice_in_one_message_is_one_row(ledger: Ledger) -> None:
    assert len(ledger.record("nlm", "m1", [announced(), announced()], [])) == 1


@pytest.mark.parametrize(
    "other",
    [
        announced(bucket="other"),
        announced("other.bag.zip"),
        announced(version_id="v2"),
        announced(etag="other"),
    ],
    ids=["bucket", "key", "version", "etag"],
)
def test_another_object_is_another_row(ledger: Ledger, other: RestoredObject) -> None:
    ledger.record("nlm", "m1", [announced()], [])
    assert len(ledger.record("nlm", "m1", [other], [])) == 1


def test_another_expiry_of_an_object_on_its_way_replaces_the_one_known(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m1", [announced()], [])
    assert ledger.record("nlm", "m2", [announced(expiry=LATER)], []) == ()
    assert ledger.object(number).restore_expiry == LATER
    assert kinds(ledger, number) == ["restored", "restore_extended"]


def test_an_older_event_that_arrives_late_changes_no_expiry(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m2", [announced(expiry=LATER, event_time=START + timedelta(days=4))], [])
    assert ledger.record("nlm", "m1", [announced()], []) == ()
    assert ledger.object(number).restore_expiry == LATER


def test_an_upload_of_what_is_on_its_way_takes_no_expiry_away(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m1", [announced()], [])
    assert ledger.record("nlm", "m2", [announced(expiry=None, event_name="ObjectCreated:Put")], []) == ()
    assert ledger.object(number).restore_expiry == announced().restore_expiry


def test_another_restore_of_a_synced_object_is_a_new_row(ledger: Ledger) -> None:
    (first,) = ledger.record("nlm", "m1", [announced()], [])
    sync(ledger, first)
    (second,) = ledger.record("nlm", "m2", [announced(expiry=LATER)], [])
    assert second != first
    assert ledger.object(second).phase is Phase.RESTORED
    assert ledger.object(first).phase is Phase.SYNCED


def test_another_restore_of_a_failed_object_is_a_new_row(ledger: Ledger) -> None:
    (first,) = ledger.record("nlm", "m1", [announced()], [])
    ledger.hold(first, RUN)
    ledger.fail(first, RUN, "bad bag", "cause")
    assert len(ledger.record("nlm", "m2", [announced(expiry=LATER)], [])) == 1


def test_no_message_about_a_synced_object_that_is_delivered_again_starts_it_anew(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m1", [announced()], [])
    ledger.record("nlm", "m2", [announced(expiry=LATER)], [])
    sync(ledger, number)
    assert ledger.record("nlm", "m1", [announced()], []) == ()
    assert ledger.record("nlm", "m2", [announced(expiry=LATER)], []) == ()
    assert len(ledger.objects()) == 1


def uploaded(event_time: datetime, key: str = work_key("W1")) -> RestoredObject:
    return announced(key, event_name="ObjectCreated:Put", expiry=None, event_time=event_time)


def fail(ledger: Ledger, object_id: int) -> None:
    ledger.hold(object_id, RUN)
    ledger.fail(object_id, RUN, "it was deleted; upload it again", "cause")


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_later_event_of_what_has_failed_begins_an_attempt_once(ledger: Ledger, *, forgotten: bool) -> None:
    (number,) = ledger.record("nlm", "m1", [uploaded(START)], [])
    fail(ledger, number)
    if forgotten:
        ledger.forget([number], RUN, "hopeless")
    reason = ledger.object(number).failure_reason
    assert ledger.record("nlm", "m2", [uploaded(LATER)], []) == ()
    row = ledger.object(number)
    assert (row.phase, row.attempt, row.restore_complete_on) == (Phase.RESTORED, 2, LATER)
    assert (row.failure_reason, row.forgotten) == (None, None)
    told = ledger.events(number)[-1]
    assert (told.kind, told.details["message_id"]) == ("restored", "m2")
    assert told.message.startswith("attempt 2: s3://staging/")
    assert told.message.endswith(f"announced by ObjectCreated:Put; the one before failed: {reason}")
    fail(ledger, number)
    for message in ("m2", "m2, sent twice", "m1"):
        ledger.record("nlm", message, [uploaded(START if message == "m1" else LATER)], [])
    assert ledger.object(number).phase is Phase.FAILED
    assert len(ledger.objects()) == 1


@pytest.mark.parametrize("first", [announced(work_key("W1")), uploaded(START)], ids=["restored", "uploaded"])
def test_what_was_announced_while_it_was_on_its_way_begins_nothing_later(ledger: Ledger, first: RestoredObject) -> None:
    (number,) = ledger.record("nlm", "m1", [first], [])
    ledger.record("nlm", "m2", [uploaded(LATER)], [])
    fail(ledger, number)
    for message in ("m2", "m2, sent twice"):
        assert ledger.record("nlm", message, [uploaded(LATER)], []) == ()
    assert ledger.object(number).phase is Phase.FAILED


def test_an_older_event_that_arrives_late_makes_no_redelivery_look_later(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m2", [uploaded(LATER)], [])
    ledger.hold(number, RUN)
    ledger.await_restore(number, RUN, "archived", known_expiry=None, requested=False)
    ledger.record("nlm", "m1", [announced(work_key("W1"))], [])
    assert ledger.object(number).phase is Phase.RESTORED
    fail(ledger, number)
    ledger.record("nlm", "m2", [uploaded(LATER)], [])
    assert ledger.object(number).phase is Phase.FAILED


@pytest.mark.parametrize("first", [announced(work_key("W1")), uploaded(START)], ids=["same expiry", "uploaded again"])
def test_a_later_event_in_the_same_words_ends_the_wait(ledger: Ledger, first: RestoredObject) -> None:
    (number,) = ledger.record("nlm", "m1", [first], [])
    ledger.hold(number, RUN)
    ledger.await_restore(number, RUN, "no copy", known_expiry=first.restore_expiry, requested=False)
    for again in (first, replace(first, event_time=START - timedelta(days=1)), replace(first, event_time=None)):
        assert ledger.record("nlm", "m2", [again], []) == ()
        assert ledger.object(number).phase is Phase.REQUESTED
    assert ledger.record("nlm", "m3", [replace(first, event_time=LATER)], []) == ()
    row = ledger.object(number)
    assert (row.phase, row.attempt, row.restore_complete_on) == (Phase.RESTORED, 2, LATER)
    assert [taken.id for taken in ledger.claim(RUN, 5)] == [number]


def test_a_later_upload_of_what_another_restore_has_brought_is_a_duplicate(ledger: Ledger) -> None:
    (first,) = ledger.record("nlm", "m1", [uploaded(START)], [])
    fail(ledger, first)
    (second,) = ledger.record("nlm", "m2", [announced(work_key("W1"))], [])
    sync(ledger, second)
    assert ledger.record("nlm", "m3", [uploaded(LATER)], []) == ()
    assert [row.phase for row in ledger.objects()] == [Phase.FAILED, Phase.SYNCED]


def test_a_later_upload_begins_the_latest_restore_anew(ledger: Ledger) -> None:
    (first,) = ledger.record("nlm", "m1", [uploaded(START)], [])
    fail(ledger, first)
    (second,) = ledger.record("nlm", "m2", [announced(work_key("W1"))], [])
    fail(ledger, second)
    assert ledger.record("nlm", "m3", [uploaded(LATER)], []) == ()
    assert [row.phase for row in ledger.objects()] == [Phase.FAILED, Phase.RESTORED]


def request(event_time: datetime = START) -> RestoredObject:
    return announced(event_name="ObjectRestore:Post", expiry=None, event_time=event_time)


def test_a_requested_restore_waits_for_its_completion(ledger: Ledger, clock: HandClock) -> None:
    (number,) = ledger.record("nlm", "m1", [request()], [])
    assert ledger.object(number).phase is Phase.REQUESTED
    assert ledger.claim(RUN, 5) == []
    done = START + timedelta(hours=12)
    assert ledger.record("nlm", "m2", [announced(event_time=done)], []) == ()
    row = ledger.object(number)
    assert (row.phase, row.restore_requested_on, row.restore_complete_on) == (Phase.RESTORED, START, done)
    assert row.restore_expiry == announced().restore_expiry
    assert ledger.record("nlm", "m2", [announced(event_time=done)], []) == ()
    assert [taken.id for taken in ledger.claim(RUN, 5)] == [number]


def test_a_request_that_arrives_after_its_completion_makes_no_row(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m2", [announced(event_time=START + timedelta(hours=12))], [])
    assert ledger.record("nlm", "m1", [request()], []) == ()
    sync(ledger, number)
    assert ledger.record("nlm", "m1", [request()], []) == ()
    assert kinds(ledger, number) == ["restored", "note", "claimed", "synced"]


def test_a_second_request_after_the_first_restore_is_synced_is_a_new_row(ledger: Ledger) -> None:
    (first,) = ledger.record("nlm", "m1", [request()], [])
    ledger.record("nlm", "m2", [announced()], [])
    sync(ledger, first)
    second_time = START + timedelta(days=30)
    (second,) = ledger.record("nlm", "m3", [request(second_time)], [])
    assert ledger.record("nlm", "m4", [announced(expiry=second_time + timedelta(days=5))], []) == ()
    assert ledger.object(second).phase is Phase.RESTORED


def test_an_expired_copy_is_noted_and_never_fetched(ledger: Ledger) -> None:
    gone = announced(event_name="ObjectRestore:Delete", expiry=None)
    assert ledger.record("nlm", "m1", [gone], []) == ()
    assert ledger.record("nlm", "m1", [gone], []) == ()
    assert (kinds(ledger), ledger.objects()) == (["note"], [])
    # The note doesn't stand in the way of what arrives later under the same name.
    assert len(ledger.record("nlm", "m2", [announced(event_name="ObjectCreated:Put", expiry=None)], [])) == 1


def test_what_is_not_wanted_is_recorded_once_for_each_queue(ledger: Ledger) -> None:
    unwanted = [UnwantedObject(announced(bucket="strange"), "bucket strange isn't one of this queue's")]
    assert ledger.record("nlm", "m1", [announced()], unwanted) != ()
    ledger.record("nlm", "m2", [], unwanted)
    ledger.record("fpl", "m3", [], unwanted)
    found = [event for event in ledger.events() if event.kind == "not_wanted"]
    assert [(event.details["queue"], event.object_id) for event in found] == [("nlm", None), ("fpl", None)]
    assert found[0].message == "bucket strange isn't one of this queue's"
    assert found[0].details["bucket"] == "strange"


def test_a_rejected_message_is_recorded_once_with_its_body(ledger: Ledger) -> None:
    body = '{"no": "event \\ud800", raw: "\ud800 \x00 \U0001f4dc"'
    ledger.reject("nlm", "m1", body, "no valid JSON")
    ledger.reject("nlm", "m1", body, "no valid JSON")
    ledger.reject("nlm", "m2", "", "empty")
    first, second = ledger.events()
    assert (first.kind, first.message, first.object_id) == ("message_rejected", "no valid JSON", None)
    assert first.details == {"queue": "nlm", "message_id": "m1", "body": body}
    assert second.details["body"] == ""


@pytest.mark.parametrize(
    "key",
    [
        "a\x00b/W1.zip",
        b"W1/\xff\xfe.zip".decode("utf-8", "surrogateescape"),
        "བོད་/📜 W1.zip",
        "back\\slash\\x00/\\\\W1.zip",
        "\x1b[2J\x7f\x85\t\n/W1.zip",
        "k" * 1024,
        "\x00" * 1024,
        "📜" * 256,
    ],
    ids=["nul", "bytes", "emoji", "backslash", "control", "long", "long-nul", "long-emoji"],
)
def test_every_key_survives(ledger: Ledger, key: str) -> None:
    (number,) = ledger.record("nlm", "m1", [announced(key, etag=key)], [])
    row = ledger.object(number)
    assert (row.key, row.etag) == (key, key)
    assert [found.id for found in ledger.find(key)] == [number]
    assert ledger.record("nlm", "m1", [announced(key, etag=key)], []) == ()
    assert ledger.events(number)[0].details["key"] == key


def test_a_key_that_stands_for_no_work_is_recorded_all_the_same(ledger: Ledger) -> None:
    (number,) = ledger.record("nlm", "m1", [announced("folder/-rf.zip")], [])
    assert ledger.object(number).rid is None


def test_nothing_of_a_message_is_recorded_if_a_part_cannot_be(ledger: Ledger) -> None:
    naive = announced(work_key("W2"), expiry=START.replace(tzinfo=None))
    with pytest.raises(Exception, match="expected a time with its zone"):
        ledger.record("nlm", "m1", [announced(work_key("W1")), naive], [])
    assert (ledger.objects(), ledger.events()) == ([], [])


NUMBERS = itertools.count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_read_as_it_was_written(ledger: Ledger, text: str) -> None:
    ledger.reject("nlm", f"m{next(NUMBERS)}", text, text)
    event = ledger.events()[-1]
    assert (event.message, event.details["body"]) == (text, text)
