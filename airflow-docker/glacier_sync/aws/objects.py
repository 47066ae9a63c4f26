"""Objects: what S3 says of them, restores, and the way to a verified download."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from glacier_sync.aws.download import Download, download
from glacier_sync.aws.errors import NotArchivedError, Request, RestoreExpiredError, translate, translated
from glacier_sync.aws.facts import ObjectFacts, facts_of, object_url
from glacier_sync.aws.sessions import s3_client
from glacier_sync.aws.source import Source, version_argument
from glacier_sync.progress import Progress
from glacier_sync.settings import Tier

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Pinned(TypedDict, total=False):
    IfMatch: str


class RestoreRequest(StrEnum):
    """What became of a request to restore."""

    STARTED = "started"
    ALREADY_RESTORED = "already restored"
    IN_PROGRESS = "in progress"


class ObjectStore:
    """S3 in one region, with one profile's credentials. Safe to use from several threads."""

    def __init__(self, client: S3Client, region: str, profile: str | None) -> None:
        self._client = client
        self._region = region
        self._profile = profile

    @classmethod
    def open(cls, region: str, profile: str | None) -> ObjectStore:
        """Return the store; raises CredentialsError, or ConfigurationError for a wrong endpoint."""
        return cls(s3_client(region, profile), region, profile)

    def head(self, bucket: str, key: str, version_id: str | None = None, *, etag: str | None = None) -> ObjectFacts:
        """Return what S3 says of an object.

        With ``etag`` the object must still be the one that was announced.
        Raises ObjectMissingError, ObjectReplacedError, AccessDeniedError,
        CredentialsError, ServiceUnavailableError, or ConfigurationError if
        there is no such bucket.
        """
        request = self._request("look up", object_url(bucket, key, version_id), "s3:GetObject and s3:ListBucket")
        pinned: _Pinned = {"IfMatch": f'"{etag}"'} if etag else {}
        with translated(request):
            try:
                head = self._client.head_object(
                    Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version_argument(version_id), **pinned
                )
            except ClientError as error:
                # An answer to HEAD has no body that would tell what is missing.
                if _is_missing(error) and self._lacks_bucket(bucket):
                    error.response["Error"]["Code"] = "NoSuchBucket"
                raise
            facts = facts_of(bucket, key, version_id, head)
            if facts.parts is None or not facts.readable:
                return facts
            return replace(facts, part_size=Source(self._client, request, facts).part_size(1))

    def request_restore(
        self, bucket: str, key: str, version_id: str | None = None, *, days: int, tier: Tier = "Standard"
    ) -> RestoreRequest:
        """Ask for a readable copy of an archived object, for ``days`` days.

        An object that is restored already gets a new expiry, counted from
        now. Raises NotArchivedError, and what ``head`` raises.
        """
        request = self._request("restore", object_url(bucket, key, version_id), "s3:RestoreObject")
        try:
            answer = self._client.restore_object(
                Bucket=bucket,
                Key=key,
                RestoreRequest={"Days": days, "GlacierJobParameters": {"Tier": tier}},
                **version_argument(version_id),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "RestoreAlreadyInProgress":
                return RestoreRequest.IN_PROGRESS
            known = translate(error, request)
            if isinstance(known, RestoreExpiredError):
                # The same code that a read gets; of a restore it says the contrary.
                raise NotArchivedError(
                    f"can't {request.doing}: it isn't archived, so nothing is to be restored; read it as it is",
                    cause=known.cause,
                ) from error
            raise known from error
        started = answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        return RestoreRequest.STARTED if started else RestoreRequest.ALREADY_RESTORED

    def download(
        self, facts: ObjectFacts, to: Path, *, streams: int, part_size: int, progress: Progress | None = None
    ) -> Download:
        """Bring an object to the path ``to``, whole and verified, or not at all.

        ``streams`` ranges of about ``part_size`` bytes are read at once; what
        an earlier try left in ``<to>.part`` is proved and kept. ``progress``
        is called in this thread, about every half second; what it raises ends
        the download. Raises RestoreExpiredError, ObjectReplacedError,
        ObjectMissingError, NoSpaceError, DownloadInProgressError,
        CorruptDownloadError, ServiceUnavailableError or ConfigurationError.
        """
        request = self._request("download", facts.url, "s3:GetObject and s3:GetObjectVersion")
        with translated(request):
            return download(
                Source(self._client, request, facts), to, streams=streams, range_size=part_size, progress=progress
            )

    def _lacks_bucket(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except ClientError as error:
            return _is_missing(error)
        return False

    def _request(self, verb: str, url: str, needs: str) -> Request:
        return Request(f"{verb} {url}", needs, self._region, self._profile)


def _is_missing(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "404"
