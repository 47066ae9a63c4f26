"""An object as something to read from: ranges of it, and the sizes of its parts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from glacier_sync.aws.errors import Request, ServiceUnavailableError
from glacier_sync.aws.facts import ObjectFacts
from glacier_sync.aws.layout import Span

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client


class _Version(TypedDict, total=False):
    VersionId: str


@dataclass(frozen=True)
class Source:
    """One object of one ETag and version: every request is pinned to them. Errors are botocore's."""

    client: S3Client
    request: Request
    facts: ObjectFacts

    def open(self, span: Span) -> StreamingBody:
        """Return a stream of a span's bytes.

        Raises ServiceUnavailableError if the service answers with others.
        """
        answer = self.client.get_object(
            Bucket=self.facts.bucket,
            Key=self.facts.key,
            Range=f"bytes={span.start}-{span.end - 1}",
            IfMatch=f'"{self.facts.etag}"',
            **version_argument(self.facts.version_id),
        )
        expected = f"bytes {span.start}-{span.end - 1}/{self.facts.size}"
        if answer.get("ContentRange") != expected:
            answer["Body"].close()
            raise ServiceUnavailableError(
                f"can't {self.request.doing} for now: the service answers with other bytes than asked for; "
                "try again later, and look for a proxy that changes requests",
                cause=f"expected {expected}, found {answer.get('ContentRange')}",
            )
        return answer["Body"]

    def part_size(self, number: int) -> int:
        """Return the size in bytes of one of the object's parts; the first is number 1."""
        part = self.client.head_object(
            Bucket=self.facts.bucket,
            Key=self.facts.key,
            PartNumber=number,
            IfMatch=f'"{self.facts.etag}"',
            **version_argument(self.facts.version_id),
        )
        return part["ContentLength"]

    def part_sizes(self, streams: int) -> tuple[int, ...]:
        """Return the sizes of all parts, by one request each, ``streams`` at a time."""
        with ThreadPoolExecutor(streams) as pool:
            return tuple(pool.map(self.part_size, range(1, (self.facts.parts or 0) + 1)))


def version_argument(version_id: str | None) -> _Version:
    """Return the arguments that name a version to boto3: none for an object without one."""
    return {"VersionId": version_id} if version_id else {}
