import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync.events import InvalidMessageError, RestoredObject, parse, select

RECORD: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "ap-northeast-2",
    "eventTime": "2024-04-06T12:34:56.789Z",
    "eventName": "ObjectRestore:Completed",
    "userIdentity": {"principalId": "AmazonCustomer:A"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "restored",
        "bucket": {"name": "glacier.staging.nlm.bdrc.org", "arn": "arn:aws:s3:::glacier.staging.nlm.bdrc.org"},
        "object": {
            "key": "Archive0/00/W1NLM4700/W1NLM4700.bag.zip",
            "size": 17017201852,
            "eTag": "41654cd2ef3ae2bbcb1c5a4f2a4a825b-2029",
            "versionId": "v1",
            "sequencer": "0065F0",
        },
    },
    "glacierEventData": {
        "restoreEventData": {
            "lifecycleRestorationExpiryTime": "2024-04-12T00:00:00.000Z",
            "lifecycleRestoreStorageClass": "DEEP_ARCHIVE",
        }
    },
}
ANNOUNCED = RestoredObject(
    bucket="glacier.staging.nlm.bdrc.org",
    key="Archive0/00/W1NLM4700/W1NLM4700.bag.zip",
    version_id="v1",
    etag="41654cd2ef3ae2bbcb1c5a4f2a4a825b-2029",
    size=17017201852,
    event_name="ObjectRestore:Completed",
    event_time=datetime(2024, 4, 6, 12, 34, 56, 789000, UTC),
    restore_expiry=datetime(2024, 4, 12, tzinfo=UTC),
    region="ap-northeast-2",
)
BRIDGE: dict[str, Any] = {
    "version": "0",
    "detail-type": "Object Restore Completed",
    "source": "aws.s3",
    "time": "2024-04-06T12:34:56Z",
    "region": "ap-northeast-2",
    "detail": {
        "bucket": {"name": "nlm"},
        "object": {"key": "a+b%2Bc d.zip", "size": 5, "etag": "e", "version-id": "", "sequencer": "1"},
        "restore-expiry-time": "2024-04-12T00:00:00Z",
        "source-storage-class": "GLACIER",
    },
}

# It would set a terminal's title, empty the screen and forge a line.
DRAWING_NAME = "ObjectCreated:\x1b]0;pwned\x07\x1b[2J\nall is well"


def changed(*path: str, to: Any = None, remove: bool = False, record: dict[str, Any] = RECORD) -> dict[str, Any]:
    copy = json.loads(json.dumps(record))
    holder = copy
    for name in path[:-1]:
        holder = holder[name]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return dict(copy)


def body(*records: Any) -> str:
    return json.dumps({"Records": list(records)})


def test_a_record_of_s3_is_read_whole() -> None:
    assert parse(body(RECORD)).objects == (ANNOUNCED,)
    assert parse(body(RECORD)).problems == ()


def test_a_record_without_what_is_optional() -> None:
    sparse = {
        "eventVersion": "2.99",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "k", "eTag": "e"}},
    }
    assert parse(body(sparse)).objects == (
        RestoredObject("b", "k", None, "e", None, "ObjectCreated:Put", None, None, None),
    )


def test_a_notification_of_sns_is_unwrapped_once() -> None:
    wrapped = json.dumps({"Type": "Notification", "MessageId": "1", "Message": body(RECORD)})
    assert parse(wrapped).objects == (ANNOUNCED,)
    with pytest.raises(InvalidMessageError):
        parse(json.dumps({"Type": "Notification", "Message": wrapped}))


@pytest.mark.parametrize(
    ("detail_type", "reason", "event_name"),
    [
        ("Object Restore Completed", None, "ObjectRestore:Completed"),
        ("Object Restore Initiated", None, "ObjectRestore:Post"),
        ("Object Restore Expired", None, "ObjectRestore:Delete"),
        ("Object Created", "PutObject", "ObjectCreated:Put"),
        ("Object Created", "CompleteMultipartUpload", "ObjectCreated:CompleteMultipartUpload"),
        ("Object Created", "CopyObject", "ObjectCreated:Copy"),
        ("Object Created", "POST Object", "ObjectCreated:Post"),
        ("Object Created", None, "ObjectCreated:Put"),
        ("Object Deleted", "DeleteObject", "ObjectRemoved:Delete"),
        ("Object Tags Added", None, "Object Tags Added"),
    ],
)
def test_events_of_event_bridge_get_the_names_of_s3(detail_type: str, reason: str | None, event_name: str) -> None:
    event = changed("detail", "reason", to=reason, record=changed("detail-type", to=detail_type, record=BRIDGE))
    [announced] = parse(json.dumps(event)).objects
    assert announced.event_name == event_name


