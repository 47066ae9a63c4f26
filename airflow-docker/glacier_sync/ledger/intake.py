"""What the queues' messages say, written down: once, however often they are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from glacier_sync.events import RestoredObject, UnwantedObject
from glacier_sync.ledger.attempts import begin
from glacier_sync.ledger.facts import EventKind, Phase
from glacier_sync.ledger.models import Progress
from glacier_sync.ledger.text import object_name
from glacier_sync.ledger.transaction import Transaction, digest
from glacier_sync.settings import WATCHED_FOLDER
from glacier_sync.works import InvalidRidError, rid_of

_REQUESTED = "ObjectRestore:Post"
_READABLE = ("ObjectRestore:Completed", "ObjectCreated:")


@dataclass(frozen=True)
class _Announcement:
    """An object as one message announces it."""

    queue: str
    message_id: str
    found: RestoredObject

    @property
    def is_request(self) -> bool:
        return self.found.event_name == _REQUESTED

    @property
    def is_readable(self) -> bool:
        return self.found.event_name.startswith(_READABLE)

    @property
    def content(self) -> str:
        """The digest of the object, whichever restore of it this is."""
        return digest(self.found.bucket, self.found.key, self.found.version_id, self.found.etag)

    @property
    def identity(self) -> str:
        """The digest of the restore. A request has no expiry yet: its time tells it from others and from an upload."""
        request = (_REQUESTED, _text_of(self.found.event_time)) if self.is_request else ()
        return digest(self.content, _text_of(self.found.restore_expiry), *request)

    @property
    def once(self) -> str:
        """The digest under which the restore is recorded."""
        return digest("announced", self.identity)

    @property
    def delivery(self) -> str:
        """The digest of this message's word about the restore."""
        said = (self.found.event_name, _text_of(self.found.event_time))
        return digest("delivered", self.queue, self.message_id, *said, self.identity)

    @property
    def details(self) -> dict[str, Any]:
        return {
            "queue": self.queue,
            "message_id": self.message_id,
            "event_name": self.found.event_name,
            "event_time": _text_of(self.found.event_time),
            "bucket": self.found.bucket,
            "key": self.found.key,
            "version_id": self.found.version_id,
            "etag": self.found.etag,
            "size": self.found.size,
            "restore_expiry": _text_of(self.found.restore_expiry),
            "region": self.found.region,
        }

    def __str__(self) -> str:
        expiry = self.found.restore_expiry
        until = f", restored until {expiry:%Y-%m-%d %H:%M} UTC" if expiry else ""
        place = "" if self.queue == WATCHED_FOLDER else "s3://"
        return f"{place}{self.found.bucket}/{self.found.key}{until}, announced by {self.found.event_name}"


def record(
    transaction: Transaction,
    queue: str,
    message_id: str,
    wanted: Sequence[RestoredObject],
    unwanted: Sequence[UnwantedObject],
) -> tuple[int, ...]:
    """Record a message's objects and return the numbers of those that are new."""
    new = [_record_wanted(transaction, _Announcement(queue, message_id, found)) for found in wanted]
    for refused in unwanted:
        announced = _Announcement(queue, message_id, refused.object)
        once = digest(EventKind.NOT_WANTED, queue, announced.identity)
        transaction.append_once(once, None, EventKind.NOT_WANTED, refused.reason, announced.details)
    return tuple(row.id for row in new if row is not None)


def reject(transaction: Transaction, queue: str, message_id: str, body: str, reason: str) -> None:
    """Record a message that isn't understood, with its body."""
    once = digest(EventKind.MESSAGE_REJECTED, queue, message_id)
    details = {"queue": queue, "message_id": message_id, "body": body}
    transaction.append_once(once, None, EventKind.MESSAGE_REJECTED, reason, details)


def _record_wanted(transaction: Transaction, announced: _Announcement) -> Progress | None:
    known = _latest(transaction, announced)
    if known is not None and transaction.happened(announced.once) is not None:
        _record_again(transaction, known, announced)
        return None
    if not announced.is_readable and not _starts_restore(known, announced):
        message = f"noted, nothing to fetch: {announced}"
        transaction.append_once(announced.delivery, known, EventKind.NOTE, message, announced.details)
        return None
    if known is not None and not known.phase.is_terminal:
        _continue(transaction, known, announced)
        return None
    return _add(transaction, announced)


