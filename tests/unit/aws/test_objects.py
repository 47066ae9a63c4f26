from datetime import UTC, datetime, timedelta

import pytest
from tests.support.aws import Site, noise
from tests.support.clocks import restore_at
from tests.support.fault_proxy import Fault, every_request, fault_proxy

from glacier_sync.aws import (
    AccessDeniedError,
    NotArchivedError,
    ObjectMissingError,
    ObjectReplacedError,
    RestoreRequest,
)
from glacier_sync.aws.facts import facts_of
from glacier_sync.emulator.server import Emulator
from glacier_sync.errors import ConfigurationError


def test_an_object_in_one_piece(aws: Site) -> None:
    aws.put("W1 ü+/a%2Bb.zip", b"content")
    facts = aws.store.head(aws.bucket, "W1 ü+/a%2Bb.zip")
    assert (facts.size, facts.storage_class, facts.parts, facts.part_size) == (7, "STANDARD", None, None)
    assert (facts.etag, facts.readable, facts.restore) == ("9a0364b9e99bb480dd25e1f0284c8555", True, None)
    assert [str(checksum) for checksum in facts.checksums] == ["MD5", "CRC32"]
    assert facts.url == f"s3://{aws.bucket}/W1 ü+/a%2Bb.zip"


def test_an_object_in_parts(aws: Site) -> None:
    aws.put_parts("W1.zip", [noise(10), noise(10), noise(3)], ChecksumAlgorithm="SHA256")
    facts = aws.store.head(aws.bucket, "W1.zip")
    assert (facts.size, facts.parts, facts.part_size) == (23, 3, 10)
    assert [str(checksum) for checksum in facts.checksums] == ["MD5 of 3 parts", "SHA256 of 3 parts"]


def test_an_encrypted_object_has_no_md5_to_offer(aws: Site) -> None:
    aws.put("W1.zip", b"content", ServerSideEncryption="aws:kms")
    assert [str(checksum) for checksum in aws.store.head(aws.bucket, "W1.zip").checksums] == ["CRC32"]


def test_the_restore_of_an_archived_object_from_beginning_to_end(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    restore_at(monkeypatch, now)
    aws.put("W1.zip", b"content", StorageClass="DEEP_ARCHIVE")
    store = aws.store
    facts = store.head(aws.bucket, "W1.zip")
    assert (facts.storage_class, facts.readable, facts.restore) == ("DEEP_ARCHIVE", False, None)
    assert store.request_restore(aws.bucket, "W1.zip", days=3, tier="Bulk") is RestoreRequest.STARTED
    assert aws.queue.receive(20)
    facts = store.head(aws.bucket, "W1.zip")
    assert facts.readable
    assert facts.restore is not None
    assert not facts.restore.ongoing
    assert facts.restore.expiry is not None
    assert timedelta(days=3) <= facts.restore.expiry - now < timedelta(days=4)
    assert (facts.restore.expiry.hour, facts.restore.expiry.minute, facts.restore.expiry.tzinfo) == (0, 0, UTC)
    assert store.request_restore(aws.bucket, "W1.zip", days=9) is RestoreRequest.ALREADY_RESTORED
    later = store.head(aws.bucket, "W1.zip").restore
    assert later is not None
    assert later.expiry == facts.restore.expiry + timedelta(days=6)


def test_a_restore_that_is_under_way(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.put("W1.zip", b"content", StorageClass="GLACIER")
    with Emulator(restore_delay=3600) as slow:
        monkeypatch.setenv("AWS_ENDPOINT_URL", slow.url)
        store = aws.store
        assert store.request_restore(aws.bucket, "W1.zip", days=1) is RestoreRequest.STARTED
        assert store.request_restore(aws.bucket, "W1.zip", days=1) is RestoreRequest.IN_PROGRESS
        facts = store.head(aws.bucket, "W1.zip")
    assert facts.restore is not None
    assert facts.restore.ongoing
    assert facts.restore.expiry is None
    assert not facts.readable


def test_there_is_nothing_to_restore(aws: Site) -> None:
    aws.put("W1.zip", b"content")
    with pytest.raises(NotArchivedError, match=r"can't restore s3://.*W1.zip: it isn't archived"):
        aws.store.request_restore(aws.bucket, "W1.zip", days=1)
    with pytest.raises(ObjectMissingError, match=r"can't restore s3://.*W2.zip: there is no such object"):
        aws.store.request_restore(aws.bucket, "W2.zip", days=1)


def test_versions_are_told_apart(aws: Site) -> None:
    s3 = aws.client.s3
    s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=aws.bucket, Key="k", Body=b"old", StorageClass="GLACIER")["VersionId"]
    s3.put_object(Bucket=aws.bucket, Key="k", Body=b"newer")
    store = aws.store
    assert store.head(aws.bucket, "k").size == 5
    assert store.head(aws.bucket, "k", old).size == 3
    assert store.head(aws.bucket, "k", old).url == f"s3://{aws.bucket}/k (version {old})"
    assert store.request_restore(aws.bucket, "k", old, days=1) is RestoreRequest.STARTED
    s3.delete_object(Bucket=aws.bucket, Key="k")
    with pytest.raises(ObjectMissingError):
        store.head(aws.bucket, "k")
    assert store.head(aws.bucket, "k", old).size == 3
    with pytest.raises(ObjectMissingError):
        store.head(aws.bucket, "k", "nosuchversion")


def test_what_is_not_there_or_not_the_same(aws: Site) -> None:
    aws.put("k", b"content")
    store = aws.store
    etag = store.head(aws.bucket, "k").etag
    assert store.head(aws.bucket, "k", etag=etag).etag == etag
    with pytest.raises(ObjectReplacedError, match=r"can't look up s3://.*/k: it was replaced since it was announced"):
        store.head(aws.bucket, "k", etag="0" * 32)
    with pytest.raises(ObjectMissingError, match=f"can't look up s3://{aws.bucket}/gone: there is no such object"):
        store.head(aws.bucket, "gone")
    with pytest.raises(ConfigurationError, match=r"can't look up s3://no.such.bucket/k: there is no such bucket"):
        store.head("no.such.bucket", "k")


def test_access_that_is_denied(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.put("k", b"content")
    with fault_proxy(aws.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.hits = every_request
        proxy.faults.append(Fault(status=403))
        with pytest.raises(
            AccessDeniedError, match="boto3's default credentials; grant s3:GetObject and s3:ListBucket"
        ):
            aws.store.head(aws.bucket, "k")


def test_an_archive_tier_of_intelligent_tiering_must_be_restored_too() -> None:
    head = {"ETag": '"x"', "ContentLength": 1, "StorageClass": "INTELLIGENT_TIERING"}
    assert facts_of("b", "k", None, head).readable
    assert not facts_of("b", "k", None, {**head, "ArchiveStatus": "ARCHIVE_ACCESS"}).readable
