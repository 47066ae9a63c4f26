"""What HeadObject says of an object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from glacier_sync.aws import checksums
from glacier_sync.aws.checksums import Checksum

_ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True)
class RestoreStatus:
    """The ``Restore`` of HeadObject: under way, or done until ``expiry`` (aware, UTC)."""

    ongoing: bool
    expiry: datetime | None


@dataclass(frozen=True)
class ObjectFacts:
    """What HeadObject says of an object; sizes in bytes, the ETag without quotes.

    ``parts`` is the number of parts it was uploaded in and ``part_size`` the
    first part's size; both None for an object in one piece, ``part_size``
    also for one that isn't readable. ``checksums`` has what the content can
    be checked against, the ETag first where it is one.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    storage_class: str
    readable: bool
    restore: RestoreStatus | None
    parts: int | None
    part_size: int | None
    checksums: tuple[Checksum, ...]

    @property
    def url(self) -> str:
        """The object's name in messages: ``s3://bucket/key``."""
        return object_url(self.bucket, self.key, self.version_id)


def object_url(bucket: str, key: str, version_id: str | None) -> str:
    """Return an object's name in messages: ``s3://bucket/key``, and its version if it has one."""
    version = f" (version {version_id})" if version_id else ""
    return f"s3://{bucket}/{key}{version}"


def facts_of(bucket: str, key: str, version_id: str | None, head: Mapping[str, Any]) -> ObjectFacts:
    """Return the facts of a HeadObject answer."""
    etag = head["ETag"].strip('"')
    restore = _restore_status(head.get("Restore"))
    archived = head.get("StorageClass") in _ARCHIVED_CLASSES or "ArchiveStatus" in head
    parts = re.fullmatch(r"[^-]+-(\d+)", etag)
    count = int(parts[1]) if parts else None
    encrypted = str(head.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in head
    content = checksums.from_etag(etag, encrypted=encrypted)
    return ObjectFacts(
        bucket=bucket,
        key=key,
        version_id=version_id,
        etag=etag,
        size=head["ContentLength"],
        storage_class=head.get("StorageClass", "STANDARD"),
        readable=not archived or (restore is not None and not restore.ongoing),
        restore=restore,
        parts=count,
        part_size=None,
        checksums=(*((content,) if content else ()), *_offered(head, count)),
    )


def _offered(head: Mapping[str, Any], parts: int | None) -> list[Checksum]:
    composite = head.get("ChecksumType") == "COMPOSITE"
    return [
        checksums.from_header(name.removeprefix("Checksum"), value, composite=composite, parts=parts)
        for name, value in sorted(head.items())
        if name.startswith("Checksum") and name != "ChecksumType"
    ]


def _restore_status(header: str | None) -> RestoreStatus | None:
    if header is None:
        return None
    expiry = re.search(r'expiry-date="([^"]+)"', header)
    return RestoreStatus(
        ongoing='ongoing-request="true"' in header,
        expiry=parsedate_to_datetime(expiry[1]).astimezone(UTC) if expiry else None,
    )
