"""Claims: which run has which object in hand. A work is never in two hands.

An object is free if no run claims it, if the claim's lease has run out, or if
the process that claimed it on this machine is certainly dead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select

from glacier_sync.ledger import reading
from glacier_sync.ledger.errors import ClaimLostError, PhaseOrderError
from glacier_sync.ledger.facts import WORKABLE, EventKind, Phase, Run, Way
from glacier_sync.ledger.models import Progress
from glacier_sync.ledger.processes import is_certainly_dead
from glacier_sync.ledger.room import Allotment, space_of
from glacier_sync.ledger.transaction import Transaction
from glacier_sync.settings import WATCHED_FOLDER

# What two objects can't both have in hand: the object itself, or a work.
Names = frozenset[tuple[str, ...]]

_ROWS_AT_ONCE = 50
# How long an object that was tried in vain lets others pass, by how often it has been in hand: an outage that puts
# off a large part of all there is must leave time for the rest, and one failure mustn't cost an object its copy.
_BACK_OFFS = tuple((1 + doubled, timedelta(hours=2**doubled)) for doubled in range(5))


def claim(
    transaction: Transaction,
    run: Run,
    limit: int,
    *,
    ways: Collection[Way],
    without: Collection[int],
    allotment: Allotment,
) -> list[Progress]:
    """Take up to ``limit`` objects; see ``Ledger.claim``."""
    live, lapsed = _claimed(transaction, run)
    for row in live:
        if row.claim_host == run.host or allotment.has_here(row.id):
            allotment.promise(row.id, _space_of(row))
    names = {name for row in live for name in names_of(row)}
    own = [row for row in live if row.claim_run == run.name][: max(limit, 0)]
    choose = partial(_apart, in_hand=names, admits=lambda row: allotment.admits(row.id, _space_of(row)))
    own += choose((row for row in lapsed if row.claim_run == run.name), limit=limit - len(own))
    free = _free(transaction, [row.id for row in lapsed if row.claim_run != run.name], ways)
    wanted = (row for row in free if row.id not in without)
    found = takewhile(lambda _: not allotment.is_closed, wanted)
    return [_take(transaction, row, run) for row in (*own, *choose(found, limit=limit - len(own)))]


def in_hand(transaction: Transaction, run: Run) -> list[Progress]:
    """Return the objects whose claim counts on the run's host, its own among them."""
    return [row for row in _claimed(transaction, run)[0] if row.claim_host == run.host]


def hold(transaction: Transaction, object_id: int, run: Run) -> Progress:
    """Make sure that the run has the object in hand; one that is synced or failed is only looked up."""
    row = transaction.row(object_id)
    if row.phase.is_terminal:
        return row
    if row.phase is Phase.REQUESTED:
        raise PhaseOrderError(f"object {row.id} ({row.object_key}) isn't restored yet: wait until its event arrives")
    if row.claim_run not in (None, run.name) and is_live(transaction, row, run):
        raise _lost(row, run)
    _check_hands(transaction, row, run)
    _take(transaction, row, run)
    row.claim_host, row.claim_worker, row.pace = run.host, run.worker, None
    return row


def held(transaction: Transaction, object_id: int, run: Run) -> Progress:
    """Return an object's row for writing. Raises ClaimLostError unless the run holds it.

    A lease that has run out is renewed if nobody else took the object.
    """
    row = transaction.row(object_id)
    if not _is_in_hand(row, run):
        raise _lost(row, run)
    if not is_live(transaction, row, run):
        _check_hands(transaction, row, run)
        _take(transaction, row, run)
    return row


def renew(transaction: Transaction, run: Run) -> frozenset[int]:
    """Extend the lease of what the run holds and return the objects that this process may work on.

    What lapsed is taken again, unless its key or a work has come into other hands, or was in them
    meanwhile: then what is newer is synced, and must not be written over.
    """
    live, lapsed = _claimed(transaction, run)
    in_hand = {name for row in live for name in names_of(row)}
    own = [row for row in live if row.claim_run == run.name]
    lapsed = [row for row in lapsed if row.claim_run == run.name and not _is_overtaken(transaction, row)]
    own += _apart(lapsed, in_hand, len(lapsed))
    return frozenset(row.id for row in own if _is_in_hand(_take(transaction, row, run), run))


def _is_overtaken(transaction: Transaction, row: Progress) -> bool:
    """Tell whether a work of an object was synced from one that was announced later."""
    rids = {row.rid, *(work.rid for work in row.works)}
    return any(rid and reading.synced_later(transaction.session, row.id, rid) for rid in rids)


def release(transaction: Transaction, object_id: int, run: Run, message: str, *, in_vain: bool) -> None:
    """Give an object back; see ``Ledger.release``."""
    row = transaction.row(object_id)
    if row.claim_run is None:
        return
    if not _is_in_hand(row, run):
        raise _lost(row, run)
    let_go(row)
    if in_vain:
        row.tried_on = transaction.now
    transaction.append(row, EventKind.RELEASED, message, run=run.name)


def let_go(row: Progress) -> None:
    """Take the claim off a row."""
    row.claim_run = row.claim_host = row.claim_process = row.claim_worker = row.claim_until = None
    row.pace = None


