"""Running one stage on one object: claim, lease, outcome, record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from glacier_sync.errors import (
    OF_THE_MACHINE,
    ConfigurationError,
    GlacierSyncError,
    NoRoomError,
    PermanentError,
    TransientError,
    one_line,
)
from glacier_sync.ledger import ClaimLostError, LedgerObject, LedgerUnavailableError, Phase
from glacier_sync.pipeline import leftovers
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.destination import UPDATE_STOPPED
from glacier_sync.pipeline.lease import Lease
from glacier_sync.pipeline.outcome import Done, Failed, Outcome, RetryLater, Waiting

log = logging.getLogger(__name__)


class UnlistedError(GlacierSyncError):
    """A cause that is neither a listed transient one nor known to be permanent."""


class MachineError(TransientError):
    """The machine or a disk is short of something, or fails: no object is to blame."""


@dataclass(frozen=True)
class Stage:
    """One step on an object's way: its name and what it does with a claimed object.

    ``work`` may be killed at any instruction and run again. It raises the
    errors of ``glacier_sync.errors`` for what it can't do.
    """

    name: str
    work: Callable[[Context, LedgerObject], Done | Waiting]


def run_stage(context: Context, stage: Stage, object_id: int) -> Outcome:
    """Run a stage on an object that this run has claimed, and record how it went.

    With the ledger away nothing can be recorded, and nothing is believed: that is
    tried again later, whatever the stage has come to. Raises only what says that
    the ledger is wrong, rather than away.
    """
    try:
        return _run(context, stage, object_id)
    except (ClaimLostError, LedgerUnavailableError) as unrecorded:
        return RetryLater(unrecorded.message, unrecorded.cause)


def _run(context: Context, stage: Stage, object_id: int) -> Outcome:
    item = context.ledger.object(object_id)
    if item.phase is Phase.SYNCED:
        return Done(f"{item.key} is synced already")
    if item.phase is Phase.FAILED:
        return Failed(item.failure_reason or "", item.failure_cause or "")
    if item.phase is Phase.REQUESTED:
        return Waiting(f"{item.key} waits until its restore is announced")
    try:
        with Lease(context.settings, context.ledger, context.run, object_id) as lease:
            if context.simulated is not None:
                context.simulated.strike(stage.name, context.run, object_id)
            return stage.work(replace(context, progress=lease.watched(context.progress), lease=lease), lease.item)
    except Exception as error:  # noqa: BLE001 - whatever a stage meets is recorded, and never lost
        return _recorded(context, stage, item, error)


def _recorded(context: Context, stage: Stage, item: LedgerObject, error: Exception) -> Outcome:
    match error:
        case PermanentError():
            return _failed(context, item, Failed(error.message, error.cause or type(error).__name__))
        case NoRoomError():
            return _postponed(context, item, stage, RetryLater(error.message, error.cause), in_vain=False)
        case TransientError() | ConfigurationError():
            return _postponed(context, item, stage, RetryLater(error.message, error.cause))
        case OSError() if error.errno in OF_THE_MACHINE:
            passing = _as_machine_error(stage, error)
            return _postponed(context, item, stage, RetryLater(passing.message, passing.cause))
        case _:
            log.error("%s of %s met an unknown error", stage.name, one_line(item.key), exc_info=error)
            return _unknown(context, item, stage, error)


def _as_machine_error(stage: Stage, error: OSError) -> MachineError:
    where = f" at {error.filename}" if error.filename else ""
    return MachineError(
        f"{stage.name} met a trouble of this machine's{where}: {error.strerror}; mend that, then try again",
        cause=f"{type(error).__name__}: {error}",
    )


def _failed(context: Context, item: LedgerObject, met: Failed) -> Failed:
    # Read before it fails: a retry that comes right after that begins another attempt.
    ending = context.ledger.object(item.id)
    told = UPDATE_STOPPED in met.reason
    stopped = [] if told else leftovers.stopped_updates(context.ledger, ending)
    outcome = Failed("; ".join([met.reason, *stopped]), met.cause)
    context.ledger.fail(item.id, context.run, outcome.reason, outcome.cause)
    leftovers.clear(context, ending)
    return outcome


def _postponed(
    context: Context, item: LedgerObject, stage: Stage, outcome: RetryLater, *, in_vain: bool = True
) -> RetryLater:
    message = f"{stage.name} is to be tried again: {outcome.reason}"
    if context.last_try:
        context.ledger.release(item.id, context.run, message, in_vain=in_vain)
    else:
        context.ledger.note(item.id, context.run, message, {"cause": outcome.cause})
    return outcome


def _unknown(context: Context, item: LedgerObject, stage: Stage, error: Exception) -> Outcome:
    what = error.message if isinstance(error, GlacierSyncError) else f"{stage.name} met an error that isn't known"
    cause = f"{type(error).__name__}: {error}" + (f" ({error.cause})" if isinstance(error, GlacierSyncError) else "")
    times = context.ledger.count_unknown_error(item.id, context.run, cause)
    if times >= context.settings.max_unknown_errors:
        reason = f"{what}, {'once' if times == 1 else f'{times} times'}; see the cause and the log"
        return _failed(context, item, Failed(reason, cause))
    return _postponed(context, item, stage, RetryLater(what, cause))
