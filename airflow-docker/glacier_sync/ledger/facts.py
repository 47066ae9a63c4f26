"""The ledger's facts: what it takes and what it tells, without any database in sight."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Any

from glacier_sync.ledger.processes import this_process
from glacier_sync.progress import Pace
from glacier_sync.settings import WATCHED_FOLDER


class Phase(StrEnum):
    """How far an object has come. Phases only move forward, in this order."""

    REQUESTED = auto()
    RESTORED = auto()
    DOWNLOADED = auto()
    DEBAGGED = auto()
    SYNCED = auto()
    FAILED = auto()

    @property
    def rank(self) -> int:
        """The phase's place in the order."""
        return tuple(Phase).index(self)

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more is done about the object by itself."""
        return self in (Phase.SYNCED, Phase.FAILED)


WORKABLE = (Phase.RESTORED, Phase.DOWNLOADED, Phase.DEBAGGED)


class Way(StrEnum):
    """The way an object came in: announced by a queue, or found in the watched folder."""

    QUEUE = auto()
    FOLDER = auto()


class EventKind(StrEnum):
    """What an event is about; an object's phases are kinds too, under their own names."""

    RESTORE_EXTENDED = auto()
    DUPLICATE = auto()
    NOT_WANTED = auto()
    MESSAGE_REJECTED = auto()
    CLAIMED = auto()
    RELEASED = auto()
    LAPSED = auto()
    NOTE = auto()
    UNKNOWN_ERROR = auto()
    WORKS_FOUND = auto()
    WORK_UPDATED = auto()
    RETRIED = auto()
    FORGOTTEN = auto()


@dataclass(frozen=True)
class Run:
    """Who claims objects.

    ``process`` is the identity of a process that ends with the run; None for a
    run of many processes, whose end only its lease can tell. ``worker`` is the
    identity of the process that works on the run's behalf, which tells apart a
    task and its next try; None if that doesn't matter.
    """

    name: str
    host: str
    process: str | None
    worker: str | None = None

    @classmethod
    def of_this_process(cls) -> Run:
        """Return the run that is this process: its claims are free once the process is gone."""
        process, host = this_process(), socket.gethostname()
        digest = hashlib.sha256(process.encode()).hexdigest()[:12]
        return cls(name=f"glacier-sync@{host}/{digest}", host=host, process=process, worker=process)

    @classmethod
    def by_hand(cls) -> Run:
        """Return the operator, who holds nothing and decides."""
        host = socket.gethostname()
        return cls(name=f"{_user()}@{host}", host=host, process=None)

    @classmethod
    def of_dag_run(cls, dag_id: str, run_id: str) -> Run:
        """Return the run that is a DAG run: the same one in each of its tasks and their retries."""
        return cls(name=f"{dag_id}/{run_id}", host=socket.gethostname(), process=None, worker=this_process())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user needn't have a name.
        return str(os.getuid())


@dataclass(frozen=True)
class WorkFacts:
    """A work found in an object: its RID, number of payload files and their bytes."""

    rid: str
    files: int
    bytes: int


@dataclass(frozen=True)
class LedgerWork:
    """A work of an object. ``audit`` is its worst outcome: Passed, Warnings or Failed."""

    rid: str
    files: int
    bytes: int
    phase: Phase
    destination: str | None
    audit: str | None
    reason: str | None
    synced_on: datetime | None


@dataclass(frozen=True)
class StageProgress:
    """How far a stage had come with an object in hand at ``time``."""

    stage: str
    pace: Pace
    time: datetime


@dataclass(frozen=True)
class Forgotten:
    """Who took an object off the list of what is to be done, when and why."""

    by: str
    on: datetime
    reason: str


@dataclass(frozen=True)
class LedgerObject:
    """A restored object as the ledger knows it. Times are aware, in UTC; ``size`` is in bytes.

    ``claimed_by`` is the run that has it in hand until ``lease_until``; a lease
    in the past means that the object is free again. ``claim_count`` grows with
    each change of hands. ``rid`` is the RID that the key stands for, if any.
    Of what came from the watched folder, ``bucket`` is the folder's path.
    ``progress`` is told while a stage works on it for longer than a moment;
    ``forgotten`` of a failed one that nobody waits for any more.
    """

    id: int
    queue: str
    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int | None
    restore_expiry: datetime | None
    event_name: str
    rid: str | None
    phase: Phase
    attempt: int
    failure_reason: str | None
    failure_cause: str | None
    unknown_errors: int
    claimed_by: str | None
    lease_until: datetime | None
    claim_count: int
    restore_requested_on: datetime | None
    restore_complete_on: datetime | None
    download_complete_on: datetime | None
    debag_complete_on: datetime | None
    sync_complete_on: datetime | None
    create_time: datetime
    update_time: datetime
    works: tuple[LedgerWork, ...]
    progress: StageProgress | None
    forgotten: Forgotten | None

    @property
    def way(self) -> Way:
        """The way it came in."""
        return Way.FOLDER if self.queue == WATCHED_FOLDER else Way.QUEUE


@dataclass(frozen=True)
class LedgerEvent:
    """Something that happened, to an object or (``object_id`` None) to a message."""

    id: int
    object_id: int | None
    time: datetime
    kind: str
    run: str | None
    message: str
    details: dict[str, Any]
