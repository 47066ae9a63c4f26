"""What fills an emulator: buckets, queues, archived objects, restores. Each can be done again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from glacier_sync.aws import ObjectMissingError, ObjectStore, RestoreRequest
from glacier_sync.aws.checksums import MD5, Checksum, digest_of
from glacier_sync.aws.errors import Request, translated
from glacier_sync.aws.layout import spans_of, uniform_sizes
from glacier_sync.aws.ranges import hash_span

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType, EventType, StorageClassType
    from mypy_boto3_sqs import SQSClient

# The size that AWS's own tools cut large objects to, in bytes.
PART_SIZE = 8 * 2**20

_NO_CONSTRAINT = "us-east-1"


class EmulatorClient:
    """Speaks to an emulator at ``url``, in one region, with credentials of its own.

    Methods raise the errors of ``glacier_sync.aws``: ServiceUnavailableError
    if no emulator is there.
    """

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._region = region
        session = boto3.Session("emulator", "emulator", region_name=region)
        with translated(self._request("reach")):
            self.s3: S3Client = session.client("s3", endpoint_url=url)
            self.sqs: SQSClient = session.client("sqs", endpoint_url=url)

    def create_intake(self, bucket: str, queue: str, *, events: Sequence[EventType] = ("s3:ObjectRestore:*",)) -> str:
        """Make a bucket and a queue that its events go to; returns the queue's URL.

        S3 sends its test event each time.
        """
        with translated(self._request("prepare")):
            self._create_bucket(bucket)
            url = self.sqs.create_queue(QueueName=queue)["QueueUrl"]
            attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            self.s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [{"QueueArn": attributes["QueueArn"], "Events": list(events)}]
                },
            )
        return url

    def put_archived(
        self,
        path: Path,
        bucket: str,
        key: str,
        *,
        storage_class: StorageClassType = "GLACIER",
        part_size: int = PART_SIZE,
    ) -> None:
        """Put a file into a bucket's archive, in parts of ``part_size`` bytes (5 MiB at least) if it is larger.

        An object with the same content stays as it is, restored or not.
        """
        try:
            if ObjectStore(self.s3, self._region, None).head(bucket, key).etag == _etag(path, part_size):
                return
        except ObjectMissingError:
            pass
        with translated(self._request("fill")):
            self.s3.upload_file(
                str(path),
                bucket,
                key,
                ExtraArgs={"StorageClass": storage_class},
                Config=TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size),
            )

    def request_restore(self, bucket: str, key: str, *, days: int = 7) -> RestoreRequest:
        """Ask for a restore; the event arrives in the bucket's queue when it is done."""
        return ObjectStore(self.s3, self._region, None).request_restore(bucket, key, days=days)

    def _create_bucket(self, bucket: str) -> None:
        try:
            if self._region == _NO_CONSTRAINT:
                self.s3.create_bucket(Bucket=bucket)
            else:
                region: BucketLocationConstraintType = self._region  # type: ignore[assignment] # any region's name
                self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise

    def _request(self, verb: str) -> Request:
        return Request(f"{verb} the emulator at {self._url}", "everything", self._region, None)


def _etag(path: Path, part_size: int) -> str:
    size = path.stat().st_size
    parts = size >= part_size
    spans = spans_of(uniform_sizes(size, part_size if parts else size + 1))
    with path.open("rb") as file:
        pieces = [hash_span(file.fileno(), span, {MD5}) for span in spans]
    whole = digest_of(Checksum(MD5, b"", len(spans) if parts else None), pieces)
    return f"{whole.hex()}-{len(spans)}" if parts else whole.hex()