def test_an_event_of_event_bridge_has_its_key_as_it_is() -> None:
    [announced] = parse(json.dumps(BRIDGE)).objects
    assert announced.key == "a+b%2Bc d.zip"
    assert announced.version_id is None
    assert announced.restore_expiry == datetime(2024, 4, 12, tzinfo=UTC)
    assert (announced.etag, announced.size, announced.region) == ("e", 5, "ap-northeast-2")


def test_an_event_of_event_bridge_that_is_not_of_s3() -> None:
    with pytest.raises(InvalidMessageError, match=r"'aws\.ec2', expected one of 'aws\.s3'"):
        parse(json.dumps(changed("source", to="aws.ec2", record=BRIDGE)))


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_test_event_holds_nothing(wrapped: bool) -> None:
    event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    parsed = parse(json.dumps({"Type": "Notification", "Message": event}) if wrapped else event)
    assert parsed.objects == parsed.problems == ()


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%252Bb", "a%2Bb"),
        ("Archive0%2F00%2FW1", "Archive0/00/W1"),
        ("%E0%BD%96%E0%BD%BC%E0%BD%91", "བོད"),
    ],
)
def test_a_key_is_decoded_exactly_once(encoded: str, key: str) -> None:
    assert parse(body(changed("s3", "object", "key", to=encoded))).objects[0].key == key


@given(st.text(min_size=1, max_size=256).filter(lambda key: "\0" not in key and key.isprintable()))
def test_any_key_comes_back_as_it_was(key: str) -> None:
    for safe in ("", "/"):
        encoded = quote_plus(key, safe=safe)
        assert parse(body(changed("s3", "object", "key", to=encoded))).objects[0].key == key


@pytest.mark.parametrize("key", ["k" * 1024, "ཀ" * 341 + "k"])
def test_a_key_may_be_as_long_as_amazon_lets_it_be(key: str) -> None:
    assert parse(body(changed("s3", "object", "key", to=quote_plus(key)))).objects[0].key == key


