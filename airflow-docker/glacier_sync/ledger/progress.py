"""What a run writes about an object that it has in hand."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from glacier_sync.ledger import reading
from glacier_sync.ledger.claims import check_names, held, let_go
from glacier_sync.ledger.errors import ClaimLostError, PhaseOrderError, UnknownObjectError
from glacier_sync.ledger.facts import EventKind, Phase, Run, WorkFacts
from glacier_sync.ledger.models import Event, Progress, StagePace, Work
from glacier_sync.ledger.transaction import Details, Transaction
from glacier_sync.progress import Pace

_COMPLETED_ON = {
    Phase.RESTORED: "restore_complete_on",
    Phase.DOWNLOADED: "download_complete_on",
    Phase.DEBAGGED: "debag_complete_on",
    Phase.SYNCED: "sync_complete_on",
}


def advance(
    transaction: Transaction, object_id: int, run: Run, phase: Phase, message: str, *, details: Details
) -> None:
    """Move an object on to a phase other than failed; see ``Ledger.advance``."""
    if phase is Phase.FAILED:
        raise ValueError("an object fails with a reason and a cause: use fail")
    row = _row_before(transaction, object_id, run, phase)
    if row is not None:
        setattr(row, _COMPLETED_ON[phase], transaction.now)
        _enter(transaction, row, run, phase, message, details=details)


def fail(transaction: Transaction, object_id: int, run: Run, reason: str, cause: str, *, details: Details) -> None:
    """Give an object up for good; see ``Ledger.fail``."""
    row = _row_before(transaction, object_id, run, Phase.FAILED)
    if row is not None:
        row.failure_reason, row.failure_cause = reason, cause
        _enter(transaction, row, run, Phase.FAILED, reason, details={**(details or {}), "cause": cause})


def note(transaction: Transaction, object_id: int, run: Run, message: str, details: Details) -> None:
    """Append a remark to an object."""
    transaction.append(held(transaction, object_id, run), EventKind.NOTE, message, run=run.name, details=details)


def remark_on_object(transaction: Transaction, object_id: int, run: Run, message: str, details: Details) -> None:
    """Append a remark to an object, whoever has it in hand; see ``Ledger.remark_on_object``."""
    transaction.append(transaction.row(object_id), EventKind.NOTE, message, run=run.name, details=details)


def remark(transaction: Transaction, rid: str, run: Run, message: str, details: Details) -> bool:
    """Append a remark on a work, whoever has its newest object in hand; see ``Ledger.remark``."""
    holding = reading.find(transaction.session, rid)
    row = transaction.row(holding[-1].id) if holding else None
    transaction.append(row, EventKind.NOTE, message, run=run.name, details={**(details or {}), "rid": rid})
    return bool(holding)


def tell_pace(transaction: Transaction, object_id: int, run: Run, stage: str, pace: Pace) -> None:
    """Write down how far a stage has come, in place of what was told before; it isn't an event."""
    row = held(transaction, object_id, run)
    row.pace = row.pace or StagePace()
    row.pace.stage, row.pace.time = stage, transaction.now
    row.pace.bytes_done, row.pace.bytes_in_all = pace.done, pace.in_all
    row.pace.bytes_gained, row.pace.seconds = pace.gained, pace.seconds


def count_unknown_error(transaction: Transaction, object_id: int, run: Run, cause: str) -> int:
    """Count an error that nobody foresaw and return how many there have been."""
    row = held(transaction, object_id, run)
    row.unknown_errors += 1
    message = f"an unknown error, number {row.unknown_errors}: {cause}"
    transaction.append(row, EventKind.UNKNOWN_ERROR, message, run=run.name, details={"cause": cause})
    return row.unknown_errors


