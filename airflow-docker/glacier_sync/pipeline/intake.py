"""From the queues and the watched folder into the ledger, and from the ledger into a run's hands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from glacier_sync import events
from glacier_sync.aws import Queue, ReceivedMessage
from glacier_sync.errors import GlacierSyncError
from glacier_sync.ledger import LedgerObject, Way
from glacier_sync.pipeline import leftovers, room, watched, working
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.room import NoSpaceError
from glacier_sync.settings import WATCHED_FOLDER, IntakeQueue, load_intake

log = logging.getLogger(__name__)

_NEXT_POLL_SECONDS = 1
_COMMIT_SECONDS = 300


@dataclass(frozen=True)
class Taken:
    """What a run has claimed, and an error for each queue or folder that couldn't be read.

    ``waiting`` tells that restored objects wait for room, and why.
    """

    objects: tuple[LedgerObject, ...]
    problems: tuple[GlacierSyncError, ...]
    waiting: NoSpaceError | None


def take(context: Context, ways: Collection[Way] = tuple(Way), *, tried: Collection[int] = ()) -> Taken:
    """Read what comes in by these ways into the ledger, then claim what this run is to work on.

    What this run has ``tried`` in vain isn't claimed again, and so hides nothing
    that waits behind it; nor is more than the working folder has room for. A queue
    or folder that can't be read is a problem of its own and stops no other. Raises
    ConfigurationError if ``intake.yml`` or the working folder is wrong.
    """
    settings = context.settings
    queues = load_intake(settings.intake) if Way.QUEUE in ways else ()
    working.prepare(settings)
    leftovers.sweep(context)
    readings = [(f"queue {intake.name}", partial(drain, context, intake)) for intake in queues]
    if Way.FOLDER in ways and settings.watched_dir is not None:
        readings.append((WATCHED_FOLDER, partial(watched.record_arrivals, context, settings.watched_dir)))
    problems = [problem for origin, read in readings if (problem := _problem_of(origin, read))]
    given = room.allotment(context)
    claimed = context.ledger.claim(context.run, settings.max_objects_per_run, ways, without=tried, allotment=given)
    waiting = room.refusal(context, given)
    if waiting is not None:
        log.info("%s", waiting)
    return Taken(tuple(claimed), tuple(problems), waiting)


def _problem_of(origin: str, read: Callable[[], int]) -> GlacierSyncError | None:
    try:
        read()
    except GlacierSyncError as error:
        log.warning("%s: %s", origin, error)
        return error
    return None


def drain(context: Context, intake: IntakeQueue) -> int:
    """Record a queue's messages until it is empty, so that the nearest expiry of all can go first.

    Each batch is committed to the ledger before its messages are deleted.
    Returns the number of new objects. Raises what the queue or the ledger raises.
    """
    queue = Queue.open(intake)
    new = 0
    wait = context.settings.sqs_wait_seconds
    while messages := queue.receive(wait):
        queue.extend_visibility(messages, _COMMIT_SECONDS)
        done = []
        for message in messages:
            recorded, deletable = _recorded(context, intake, message)
            new += recorded
            if deletable:
                done.append(message)
        queue.delete(done)
        wait = min(wait, _NEXT_POLL_SECONDS)
    return new


def _recorded(context: Context, intake: IntakeQueue, message: ReceivedMessage) -> tuple[int, bool]:
    """Commit what a message says; return how many objects are new, and whether it may be deleted."""
    try:
        parsed = events.parse(message.body)
    except events.InvalidMessageError as error:
        context.ledger.reject(intake.name, message.id, message.body, error.message)
        log.warning("queue %s: message %s is rejected: %s", intake.name, message.id, error)
        return 0, intake.delete_rejected
    wanted, unwanted = events.select(parsed.objects, intake.buckets, intake.events)
    new = context.ledger.record(intake.name, message.id, wanted, unwanted)
    if parsed.problems:
        _reject_records(context, intake, message, parsed.problems)
    return len(new), not parsed.problems or intake.delete_rejected


def _reject_records(context: Context, intake: IntakeQueue, message: ReceivedMessage, problems: Sequence[str]) -> None:
    reason = events.few(problems)
    context.ledger.reject(intake.name, message.id, message.body, reason)
    log.warning("queue %s: records of message %s are rejected: %s", intake.name, message.id, reason)
