import hashlib
from pathlib import Path

import pytest
from tests.support.aws import REGION, Site, noise
from tests.support.ports import closed_port

from glacier_sync.aws import ObjectMissingError, RestoreRequest, ServiceUnavailableError
from glacier_sync.emulator.client import EmulatorClient
from glacier_sync.emulator.server import Emulator

MIB = 2**20


@pytest.mark.parametrize("region", ["us-east-1", REGION])
def test_an_intake_can_be_made_twice(emulator: Emulator, region: str) -> None:
    client = EmulatorClient(emulator.url, region)
    urls = {client.create_intake(f"twice-{region}", f"twice-{region}") for _ in range(2)}
    assert len(urls) == 1
    configured = client.s3.get_bucket_notification_configuration(Bucket=f"twice-{region}")["QueueConfigurations"]
    assert [each["QueueArn"].split(":")[3] for each in configured] == [region]


@pytest.mark.parametrize(
    ("size", "etag"),
    [
        (0, r"[0-9a-f]{32}"),
        (100, r"[0-9a-f]{32}"),
        (5 * MIB, r"[0-9a-f]{32}-1"),
        (5 * MIB + 1, r"[0-9a-f]{32}-2"),
    ],
)
def test_a_file_is_put_once_and_stays_restored(aws: Site, tmp_path: Path, size: int, etag: str) -> None:
    path = tmp_path / "W1.zip"
    path.write_bytes(noise(size))
    client = aws.client
    client.put_archived(path, aws.bucket, "W1.zip", part_size=5 * MIB)
    assert client.request_restore(aws.bucket, "W1.zip") is RestoreRequest.STARTED
    assert aws.queue.receive(20)
    before = client.s3.head_object(Bucket=aws.bucket, Key="W1.zip")
    client.put_archived(path, aws.bucket, "W1.zip", part_size=5 * MIB)
    after = client.s3.head_object(Bucket=aws.bucket, Key="W1.zip")
    assert before["Restore"] == after["Restore"]
    assert after["LastModified"] == before["LastModified"]
    assert after["StorageClass"] == "GLACIER"
    assert client.request_restore(aws.bucket, "W1.zip") is RestoreRequest.ALREADY_RESTORED
    store = aws.store
    store.download(store.head(aws.bucket, "W1.zip"), tmp_path / "copy", streams=2, part_size=MIB)
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).digest() == hashlib.sha256(noise(size)).digest()


def test_another_content_replaces_the_object(aws: Site, tmp_path: Path) -> None:
    path = tmp_path / "W1.zip"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        aws.client.put_archived(path, aws.bucket, "W1.zip", storage_class="DEEP_ARCHIVE")
        assert aws.store.head(aws.bucket, "W1.zip").size == len(content)
    assert aws.store.head(aws.bucket, "W1.zip").storage_class == "DEEP_ARCHIVE"


def test_what_is_not_there(aws: Site) -> None:
    with pytest.raises(ObjectMissingError):
        aws.client.request_restore(aws.bucket, "absent")


def test_no_emulator_is_there(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with closed_port() as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(ServiceUnavailableError, match=f"can't prepare the emulator at {url} for now"):
            EmulatorClient(url, REGION).create_intake("bucket", "queue")