def test_a_bad_record_leaves_the_others_alone() -> None:
    other = changed("s3", "object", "key", to="other.zip")
    parsed = parse(body(RECORD, changed("s3", to="nonsense"), None, other))
    assert [announced.key for announced in parsed.objects] == [ANNOUNCED.key, "other.zip"]
    assert parsed.problems == (
        "record 2: s3 is text, expected an object",
        "record 3: missing, expected an object with eventVersion",
    )


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (changed("eventVersion", to="3.0"), "event version '3.0', expected 2.x"),
        (changed("eventVersion", to=2.1), "eventVersion is number, expected text"),
        (changed("eventVersion", remove=True), "eventVersion is missing, expected text"),
        (changed("eventSource", to="aws:sns"), "an event of 'aws:sns', expected one of 'aws:s3'"),
        (changed("eventName", to=""), "eventName is empty, expected text"),
        (changed("s3", "bucket", remove=True), "bucket is missing, expected an object"),
        (changed("s3", "bucket", "name", to=["b"]), "name is list, expected text"),
        (changed("s3", "object", "key", to={}), "key is object, expected text"),
        (changed("s3", "object", "key", to="%FF.zip"), "key '%FF.zip' isn't UTF-8, form-encoded"),
        (changed("s3", "object", "key", to="a%00b"), "key 'a\\x00b' holds a NUL or half a character"),
        (changed("s3", "object", "key", to="a\ud800"), "key 'a\\ud800' holds a NUL or half a character"),
        (changed("s3", "object", "eTag", remove=True), "no eTag, which ObjectRestore:Completed must have"),
        (changed("s3", "object", "eTag", to="0\r\n"), "eTag '0\\r\\n' holds other characters than printable ASCII"),
        (changed("s3", "object", "eTag", to="\u6f22"), "eTag '\u6f22' holds other characters than printable ASCII"),
        (
            changed("s3", "object", "versionId", to="v\x7f"),
            "versionId 'v\\x7f' holds other characters than printable ASCII",
        ),
        (
            changed("eventTime", to="0001-01-01T00:00:00Z"),
            "eventTime is '0001-01-01T00:00:00Z', expected a time such as 2024-04-12T00:00:00.000Z",
        ),
        (
            changed("eventTime", to="9999-12-31T23:59:59Z"),
            "eventTime is '9999-12-31T23:59:59Z', expected a time such as 2024-04-12T00:00:00.000Z",
        ),
        (changed("s3", "object", "size", to="17"), "size is text, expected bytes from 0 to 2**63-1"),
        (changed("s3", "object", "size", to=True), "size is boolean, expected bytes from 0 to 2**63-1"),
        (changed("s3", "object", "size", to=-1), "size is number, expected bytes from 0 to 2**63-1"),
        (changed("s3", "object", "size", to=2**63), "size is number, expected bytes from 0 to 2**63-1"),
        (changed("s3", "object", "versionId", to=7), "versionId is number, expected text"),
        (
            changed("eventTime", to="yesterday"),
            "eventTime is 'yesterday', expected a time such as 2024-04-12T00:00:00.000Z",
        ),
        (
            changed("eventTime", to="2024-04-12T00:00:00"),
            "eventTime is '2024-04-12T00:00:00', expected a time such as 2024-04-12T00:00:00.000Z",
        ),
        (
            changed("eventTime", to="0001-01-01T00:00:00+23:00"),
            "eventTime is '0001-01-01T00:00:00+23:00', expected a time such as 2024-04-12T00:00:00.000Z",
        ),
        (changed("glacierEventData", to=[]), "glacierEventData is list, expected an object"),
        (
            changed("eventName", to=DRAWING_NAME, record=changed("s3", "object", "eTag", remove=True)),
            "no eTag, which ObjectCreated:\\x1b]0;pwned\\x07\\x1b[2J\\nall is well must have",
        ),
        (
            changed("s3", "object", "key", to="k" * 1025),
            f"key '{'k' * 80}'… has 1025 bytes, expected at most 1024",
        ),
        (
            changed("s3", "object", "key", to=quote_plus("ཀ" * 342)),
            f"key '{'ཀ' * 80}'… has 1026 bytes, expected at most 1024",
        ),
        (
            changed("s3", "bucket", "name", to="b" * 256),
            f"name '{'b' * 80}'… has 256 bytes, expected at most 255",
        ),
        (
            changed("eventVersion", to="9" * 200_000),
            f"eventVersion '{'9' * 80}'… has 200000 bytes, expected at most 1024",
        ),
        (changed("eventVersion", to="9" * 100), f"event version '{'9' * 80}'…, expected 2.x"),
        ([], "list, expected an object with eventVersion"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(record: Any, problem: str) -> None:
    assert parse(body(RECORD, record)).problems == (f"record 2: {problem}",)
    with pytest.raises(InvalidMessageError, match=f"record 1: {re.escape(problem)};"):
        parse(body(record))


def test_a_deletion_needs_no_etag() -> None:
    record = changed("eventName", to="ObjectRemoved:Delete", record=changed("s3", "object", "eTag", remove=True))
    assert parse(body(record)).objects[0].etag == ""


@pytest.mark.parametrize(
    ("garbage", "found"),
    [
        ("", "no valid JSON"),
        ("hello", "no valid JSON"),
        ('{"Records": [', "no valid JSON"),
        ("[" * 100_000, "JSON nested too deep"),
        ('{"Records":' * 50_000, "JSON nested too deep"),
        ("9" * 5000, "no valid JSON"),
        ("null", "a JSON missing instead of an object"),
        ("[]", "a JSON list instead of an object"),
        ('"text"', "a JSON text instead of an object"),
        ("{}", "an object whose Records is missing"),
        ('{"Records": []}', "an object whose Records is an empty list"),
        ('{"Records": {"0": {}}}', "an object whose Records is object"),
        ('{"Type": "Notification"}', "an SNS notification whose Message is missing"),
        ('{"Type": "Notification", "Message": {}}', "an SNS notification whose Message is object"),
        ('{"Type": "Notification", "Message": "hello"}', "no valid JSON"),
        ('{"detail-type": 5}', "record 1: source is missing, expected text"),
    ],
)
def test_garbage_is_an_error_in_one_line(garbage: str, found: str) -> None:
    with pytest.raises(InvalidMessageError) as raised:
        parse(garbage)
    assert found in raised.value.message
    assert "look at its body" in raised.value.message
    assert "\n" not in raised.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from(
    [
        ("eventVersion",),
        ("eventName",),
        ("eventTime",),
        ("awsRegion",),
        ("s3",),
        ("s3", "bucket"),
        ("s3", "object"),
        ("s3", "bucket", "name"),
        ("s3", "object", "key"),
        ("s3", "object", "size"),
        ("s3", "object", "eTag"),
        ("s3", "object", "versionId"),
        ("glacierEventData",),
        ("glacierEventData", "restoreEventData"),
        ("glacierEventData", "restoreEventData", "lifecycleRestorationExpiryTime"),
    ]
)


@given(paths, json_values)
def test_nothing_in_a_record_costs_the_one_beside_it(path: tuple[str, ...], value: Any) -> None:
    parsed = parse(body(RECORD, changed(*path, to=value)))
    assert parsed.objects[0] == ANNOUNCED
    assert len(parsed.objects) + len(parsed.problems) == 2
    for announced in parsed.objects:
        "".join([announced.bucket, announced.key, announced.etag, announced.event_name]).encode()


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_understood_or_an_invalid_message(text: str) -> None:
    try:
        parsed = parse(text)
    except InvalidMessageError:
        return
    assert parsed.objects


def named(event_name: str, bucket: str = "nlm") -> RestoredObject:
    return RestoredObject(bucket, "k", None, "e", 1, event_name, None, None, None)


@pytest.mark.parametrize(
    ("pattern", "event_name", "wanted"),
    [
        ("ObjectCreated:*", "ObjectCreated:Put", True),
        ("ObjectCreated:*", "ObjectCreated:CompleteMultipartUpload", True),
        ("ObjectCreated:*", "ObjectCreatedElsewhere", False),
        ("ObjectRestore:Completed", "ObjectRestore:Completed", True),
        ("ObjectRestore:Completed", "ObjectRestore:Post", False),
        ("ObjectRestore:Completed", "ObjectRestore:CompletedTwice", False),
        ("s3:ObjectRestore:Completed", "ObjectRestore:Completed", True),
        ("s3:ObjectRestore:*", "ObjectRestore:Delete", True),
        ("*", "ObjectRemoved:Delete", True),
    ],
)
def test_which_events_a_pattern_chooses(pattern: str, event_name: str, wanted: bool) -> None:
    assert bool(select([named(event_name)], ["nlm"], [pattern])[0]) is wanted


def test_what_is_unwanted_is_told_why_and_nothing_is_lost() -> None:
    objects = [
        named("ObjectRestore:Post"),
        named("ObjectRestore:Completed"),
        named("ObjectRestore:Completed", bucket="other"),
    ]
    wanted, unwanted = select(objects, ["nlm", "abc"], ["ObjectRestore:Completed", "ObjectCreated:*"])
    assert wanted == (objects[1],)
    assert [each.object for each in unwanted] == [objects[0], objects[2]]
    assert [each.reason for each in unwanted] == [
        "event ObjectRestore:Post isn't one of this queue's: ObjectCreated:*, ObjectRestore:Completed",
        "bucket other isn't one of this queue's: abc, nlm",
    ]


def test_why_something_is_unwanted_is_a_short_line_whatever_is_named() -> None:
    objects = [named(DRAWING_NAME + "x" * 1000), named("ObjectCreated:Put", bucket="\x1b[2J" + "b" * 200)]
    reasons = [each.reason for each in select(objects, ["nlm"], ["ObjectCreated:Put"])[1]]
    assert reasons[0].startswith("event ObjectCreated:\\x1b]0;pwned\\x07\\x1b[2J\\nall is wellxxx")
    assert reasons[1] == f"bucket \\x1b[2J{'b' * 76}… isn't one of this queue's: nlm"
    assert all(reason.isprintable() and len(reason) < 300 for reason in reasons)