def set_works(transaction: Transaction, object_id: int, run: Run, works: Sequence[WorkFacts]) -> None:
    """Write down which works an object holds, in place of what was known."""
    row = held(transaction, object_id, run)
    facts = {work.rid: work for work in works}
    if len(facts) < len(works):
        raise ValueError(f"a work is listed twice: {', '.join(work.rid for work in works)}")
    check_names(transaction, row, run, frozenset(("rid", rid) for rid in facts))
    known = {work.rid: work for work in row.works if facts.get(work.rid) == WorkFacts(work.rid, work.files, work.bytes)}
    if len(known) == len(row.works) == len(facts):
        return
    row.works = [work for work in row.works if work.rid in known]
    # A changed work is deleted before its successor of the same RID arrives.
    transaction.session.flush()
    row.works += [
        Work(rid=work.rid, files=work.files, bytes=work.bytes, phase=Phase.DEBAGGED)
        for work in works
        if work.rid not in known
    ]
    details = {"works": [{"rid": work.rid, "files": work.files, "bytes": work.bytes} for work in works]}
    message = f"{len(works)} work{'' if len(works) == 1 else 's'} found: {', '.join(facts) or 'none'}"
    transaction.append(row, EventKind.WORKS_FOUND, message, run=run.name, details=details)


def update_work(
    transaction: Transaction,
    object_id: int,
    run: Run,
    rid: str,
    *,
    phase: Phase,
    destination: str | None,
    audit: str | None,
    reason: str | None,
) -> None:
    """Write down how far a work has come; see ``Ledger.update_work``."""
    row = held(transaction, object_id, run)
    work = next((work for work in row.works if work.rid == rid), None)
    if work is None:
        raise UnknownObjectError(f"object {row.id} ({row.object_key}) holds no work {rid}: expected one that was found")
    if work.phase.is_terminal and not phase.is_terminal:
        raise PhaseOrderError(f"work {rid} is {work.phase} and can't become {phase} again: phases only move forward")
    before = (work.phase, work.destination, work.audit, work.reason)
    work.phase, work.reason = phase, reason
    work.destination = destination or work.destination
    work.audit = audit or work.audit
    if before == (work.phase, work.destination, work.audit, work.reason):
        return
    work.synced_on = transaction.now if phase is Phase.SYNCED else None
    details = {"rid": rid, "phase": phase, "destination": work.destination, "audit": work.audit, "reason": reason}
    message = f"work {rid} is {phase}" + (f": {reason}" if reason else "")
    transaction.append(row, EventKind.WORK_UPDATED, message, run=run.name, details=details)


def _row_before(transaction: Transaction, object_id: int, run: Run, phase: Phase) -> Progress | None:
    """Return the row that is to enter the phase, or None if this very run has brought it there already.

    A stage that was killed right after it committed does the same again. Raises
    ClaimLostError if others have the object, or have ended it.
    """
    row = transaction.row(object_id)
    entered_by = _entered_by(transaction, row)
    if row.phase is phase and row.claim_run in (None, run.name) and entered_by == run.name:
        return None
    if not row.phase.is_terminal:
        held(transaction, object_id, run)
    elif entered_by != run.name:
        raise ClaimLostError(
            f"object {row.id} ({row.object_key}) is {row.phase}: {entered_by} ended it when the lease of {run.name} "
            "had run out; nothing was recorded; leave it as it is"
        )
    if phase.rank <= row.phase.rank or row.phase.is_terminal:
        raise PhaseOrderError(
            f"object {row.id} ({row.object_key}) is {row.phase} and can't become {phase}: phases only move forward"
        )
    return row


def _entered_by(transaction: Transaction, row: Progress) -> str | None:
    entered = select(Event.run).where(Event.object_id == row.id, Event.kind == row.phase)
    return transaction.session.scalar(entered.order_by(Event.id.desc()).limit(1))


def _enter(transaction: Transaction, row: Progress, run: Run, phase: Phase, message: str, *, details: Details) -> None:
    row.phase, row.pace = phase, None
    if phase.is_terminal:
        let_go(row)
    transaction.tell_site(row, message, details)
    transaction.append(row, phase, message, run=run.name, details=details)
