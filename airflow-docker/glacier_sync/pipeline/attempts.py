"""What an operator decides about works: to try them anew, or to wait for them no longer."""

from __future__ import annotations

from collections.abc import Sequence

from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger, LedgerObject, Phase, RefusedError, Run
from glacier_sync.pipeline.leftovers import stopped_updates
from glacier_sync.pipeline.named import objects_named


def retry(ledger: Ledger, names: Sequence[str], run: Run) -> list[LedgerObject]:
    """Begin a new attempt of what has failed of the works named, all or none.

    A name is a work's RID, an object's key, or an object's number after a ``#``.
    Raises ConfigurationError if the ledger doesn't know one, RefusedError if
    nothing of one has failed.
    """
    chosen = [item for name in names for item in _failed(name, _latest(_named(ledger, name)))]
    return ledger.retry(_numbers(chosen), run)


def forget(ledger: Ledger, names: Sequence[str], run: Run, reason: str) -> list[LedgerObject]:
    """Take what isn't synced of the works named off the list of what is to be done, all or none.

    Earlier versions are meant too: a later one that is synced settles none of them.
    Raises ConfigurationError if the ledger doesn't know a name, RefusedError if
    there is nothing to forget, it is in hand, or its update of the archive's copy was stopped.
    """
    if not reason.strip():
        raise ConfigurationError("the reason is empty: expected why this is hopeless; say it with --reason")
    chosen = [item for name in names for item in _unsynced(_named(ledger, name))]
    for item in chosen:
        if stopped := stopped_updates(ledger, item):
            raise RefusedError(f"object {item.id} ({item.key}) can't be forgotten: {'; '.join(stopped)}")
    return ledger.forget(_numbers(chosen), run, reason)


def _named(ledger: Ledger, name: str) -> list[LedgerObject]:
    """Return the objects that a name stands for, in the order in which they were announced."""
    found = objects_named(ledger, name)
    if not found:
        raise ConfigurationError(
            f"the ledger doesn't know {name!r}: expected a work's RID or an object's key, or its number as #12"
        )
    return found


def _latest(items: list[LedgerObject]) -> list[LedgerObject]:
    """Return of each key the object that was announced last."""
    return list({(item.bucket, item.key): item for item in items}.values())


def _failed(name: str, items: list[LedgerObject]) -> list[LedgerObject]:
    failed = [item for item in items if item.phase is Phase.FAILED]
    if not failed:
        standings = ", ".join(f"object {item.id} ({item.key}) is {item.phase}" for item in items)
        raise RefusedError(f"{name}: {standings}: only what has failed is tried anew; leave it alone")
    return failed


def _unsynced(items: list[LedgerObject]) -> list[LedgerObject]:
    # One that can't be forgotten is left in if there is nothing else, for the ledger to say why.
    return [item for item in items if item.phase is not Phase.SYNCED and not item.forgotten] or items[-1:]


def _numbers(items: list[LedgerObject]) -> list[int]:
    return list(dict.fromkeys(item.id for item in items))
