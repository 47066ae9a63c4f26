"""What the ledger tells; nothing here needs a claim."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import JSON, and_, func, or_, select, type_coerce
from sqlalchemy.orm import Session, aliased

from glacier_sync.ledger.errors import UnknownObjectError
from glacier_sync.ledger.facts import EventKind, Forgotten, LedgerEvent, LedgerObject, LedgerWork, Phase, StageProgress
from glacier_sync.ledger.models import Event, Progress, StagePace, Work
from glacier_sync.ledger.text import escape
from glacier_sync.progress import Pace

_ANNOUNCED = func.coalesce(Progress.event_time, Progress.create_time)


def object_by_id(session: Session, object_id: int) -> LedgerObject:
    """Return an object. Raises UnknownObjectError."""
    return facts_of(_row(session, object_id))


def objects(session: Session, phases: Collection[Phase] | None, limit: int | None) -> list[LedgerObject]:
    """Return the objects of these phases, oldest first; of too many the newest."""
    rows = select(Progress).order_by(Progress.id.desc()).limit(limit)
    if phases is not None:
        rows = rows.where(Progress.phase.in_(phases))
    return [facts_of(row) for row in session.scalars(rows)][::-1]


def find(session: Session, name: str) -> list[LedgerObject]:
    """Return the objects with that key, with a key of that RID, or that hold that work, as they were announced."""
    holding = select(Work.object_id).where(Work.rid == name)
    named = or_(Progress.object_key == name, Progress.rid == name, Progress.id.in_(holding))
    rows = select(Progress).where(named).order_by(_ANNOUNCED, Progress.id)
    return [facts_of(row) for row in session.scalars(rows)]


def synced_later(session: Session, object_id: int, rid: str) -> LedgerObject | None:
    """Return the newest object that was announced after this one and that a work was synced from.

    Of two that were announced at the same moment the one that was recorded later is newer.
    """
    row = _row(session, object_id)
    announced, moment = _ANNOUNCED, row.event_time or row.create_time
    is_later = or_(announced > moment, and_(announced == moment, Progress.id > row.id))
    later = select(Progress).join(Work).where(Work.rid == rid, Work.phase == Phase.SYNCED, is_later)
    found = session.scalar(later.order_by(announced.desc(), Progress.id.desc()).limit(1))
    return None if found is None else facts_of(found)


def events(session: Session, object_id: int | None) -> list[LedgerEvent]:
    """Return an object's events, or all of them, in the order in which they happened."""
    rows = select(Event).order_by(Event.id)
    if object_id is not None:
        rows = rows.where(Event.object_id == object_id)
    return [_event(row) for row in session.scalars(rows)]


def lapses(session: Session) -> dict[int, int]:
    """Return how many claims on each object have ended without a word since its last phase or attempt began."""
    earlier = aliased(Event)
    steps = earlier.kind.in_([*Phase, EventKind.RETRIED])
    last = select(func.max(earlier.id)).where(earlier.object_id == Event.object_id, steps).scalar_subquery()
    since = select(Event.object_id, func.count()).where(Event.kind == EventKind.LAPSED, Event.id > last)
    return {number: count for number, count in session.execute(since.group_by(Event.object_id)) if number is not None}


def remarks(session: Session, rid: str) -> list[LedgerEvent]:
    """Return the remarks on a work that are no object's, in the order in which they were made."""
    # What belongs to no object grows with the years: the database picks.
    of_work = type_coerce(Event.details, JSON)["rid"].as_string() == escape(rid)
    rows = select(Event).where(Event.object_id.is_(None), Event.kind == EventKind.NOTE, of_work).order_by(Event.id)
    return [_event(row) for row in session.scalars(rows)]


def _row(session: Session, object_id: int) -> Progress:
    row = session.get(Progress, object_id)
    if row is None:
        raise UnknownObjectError(f"the ledger has no object {object_id}: expected one that it has recorded")
    return row


def _event(row: Event) -> LedgerEvent:
    return LedgerEvent(
        id=row.id,
        object_id=row.object_id,
        time=row.time,
        kind=row.kind,
        run=row.run,
        message=row.message,
        details=row.details,
    )


def facts_of(row: Progress) -> LedgerObject:
    """Return what a row says."""
    return LedgerObject(
        id=row.id,
        queue=row.queue,
        bucket=row.bucket,
        key=row.object_key,
        version_id=row.version_id,
        etag=row.etag,
        size=row.size,
        restore_expiry=row.restore_expiry,
        event_name=row.event_name,
        rid=row.rid,
        phase=row.phase,
        attempt=row.attempt,
        failure_reason=row.failure_reason,
        failure_cause=row.failure_cause,
        unknown_errors=row.unknown_errors,
        claimed_by=row.claim_run,
        lease_until=row.claim_until,
        claim_count=row.claim_count,
        restore_requested_on=row.restore_requested_on,
        restore_complete_on=row.restore_complete_on,
        download_complete_on=row.download_complete_on,
        debag_complete_on=row.debag_complete_on,
        sync_complete_on=row.sync_complete_on,
        create_time=row.create_time,
        update_time=row.update_time,
        works=tuple(_work(work) for work in row.works),
        progress=_progress(row.pace) if row.pace else None,
        forgotten=_forgotten(row),
    )


def _work(work: Work) -> LedgerWork:
    return LedgerWork(
        rid=work.rid,
        files=work.files,
        bytes=work.bytes,
        phase=work.phase,
        destination=work.destination,
        audit=work.audit,
        reason=work.reason,
        synced_on=work.synced_on,
    )


def _forgotten(row: Progress) -> Forgotten | None:
    if row.forgotten_on is None:
        return None
    return Forgotten(by=row.forgotten_by or "", on=row.forgotten_on, reason=row.forgotten_reason or "")


def _progress(told: StagePace) -> StageProgress:
    pace = Pace(told.bytes_done, told.bytes_in_all, gained=told.bytes_gained, seconds=told.seconds)
    return StageProgress(stage=told.stage, pace=pace, time=told.time)
