"""Amazon's services: queues, restores, verified downloads."""

from glacier_sync.aws.checksums import Checksum
from glacier_sync.aws.download import Download
from glacier_sync.aws.errors import (
    AccessDeniedError,
    CorruptDownloadError,
    CredentialsError,
    DownloadInProgressError,
    NoSpaceError,
    NotArchivedError,
    ObjectMissingError,
    ObjectReplacedError,
    QueueRefusedError,
    QueueUnavailableError,
    RequestRefusedError,
    RestoreExpiredError,
    ServiceUnavailableError,
)
from glacier_sync.aws.facts import ObjectFacts, RestoreStatus
from glacier_sync.aws.objects import ObjectStore, RestoreRequest
from glacier_sync.aws.partfile import journal_path, part_path
from glacier_sync.aws.queues import Queue, ReceivedMessage

__all__ = [
    "AccessDeniedError",
    "Checksum",
    "CorruptDownloadError",
    "CredentialsError",
    "Download",
    "DownloadInProgressError",
    "NoSpaceError",
    "NotArchivedError",
    "ObjectFacts",
    "ObjectMissingError",
    "ObjectReplacedError",
    "ObjectStore",
    "Queue",
    "QueueRefusedError",
    "QueueUnavailableError",
    "ReceivedMessage",
    "RequestRefusedError",
    "RestoreExpiredError",
    "RestoreRequest",
    "RestoreStatus",
    "ServiceUnavailableError",
    "journal_path",
    "part_path",
]
