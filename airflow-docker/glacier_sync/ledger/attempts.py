"""An object's next attempt, begun by an operator, a later event or by waiting for another restore; and its last word.

Within an attempt phases only move forward. Nothing that was recorded of an
earlier one is taken back: it is in the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from glacier_sync.ledger import reading
from glacier_sync.ledger.claims import held, holder, is_live, let_go
from glacier_sync.ledger.errors import RefusedError
from glacier_sync.ledger.facts import EventKind, Phase, Run
from glacier_sync.ledger.models import Progress
from glacier_sync.ledger.transaction import Details, Transaction


def retry(transaction: Transaction, object_ids: Sequence[int], run: Run) -> list[Progress]:
    """Begin a new attempt of objects that have failed; see ``Ledger.retry``."""
    rows = [transaction.row(object_id) for object_id in object_ids]
    for row in rows:
        _require_retriable(transaction, row)
    for row in rows:
        details = {"reason": row.failure_reason, "cause": row.failure_cause}
        # Whether there is a copy to read, the download finds out: it waits for one if there isn't.
        begin(row, Phase.RESTORED)
        message = f"attempt {row.attempt}, asked for by {run.name}; the one before failed: {details['reason']}"
        transaction.tell_site(row, message)
        transaction.append(row, EventKind.RETRIED, message, run=run.name, details=details)
    return rows


def forget(transaction: Transaction, object_ids: Sequence[int], run: Run, reason: str) -> list[Progress]:
    """Take objects off the list of what is to be done; see ``Ledger.forget``."""
    rows = [transaction.row(object_id) for object_id in object_ids]
    for row in rows:
        _require_forgettable(transaction, row, run)
    for row in rows:
        message = f"forgotten by {run.name}: {reason}"
        if row.phase is not Phase.FAILED:
            row.phase, row.failure_reason, row.failure_cause = Phase.FAILED, message, ""
            let_go(row)
            transaction.append(row, Phase.FAILED, message, run=run.name)
        row.forgotten_on, row.forgotten_by, row.forgotten_reason = transaction.now, run.name, reason
        transaction.tell_site(row, message)
        transaction.append(row, EventKind.FORGOTTEN, message, run=run.name)
    return rows


def await_restore(
    transaction: Transaction,
    object_id: int,
    run: Run,
    message: str,
    *,
    known_expiry: datetime | None,
    requested: bool,
    details: Details,
) -> bool:
    """Let an object that has no restored copy wait for one; see ``Ledger.await_restore``."""
    row = held(transaction, object_id, run)
    if row.restore_expiry != known_expiry:
        return False
    let_go(row)
    begin(row, Phase.REQUESTED)
    row.restore_requested_on = transaction.now if requested else None
    row.restore_complete_on = row.restore_expiry = None
    transaction.tell_site(row, message, details)
    transaction.append(row, Phase.REQUESTED, message, run=run.name, details=details)
    return True


def begin(row: Progress, phase: Phase) -> None:
    """Begin a new attempt: what an earlier one has come to is left to the events."""
    row.phase = phase
    row.attempt += 1
    row.unknown_errors = 0
    row.tried_on = None
    row.failure_reason = row.failure_cause = None
    row.forgotten_on = row.forgotten_by = row.forgotten_reason = None
    row.download_complete_on = row.debag_complete_on = row.sync_complete_on = None
    for work in row.works:
        if work.phase is Phase.FAILED:
            work.phase, work.reason = Phase.DEBAGGED, None


def _require_retriable(transaction: Transaction, row: Progress) -> None:
    if row.phase is not Phase.FAILED:
        raise RefusedError(f"{_name(row)} is {row.phase}: only what has failed is tried anew; leave it alone")
    same = select(Progress).where(Progress.content == row.content, Progress.id > row.id)
    later = transaction.session.scalar(same.order_by(Progress.id.desc()).limit(1))
    if later is not None:
        raise RefusedError(
            f"{_name(row)} was restored once more since it failed: that is object {later.id}, which is {later.phase}; "
            "look at that one"
        )
    rids = {work.rid for work in row.works} or {rid for rid in [row.rid] if rid}
    newer = [found for rid in rids if (found := reading.synced_later(transaction.session, row.id, rid))]
    if newer and len(newer) == len(rids):
        raise RefusedError(
            f"{_name(row)} is older than what the archive has: that is of object {newer[0].id} "
            f"({newer[0].key}); forget this one, or have it restored once more if it is the right one"
        )


def _require_forgettable(transaction: Transaction, row: Progress, run: Run) -> None:
    if row.phase is Phase.SYNCED:
        raise RefusedError(f"{_name(row)} is synced: its works are in the archive, and nothing is left to forget")
    if row.forgotten_on is not None:
        raise RefusedError(f"{_name(row)} is forgotten already, by {row.forgotten_by}: {row.forgotten_reason}")
    if is_live(transaction, row, run):
        raise RefusedError(f"{_name(row)} is in the hands of {holder(row)}: forget it when that has ended")


def _name(row: Progress) -> str:
    return f"object {row.id} ({row.object_key})"
