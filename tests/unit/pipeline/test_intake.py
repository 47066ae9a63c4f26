"""From the queues into the ledger: every queue, every kind of message, nothing lost and nothing twice."""

import json
import os
import re
import socket
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.aws import Site
from tests.support.fault_proxy import Fault, every_request, fault_proxy
from tests.support.pipeline import (
    Bagger,
    Installation,
    Vanishing,
    is_archived,
    kill,
    message,
    messages_left,
    queue_entry,
    record,
    show_again,
    start_run,
)

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger, LedgerUnavailableError, Run
from glacier_sync.pipeline.intake import drain, take
from glacier_sync.settings import load_intake
from glacier_sync.works import staging_key

TEST_EVENT = json.dumps(
    {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-03-01T00:00:00Z", "Bucket": "b", "RequestId": "1"}
)


def put(place: Installation, rid: str, **changed: Any) -> dict[str, Any]:
    """Store some object; return the record of its restore."""
    key = staging_key(rid)
    place.site.put(key, rid.encode())
    return record(place.site, key, **changed)


def keys(place: Installation) -> list[str]:
    return [item.key for item in place.ledger.objects()]


def drained(place: Installation, **changed: Any) -> int:
    """Read the first queue."""
    return drain(place.context(**changed), load_intake(place.settings.intake)[0])


def another_queue(place: Installation) -> Site:
    name = uuid4().hex
    url = place.site.client.create_intake(f"bucket.{name}", f"queue-{name}", events=["s3:ObjectRestore:Completed"])
    place.site.client.sqs.purge_queue(QueueUrl=url)
    return Site(place.site.url, f"bucket.{name}", f"queue-{name}", place.site.client)


def deletes(_method: str, headers: dict[str, str]) -> bool:
    return headers.get("x-amz-target", "").endswith("DeleteMessageBatch")


# --- the order: ledger first ----------------------------------------------------


def test_a_run_killed_while_it_deletes_has_committed_before(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag("W1TEST01")
    place.restored(made)
    with fault_proxy(place.site.url) as proxy:
        proxy.hits = deletes
        release = Vanishing()
        held = Fault(release=release)
        proxy.faults.append(held)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = start_run()
        assert held.held.wait(60)
        assert keys(place) == [made.key]
        kill(process, with_children=True)
        release.set()
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.site.url)
    assert messages_left(place.site) == 1
    show_again(place.site)
    place.run()
    assert place.kinds(1).count("duplicate") == 1
    assert place.kinds(1).count("synced") == 1
    assert keys(place) == [made.key]
    assert is_archived(place, made.works[0])
    assert messages_left(place.site) == 0


def test_a_ledger_that_takes_nothing_leaves_the_message(place: Installation) -> None:
    place.site.send(message(put(place, "W1TEST01")))
    url = f"{place.settings.ledger_url.get_secret_value()}?timeout=0"
    context = place.context()
    with Ledger(url, lease=place.ledger._lease) as impatient:
        locked = pipeline.Context(**{**vars(context), "ledger": impatient})
        other = sqlite3.connect(place.home / "ledger.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="is locked by another program"):
            drain(locked, load_intake(place.settings.intake)[0])
        other.close()
        assert (keys(place), messages_left(place.site)) == ([], 1)
        show_again(place.site)
        assert drain(locked, load_intake(place.settings.intake)[0]) == 1
    assert (keys(place), messages_left(place.site)) == ([staging_key("W1TEST01")], 0)


def test_a_message_that_the_queue_keeps_is_known_when_it_comes_again(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.site.send(message(put(place, "W1TEST01")))
    refused = json.dumps({"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}).encode()
    with fault_proxy(place.site.url) as proxy:
        proxy.hits = deletes
        proxy.faults.extend([Fault(body=refused), Fault(body=refused)])
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        taken = take(place.context())
    assert [item.key for item in taken.objects] == keys(place) == [staging_key("W1TEST01")]
    assert "nothing is lost" in str(taken.problems[0])


# --- all queues, all messages ---------------------------------------------------


def test_a_queue_is_read_ten_messages_a_call_until_it_is_empty(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.site.send(*(message(put(place, f"W1TEST{number:02}")) for number in range(25)))
    with fault_proxy(place.site.url) as proxy:
        received: list[str] = []
        proxy.hits = lambda _, headers: bool(received.append(headers.get("x-amz-target", "")))
        proxy.faults.append(Fault())
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert drained(place, max_objects_per_run=1) == 25
    assert received.count("AmazonSQS.ReceiveMessage") == 4
    assert len(keys(place)) == 25
    assert messages_left(place.site) == 0


def test_a_run_takes_its_worth_of_what_expires_first_wherever_in_the_queue_that_was(place: Installation) -> None:
    announced = [put(place, f"W1TEST{number:02}") for number in range(25)]
    for number, found in enumerate(announced):
        expiry = f"2026-04-{25 - number:02}T00:00:00.000Z"
        found["glacierEventData"]["restoreEventData"]["lifecycleRestorationExpiryTime"] = expiry
    place.site.send(*map(message, announced))
    taken = take(place.context(max_objects_per_run=10))
    assert [item.rid for item in taken.objects] == [f"W1TEST{number:02}" for number in range(24, 14, -1)]
    assert (len(keys(place)), messages_left(place.site)) == (25, 0)
    second = Run.of_dag_run("dag", "second")
    assert len(take(place.context(second, max_objects_per_run=20)).objects) == 15


def test_what_is_known_already_is_no_new_object(place: Installation) -> None:
    again = put(place, "W1TEST00")
    place.site.send(*[message(again)] * 12, message(put(place, "W1TEST01")))
    assert drained(place) == 2
    assert keys(place) == [staging_key("W1TEST00"), staging_key("W1TEST01")]
    assert place.kinds(1).count("duplicate") == 11


def test_every_queue_is_read(place: Installation) -> None:
    second = another_queue(place)
    place.read_queues(queue_entry(place.site), queue_entry(second, name="second"))
    place.site.send(message(put(place, "W1TEST01")))
    second.put(staging_key("W1TEST02"), b"content")
    second.send(message(record(second, staging_key("W1TEST02"))))
    taken = take(place.context())
    assert sorted((item.queue, item.bucket) for item in taken.objects) == sorted(
        [("second", second.bucket), ("test", place.site.bucket)]
    )
    assert taken.problems == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"queue": "nothing"}, "there is no such queue in ap-northeast-2 .*; correct queue, region or profile"),
        ({"region": "eu-west-1"}, "there is no such queue in eu-west-1"),
        ({"profile": "nobody"}, "the credentials profile 'nobody' doesn't exist in "),
    ],
)
def test_a_queue_that_cannot_be_read_stops_no_other(place: Installation, changed: dict[str, str], words: str) -> None:
    place.read_queues({**queue_entry(place.site), **changed, "name": "broken"}, queue_entry(place.site))
    assert_read_beside_a_broken_one(place, words)


def test_a_queue_whose_endpoint_does_not_answer_stops_no_other(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        give_endpoint(place, f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)
        assert_read_beside_a_broken_one(place, "the service in ap-northeast-2 doesn't answer")


def test_a_queue_that_refuses_for_good_stops_no_other(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with fault_proxy(place.site.url) as proxy:
        proxy.hits = every_request
        proxy.faults.append(Fault(status=400, body=b'{"__type": "com.amazonaws.sqs#InvalidAddress"}'))
        give_endpoint(place, proxy.url, monkeypatch)
        assert_read_beside_a_broken_one(place, "Amazon refuses the request")


def give_endpoint(place: Installation, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a queue in front that is read elsewhere."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile elsewhere]\nendpoint_url = {endpoint}\n[profile here]\nendpoint_url = {place.site.url}\n"
    )
    keys_of_any = "aws_access_key_id = test\naws_secret_access_key = test\n"
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(f"[elsewhere]\n{keys_of_any}[here]\n{keys_of_any}")
    entry = queue_entry(place.site, profile="here")
    place.read_queues({**entry, "name": "broken", "profile": "elsewhere"}, entry)


def assert_read_beside_a_broken_one(place: Installation, words: str) -> None:
    place.site.send(message(put(place, "W1TEST01")))
    claims, problems = pipeline.get_restored_object_messages(place.context())
    assert claims == [{"object": 1, "name": "W1TEST01.bag.zip"}]
    assert [bool(re.search(words, problem)) for problem in problems] == [True], problems
    assert "\n" not in problems[0]


def test_intake_that_is_wrong_ends_the_run(place: Installation) -> None:
    place.read_queues({**queue_entry(place.site), "region": 7})
    with pytest.raises(ConfigurationError, match=r"queues\.0\.region is 7, expected a text"):
        take(place.context())


# --- what messages say ----------------------------------------------------------


def test_a_test_event_is_acknowledged_and_disturbs_nothing(place: Installation) -> None:
    place.site.send(TEST_EVENT, message(put(place, "W1TEST01")), TEST_EVENT)
    assert drained(place) == 1
    assert keys(place) == [staging_key("W1TEST01")]
    assert messages_left(place.site) == 0
    assert place.kinds() == ["restored"]


def test_unwanted_records_do_not_make_wanted_ones_disappear(place: Installation) -> None:
    elsewhere = put(place, "W1TEST02")
    elsewhere["s3"]["bucket"]["name"] = "somebody.elses"
    removed = put(place, "W1TEST03", eventName="ObjectRemoved:Delete", expiry=None)
    place.site.send(message(elsewhere, put(place, "W1TEST01"), removed), message(removed))
    assert drained(place) == 1
    assert keys(place) == [staging_key("W1TEST01")]
    refused = [event.message for event in place.ledger.events() if event.kind == "not_wanted"]
    assert [line.partition(" isn't")[0] for line in refused] == [
        "bucket somebody.elses",
        "event ObjectRemoved:Delete",
    ]
    assert messages_left(place.site) == 0


def test_several_records_are_several_objects(place: Installation) -> None:
    place.site.send(message(*(put(place, f"W1TEST{number:02}") for number in range(3))))
    assert drained(place) == 3
    assert keys(place) == [staging_key(f"W1TEST{number:02}") for number in range(3)]


def test_an_object_put_into_the_bucket_counts_as_well(place: Installation) -> None:
    place.site.send(message(put(place, "W1TEST01", eventName="ObjectCreated:Put", expiry=None)))
    assert drained(place) == 1


def test_events_in_the_envelope_of_sns(place: Installation) -> None:
    body = message(put(place, "W1TEST01"))
    place.site.send(json.dumps({"Type": "Notification", "MessageId": "1", "Message": body}))
    assert drained(place) == 1
    assert keys(place) == [staging_key("W1TEST01")]


def test_events_of_event_bridge_whose_keys_are_not_encoded(place: Installation) -> None:
    key = "Archive0/01/W1TEST01/W1TEST01.a+b%20c.bag.zip"
    place.site.put(key, b"content")
    found = record(place.site, key)["s3"]
    detail = {
        "bucket": found["bucket"],
        "object": {"key": key, "size": found["object"]["size"], "etag": found["object"]["eTag"]},
        "restore-expiry-time": "2026-03-09T00:00:00Z",
    }
    event = {"source": "aws.s3", "detail-type": "Object Restore Completed", "time": "2026-03-02T08:00:00Z"}
    place.site.send(json.dumps({**event, "detail": detail}))
    assert drained(place) == 1
    item = place.ledger.object(1)
    assert (item.key, item.restore_expiry) == (key, datetime(2026, 3, 9, tzinfo=UTC))


def test_the_same_restore_is_recorded_once_however_it_is_told(place: Installation) -> None:
    first = put(place, "W1TEST01")
    place.site.send(message(first), message(first, first))
    assert drained(place) == 1
    place.site.send(json.dumps({"Type": "Notification", "MessageId": "1", "Message": message(first)}))
    assert drained(place) == 0
    assert len(keys(place)) == 1
    assert messages_left(place.site) == 0


@pytest.mark.parametrize("delete", [False, True])
def test_garbage_is_recorded_with_its_body(place: Installation, delete: bool) -> None:
    place.read_queues(queue_entry(place.site, delete_rejected=delete))
    bodies = ["no JSON at all", "[]", '{"Records": []}', '{"Records": [{"eventVersion": "9.0"}]}']
    place.site.send(*bodies, message(put(place, "W1TEST01")))
    assert drained(place) == 1
    assert messages_left(place.site) == (0 if delete else len(bodies))
    show_again(place.site)
    assert drained(place) == 0
    rejected = [event for event in place.ledger.events() if event.kind == "message_rejected"]
    assert sorted(event.details["body"] for event in rejected) == sorted(bodies)
    assert all("the message is no event of S3: found " in event.message for event in rejected)


@pytest.mark.parametrize("delete", [False, True])
def test_a_record_that_is_garbage_leaves_the_others(place: Installation, delete: bool) -> None:
    place.read_queues(queue_entry(place.site, delete_rejected=delete))
    broken = {**put(place, "W1TEST02"), "eventVersion": "9.0"}
    place.site.send(message(broken, put(place, "W1TEST01")))
    assert drained(place) == 1
    assert keys(place) == [staging_key("W1TEST01")]
    assert messages_left(place.site) == (0 if delete else 1)
    rejected = [event.message for event in place.ledger.events() if event.kind == "message_rejected"]
    assert len(rejected) == 1
    assert "event version '9.0', expected 2.x" in rejected[0]
    show_again(place.site)
    assert drained(place) == 0
    assert len(keys(place)) == 1
