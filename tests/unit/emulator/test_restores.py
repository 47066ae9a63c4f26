"""What moto doesn't do, and Glacier does."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.aws import Site, noise

from glacier_sync import events
from glacier_sync.aws import RestoreExpiredError
from glacier_sync.emulator.server import Emulator

KEY = "Archive0/00/W1 ü+x%2B/W1.bag.zip"


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


def watch(aws: Site, *kinds: Any) -> None:
    aws.client.create_intake(aws.bucket, aws.queue_name, events=kinds)
    aws.queue.delete(aws.queue.receive(20))


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_cannot_be_read_until_it_is_restored(aws: Site, storage_class: str) -> None:
    s3 = aws.client.s3
    aws.put(KEY, b"content", StorageClass=storage_class)
    named = {"Bucket": aws.bucket, "Key": KEY}
    assert refused(s3.get_object, **named) == ("InvalidObjectState", 403)
    assert refused(s3.get_object, Range="bytes=0-1", **named) == ("InvalidObjectState", 403)
    assert "Restore" not in s3.head_object(**named)
    s3.restore_object(**named, RestoreRequest={"Days": 2})
    assert aws.queue.receive(20)
    assert s3.get_object(**named)["Body"].read() == b"content"
    assert s3.head_object(**named)["StorageClass"] == storage_class


def test_the_event_of_a_finished_restore_comes_by_itself_and_reads_as_s3_writes_it(aws: Site) -> None:
    aws.put(KEY, b"content", StorageClass="DEEP_ARCHIVE")
    asked = datetime.now(UTC)
    aws.client.request_restore(aws.bucket, KEY, days=5)
    [message] = aws.queue.receive(20)
    [record] = json.loads(message.body)["Records"]
    expiry = record["glacierEventData"]["restoreEventData"]["lifecycleRestorationExpiryTime"]
    assert record["s3"]["object"]["key"] == "Archive0/00/W1+%C3%BC%2Bx%252B/W1.bag.zip"
    assert record["eventVersion"].startswith("2.")
    assert record["eventName"] == "ObjectRestore:Completed"
    assert record["glacierEventData"]["restoreEventData"]["lifecycleRestoreStorageClass"] == "DEEP_ARCHIVE"
    assert expiry.endswith("T00:00:00.000Z")
    assert timedelta(days=5) <= datetime.fromisoformat(expiry) - asked < timedelta(days=6, minutes=5)
    [announced] = events.parse(message.body).objects
    facts = aws.store.head(aws.bucket, KEY)
    assert (announced.bucket, announced.key, announced.size) == (aws.bucket, KEY, 7)
    assert (announced.etag, announced.region, announced.version_id) == (facts.etag, "ap-northeast-2", None)
    assert facts.restore is not None
    assert announced.restore_expiry == facts.restore.expiry


def test_an_event_names_the_version(aws: Site) -> None:
    s3 = aws.client.s3
    s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=aws.bucket, Key=KEY, Body=b"old", StorageClass="GLACIER")["VersionId"]
    aws.put(KEY, b"new", StorageClass="GLACIER")
    s3.restore_object(Bucket=aws.bucket, Key=KEY, VersionId=old, RestoreRequest={"Days": 1})
    [message] = aws.queue.receive(20)
    assert events.parse(message.body).objects[0].version_id == old
    assert s3.get_object(Bucket=aws.bucket, Key=KEY, VersionId=old)["Body"].read() == b"old"
    assert refused(s3.get_object, Bucket=aws.bucket, Key=KEY) == ("InvalidObjectState", 403)


def test_the_events_that_a_site_watches_and_no_others(aws: Site) -> None:
    watch(aws, "s3:ObjectRestore:*", "s3:ObjectCreated:*")
    aws.put(KEY, b"content", StorageClass="GLACIER")
    aws.client.request_restore(aws.bucket, KEY)
    seen: list[str] = []
    queue = aws.queue
    while len(seen) < 3:
        for message in queue.receive(20):
            seen += [announced.event_name for announced in events.parse(message.body).objects]
    assert seen == ["ObjectCreated:Put", "ObjectRestore:Post", "ObjectRestore:Completed"]


def test_the_test_event_of_a_new_configuration(aws: Site) -> None:
    aws.client.create_intake(aws.bucket, aws.queue_name)
    [message] = aws.queue.receive(20)
    assert events.parse(message.body).objects == ()
    assert set(json.loads(message.body)) == {"Service", "Event", "Time", "Bucket", "RequestId", "HostId"}


def test_a_second_restore_neither_starts_again_nor_is_announced(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.put(KEY, b"content", StorageClass="GLACIER")
    named: Any = {"Bucket": aws.bucket, "Key": KEY, "RestoreRequest": {"Days": 1}}
    with Emulator(restore_delay=3600) as slow:
        s3 = boto3.client("s3", endpoint_url=slow.url, region_name="ap-northeast-2")
        assert s3.restore_object(**named)["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert refused(s3.restore_object, **named) == ("RestoreAlreadyInProgress", 409)
        assert s3.head_object(Bucket=aws.bucket, Key=KEY)["Restore"] == 'ongoing-request="true"'
        assert refused(s3.get_object, Bucket=aws.bucket, Key=KEY) == ("InvalidObjectState", 403)
    assert aws.queue.receive(0) == []


def test_restores_that_make_no_sense(aws: Site) -> None:
    s3 = aws.client.s3
    aws.put("standard", b"content")
    aws.put("archived", b"content", StorageClass="GLACIER")
    days: Any = {"Days": 1}
    assert refused(s3.restore_object, Bucket=aws.bucket, Key="standard", RestoreRequest=days) == (
        "InvalidObjectState",
        403,
    )
    assert refused(s3.restore_object, Bucket=aws.bucket, Key="absent", RestoreRequest=days) == ("NoSuchKey", 404)
    assert refused(s3.restore_object, Bucket=aws.bucket, Key="archived", RestoreRequest={})[0] == "MalformedXML"


def test_an_object_that_is_replaced_is_archived_again(aws: Site) -> None:
    aws.put(KEY, b"content", StorageClass="GLACIER")
    aws.client.request_restore(aws.bucket, KEY)
    assert aws.queue.receive(20)
    aws.put(KEY, b"content", StorageClass="GLACIER")
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    assert (facts.readable, facts.restore) == (False, None)


def test_ranges_and_preconditions(aws: Site) -> None:
    s3 = aws.client.s3
    content = noise(1000)
    aws.put("k", content)
    named: Any = {"Bucket": aws.bucket, "Key": "k"}
    etag = s3.head_object(**named)["ETag"]
    for asked, start, end in (("0-9", 0, 9), ("990-2000", 990, 999), ("5-", 5, 999), ("0-999", 0, 999)):
        answer = s3.get_object(Range=f"bytes={asked}", IfMatch=etag, **named)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"] == f"bytes {start}-{end}/1000"
        assert answer["Body"].read() == content[start : end + 1]
    assert s3.get_object(Range="bytes=-7", **named)["Body"].read() == content[-7:]
    assert refused(s3.get_object, Range="bytes=1000-1001", **named) == ("InvalidRange", 416)
    assert refused(s3.get_object, Range="bytes=0-1", IfMatch='"other"', **named) == ("PreconditionFailed", 412)


def test_parts_have_the_etag_of_their_object(aws: Site) -> None:
    s3 = aws.client.s3
    aws.put_parts("k", [noise(50), noise(60), noise(7)], ChecksumAlgorithm="SHA256", StorageClass="GLACIER")
    named: Any = {"Bucket": aws.bucket, "Key": "k"}
    whole = s3.head_object(ChecksumMode="ENABLED", **named)
    assert whole["ChecksumSHA256"].endswith("-3")
    assert whole["ChecksumType"] == "COMPOSITE"
    for number, size in enumerate((50, 60, 7), 1):
        part = s3.head_object(PartNumber=number, IfMatch=whole["ETag"], **named)
        assert (part["ContentLength"], part["PartsCount"], part["ETag"]) == (size, 3, whole["ETag"])
        assert part["StorageClass"] == "GLACIER"
    assert refused(s3.head_object, PartNumber=1, IfMatch='"other"', **named) == ("412", 412)


def test_our_own_client_sees_the_same(aws: Site, tmp_path: Any) -> None:
    aws.put(KEY, b"content", StorageClass="GLACIER")
    store = aws.store
    with pytest.raises(RestoreExpiredError):
        store.download(store.head(aws.bucket, KEY), tmp_path / "k", streams=1, part_size=5)
