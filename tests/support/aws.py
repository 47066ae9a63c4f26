"""Fixtures: an emulator on a private port, and a bucket and queue of each test's own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from glacier_sync.aws import ObjectStore, Queue
from glacier_sync.emulator.client import EmulatorClient
from glacier_sync.emulator.server import Emulator
from glacier_sync.settings import IntakeQueue

REGION = "ap-northeast-2"


@dataclass(frozen=True)
class Site:
    """A bucket and a queue that gets its events, in an emulator that the environment points to."""

    url: str
    bucket: str
    queue_name: str
    client: EmulatorClient

    @property
    def intake(self) -> IntakeQueue:
        return IntakeQueue(
            name="test",
            queue=self.queue_name,
            region=REGION,
            profile=None,
            buckets=(self.bucket,),
            events=("ObjectRestore:Completed", "ObjectCreated:*"),
            delete_rejected=False,
        )

    @property
    def queue(self) -> Queue:
        return Queue.open(self.intake)

    @property
    def store(self) -> ObjectStore:
        return _store(
            os.environ["AWS_ENDPOINT_URL"], os.environ.get("AWS_MAX_ATTEMPTS", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
        )

    def put(self, key: str, content: bytes, **extra: Any) -> None:
        """Put an object in one piece."""
        self.client.s3.put_object(Bucket=self.bucket, Key=key, Body=content, **extra)

    def put_parts(self, key: str, parts: Sequence[bytes], **extra: Any) -> None:
        """Put an object in parts of any sizes."""
        s3 = self.client.s3
        upload = s3.create_multipart_upload(Bucket=self.bucket, Key=key, **extra)
        named = {"Bucket": self.bucket, "Key": key, "UploadId": upload["UploadId"]}
        algorithm = {name: value for name, value in extra.items() if name == "ChecksumAlgorithm"}
        done = []
        for number, part in enumerate(parts, 1):
            answer = s3.upload_part(PartNumber=number, Body=part, **named, **algorithm)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **named)

    def send(self, *bodies: str) -> None:
        """Send messages to the queue."""
        url = self.client.sqs.get_queue_url(QueueName=self.queue_name)["QueueUrl"]
        for body in bodies:
            self.client.sqs.send_message(QueueUrl=url, MessageBody=body)


@cache
def _store(endpoint: str, attempts: str | None) -> ObjectStore:
    # A client takes longer to make than most tests take to use it.
    return ObjectStore.open(REGION, None)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """An emulator of this test session: restores take no time, parts may be of any size."""
    with pytest.MonkeyPatch.context() as patch, Emulator() as running:
        patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
        yield running


@pytest.fixture(scope="session")
def emulator_client(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> EmulatorClient:
    """What fills the emulator of this test session."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("aws"))
        return EmulatorClient(emulator.url, REGION)


@pytest.fixture
def aws(emulator: Emulator, emulator_client: EmulatorClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """A fresh bucket and queue, and an environment in which boto3 finds only the emulator."""
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    name = uuid4().hex
    url = emulator_client.create_intake(f"bucket.{name}", f"queue-{name}", events=["s3:ObjectRestore:Completed"])
    emulator_client.sqs.purge_queue(QueueUrl=url)  # of the test event
    return Site(emulator.url, f"bucket.{name}", f"queue-{name}", emulator_client)


def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take this machine's own Amazon configuration away, and give credentials that mean nothing."""
    for name in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_CA_BUNDLE",
        "AWS_MAX_ATTEMPTS",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def noise(size: int, seed: str = "") -> bytes:
    """Return ``size`` bytes that look random and are the same each time."""
    return hashlib.shake_128(f"{seed}{size}".encode()).digest(size)