def _record_again(transaction: Transaction, row: Progress, announced: _Announcement) -> None:
    """Record what was announced before, in the same words.

    If the event is a later one, the object was uploaded or restored once more: what
    waits for that, or has failed, is begun anew.
    """
    is_later = announced.is_readable and _is_later(announced.found.event_time, row.event_time)
    if is_later and row.phase in (Phase.REQUESTED, Phase.FAILED) and not transaction.happened(announced.delivery):
        _enter_anew(transaction, row, announced)
        return
    if announced.is_readable and row.phase is not Phase.SYNCED:
        _take_over_time(row, announced.found)
    message = f"delivered again, and in the ledger already: {announced}"
    transaction.append_once(announced.delivery, row, EventKind.DUPLICATE, message, announced.details)


def _enter_anew(transaction: Transaction, row: Progress, announced: _Announcement) -> None:
    message = str(announced)
    if row.phase is Phase.FAILED:
        message = f"attempt {row.attempt + 1}: {announced}; the one before failed: {row.failure_reason}"
        transaction.tell_site(row, message)
        begin(row, Phase.RESTORED)
    _enter(transaction, row, announced, message, announced.delivery)


def _starts_restore(known: Progress | None, announced: _Announcement) -> bool:
    """Tell whether a restore is requested here that hasn't been overtaken by its own completion."""
    if not announced.is_request or not announced.found.etag:
        return False
    return known is None or (known.phase.is_terminal and _is_later(announced.found.event_time, known.event_time))


def _add(transaction: Transaction, announced: _Announcement) -> Progress:
    row = Progress(
        object_name=object_name(announced.found.key),
        user_data=[],
        create_time=transaction.now,
        queue=announced.queue,
        bucket=announced.found.bucket,
        object_key=announced.found.key,
        version_id=announced.found.version_id,
        etag=announced.found.etag,
        content=announced.content,
        rid=_rid(announced.found.key),
    )
    transaction.session.add(row)
    _enter_first(transaction, row, announced)
    return row


def _continue(transaction: Transaction, row: Progress, announced: _Announcement) -> None:
    """Record what else is announced of an object that is still on its way: no second row."""
    if row.phase is Phase.REQUESTED:
        _enter_first(transaction, row, announced)
        return
    if announced.found.restore_expiry is None or _is_later(row.event_time, announced.found.event_time):
        message, kind = f"announced again, says nothing new: {announced}", EventKind.DUPLICATE
        _take_over_time(row, announced.found)
    else:
        message, kind = f"another expiry: {announced}", EventKind.RESTORE_EXTENDED
        _take_over(row, announced.found)
    transaction.append(row, kind, message, details=announced.details, once=announced.once)


def _enter_first(transaction: Transaction, row: Progress, announced: _Announcement) -> None:
    row.identity = announced.identity
    _enter(transaction, row, announced, str(announced), announced.once)


def _enter(transaction: Transaction, row: Progress, announced: _Announcement, message: str, once: str) -> None:
    _take_over(row, announced.found)
    moment = announced.found.event_time or transaction.now
    if announced.is_request:
        row.phase, row.restore_requested_on = Phase.REQUESTED, moment
    else:
        row.phase, row.restore_complete_on = Phase.RESTORED, moment
    transaction.append(row, row.phase, message, details=announced.details, once=once)


def _take_over(row: Progress, found: RestoredObject) -> None:
    row.size = row.size if found.size is None else found.size
    row.restore_expiry = found.restore_expiry
    row.event_name = found.event_name
    _take_over_time(row, found)


def _take_over_time(row: Progress, found: RestoredObject) -> None:
    """Keep the time of the latest event: one that is delivered again mustn't be taken for a later one."""
    if row.event_time is None or _is_later(found.event_time, row.event_time):
        row.event_time = found.event_time


def _latest(transaction: Transaction, announced: _Announcement) -> Progress | None:
    same = select(Progress).where(Progress.content == announced.content)
    return transaction.session.scalar(same.order_by(Progress.id.desc()).limit(1).with_for_update())


def _rid(key: str) -> str | None:
    try:
        return rid_of(key)
    except InvalidRidError:
        return None


def _text_of(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _is_later(moment: datetime | None, than: datetime | None) -> bool:
    return moment is not None and than is not None and moment > than