def check_names(transaction: Transaction, row: Progress, run: Run, names: Names) -> None:
    """Raise ClaimLostError if another object that is in hand has one of these names."""
    for other in _claimed(transaction, run)[0]:
        if other.id != row.id and not names.isdisjoint(names_of(other)):
            raise ClaimLostError(
                f"object {row.id} ({row.object_key}) has the key or a work of object {other.id} ({other.object_key}), "
                f"which is in the hands of {holder(other)}: a work can't be in two hands; try again when that is done"
            )


def names_of(row: Progress) -> Names:
    """Return the names that an object has in hand: its key, and the works it stands for or holds."""
    rids = {row.rid, *(work.rid for work in row.works)}
    return frozenset({("key", row.bucket, row.object_key), *(("rid", rid) for rid in rids if rid)})


def _check_hands(transaction: Transaction, row: Progress, run: Run) -> None:
    check_names(transaction, row, run, names_of(row))


def _claimed(transaction: Transaction, run: Run) -> tuple[list[Progress], list[Progress]]:
    """Return the objects with a claim that counts, and those whose claim doesn't any more."""
    rows = select(Progress).where(Progress.claim_run.is_not(None)).order_by(*_turn(transaction))
    live: list[Progress] = []
    lapsed: list[Progress] = []
    for row in transaction.session.scalars(rows):
        (live if is_live(transaction, row, run) else lapsed).append(row)
    return live, lapsed


def _turn(transaction: Transaction) -> tuple[ColumnElement[Any], ...]:
    """Return the order in which objects are taken: those that back off last, and else the nearest expiry first."""
    backs_off = or_(
        *(
            and_(Progress.claim_count >= claims, Progress.tried_on > transaction.now - back_off)
            for claims, back_off in _BACK_OFFS
        )
    )
    return (
        case((backs_off, Progress.tried_on)).asc().nulls_first(),
        Progress.restore_expiry.asc().nulls_last(),
        Progress.create_time.asc(),
        Progress.id.asc(),
    )


def _free(transaction: Transaction, lapsed: list[int], ways: Collection[Way]) -> Iterator[Progress]:
    """Yield the free objects, locked; one that somebody else has locked by hand is left out."""
    free = or_(Progress.claim_run.is_(None), Progress.id.in_(lapsed))
    rows = select(Progress).where(Progress.phase.in_(WORKABLE), free).order_by(*_turn(transaction))
    if Way.FOLDER not in ways:
        rows = rows.where(Progress.queue != WATCHED_FOLDER)
    if Way.QUEUE not in ways:
        rows = rows.where(Progress.queue == WATCHED_FOLDER)
    yield from transaction.session.scalars(
        rows.with_for_update(skip_locked=True), execution_options={"yield_per": _ROWS_AT_ONCE}
    )


def _apart(
    rows: Iterable[Progress],
    in_hand: set[tuple[str, ...]],
    limit: int,
    admits: Callable[[Progress], bool] = lambda _: True,
) -> list[Progress]:
    """Return up to ``limit`` admitted objects that share no name with what is in hand, and add theirs to it."""
    chosen: list[Progress] = []
    if limit <= 0:
        return chosen
    for row in rows:
        names = names_of(row)
        if in_hand.isdisjoint(names) and admits(row):
            in_hand |= names
            chosen.append(row)
            if len(chosen) == limit:
                break
    return chosen


def _space_of(row: Progress) -> int:
    return space_of(row.size, Way.FOLDER if row.queue == WATCHED_FOLDER else Way.QUEUE)


def _take(transaction: Transaction, row: Progress, run: Run) -> Progress:
    if row.claim_run != run.name:
        if row.claim_run:
            _record_lapse(transaction, row)
        let_go(row)
        row.claim_run, row.claim_host, row.claim_process = run.name, run.host, run.process
        row.claim_count += 1
        transaction.append(row, EventKind.CLAIMED, f"taken in hand by {run.name}", run=run.name)
    row.claim_until = transaction.now + transaction.lease
    return row


def _record_lapse(transaction: Transaction, row: Progress) -> None:
    """Record that a claim ended without a word.

    Once the object goes on in its turn. If that ends so too, it is perhaps the object
    that the process died of, with all others that it had in hand: it backs off.
    """
    row.tried_on = transaction.now
    message = f"the claim of {holder(row)} ended without a word: its process was killed, or the machine stopped"
    transaction.append(row, EventKind.LAPSED, message, run=row.claim_run)


def is_live(transaction: Transaction, row: Progress, run: Run) -> bool:
    """Tell whether the claim on a row still counts, as far as the run on this machine can know."""
    if row.claim_until is None or row.claim_until <= transaction.now:
        return False
    return not (row.claim_process and row.claim_host == run.host and is_certainly_dead(row.claim_process))


def _is_in_hand(row: Progress, run: Run) -> bool:
    """Tell whether the run holds the object, in this process unless none has begun to work on it."""
    return row.claim_run == run.name and row.claim_worker in (None, run.worker)


def _lost(row: Progress, run: Run) -> ClaimLostError:
    another = "another process of " if row.claim_run == run.name else ""
    return ClaimLostError(
        f"object {row.id} ({row.object_key}) is in the hands of {another}{holder(row)}, expected {run.name}: "
        "nothing was recorded; leave it to them, or take it again when it is free"
    )


def holder(row: Progress) -> str:
    """Say whose claim is on a row, and until when."""
    if row.claim_run is None:
        return "nobody"
    return f"{row.claim_run} on {row.claim_host} until {row.claim_until:%Y-%m-%d %H:%M:%S} UTC"
