"""Whose a copy in the archive is: only what one's own sync has made, and nobody has compared, may lose its name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from glacier_sync.errors import TransientError
from glacier_sync.ledger import Ledger, LedgerEvent, LedgerObject, Phase
from glacier_sync.pipeline import destination, working
from glacier_sync.pipeline.context import Context
from glacier_sync.sync import bash_environment

UPDATING = "updating"
"""The detail of an event that tells that the archive's copy of a work, whose RID it is, is to be updated."""

SYNCING_BY_HAND = "syncing by hand"
"""The detail of an event that tells of a work whose copy in the archive a person is to change: true."""

SYNCED_BY_HAND = "synced by hand"
"""The detail of an event that tells of a work that a person has synced: true, if it got into the archive whole."""


class ChangedMeanwhileError(TransientError):
    """The archive's copy isn't the one that this sync has made."""


@dataclass(frozen=True)
class OwnCopies:
    """The archive's copies that the syncs of one object have made; ``rid`` is a work of it."""

    context: Context
    item: LedgerObject

    def is_own(self, rid: str, place: Path) -> bool:
        """Tell whether a copy is what a sync of this attempt has made, and nobody has compared or changed since."""
        try:
            noted = self._note(rid).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return False
        return noted.strip() == _identity(place) and not self._changed_since(rid)

    def require_own(self, rid: str, place: Path, *, made: bool) -> None:
        """Check that nobody else has touched a copy that was ``made`` by this object's sync, or else updated.

        A process that was stopped for longer than its lease may find a newer version in its
        place. Raises ChangedMeanwhileError, and what ``Lease.check`` raises.
        """
        self._check_lease()
        if self._changed_since(rid) or (made and not self.is_own(rid, place)):
            raise _changed(rid, place)

    def compared(self, rid: str) -> None:
        """Note that a copy was compared: what becomes of it from now on isn't this object's."""
        self._note(rid).unlink(missing_ok=True)

    def set_aside(self, place: Path) -> Path:
        """Take its name from an own copy whose place is locked, and return where it is kept.

        Raises what ``Lease.check`` and ``destination.set_aside`` raise.
        """
        self._check_lease()
        stamp = bash_environment(self.context.settings, self.context.logical_date, {})["jobDateTime"]
        return destination.set_aside(place, stamp)

    def _note(self, rid: str) -> Path:
        return working.copy_note(self.context.settings, self.item, rid)

    def _check_lease(self) -> None:
        if self.context.lease is not None:
            self.context.lease.check()

    def _changed_since(self, rid: str) -> bool:
        ledger = self.context.ledger
        unbagged = [event.id for event in ledger.events(self.item.id) if event.kind == Phase.DEBAGGED] or [0]
        # Of an ended attempt only its folder tells: nothing is known but when the object was unbagged first.
        since = unbagged[-1 if self.item.debag_complete_on else 0]
        return _is_changed_after(ledger, rid, since, by_others_than=self.item.id)


@dataclass(frozen=True)
class HandCopies:
    """The archive's copies that a person's syncs have made; ``begun`` has each work's last event before that."""

    ledger: Ledger
    begun: Mapping[str, int]

    def require_own(self, rid: str, place: Path, *, made: bool) -> None:
        """Check that nobody else has touched a copy, ``made`` or updated. Raises ChangedMeanwhileError."""
        if _is_changed_after(self.ledger, rid, self.begun[rid]):
            raise _changed(rid, place)

    def compared(self, rid: str) -> None:
        """Nothing was noted of a copy."""


def latest_event(ledger: Ledger, rid: str) -> int:
    """Return the number of a work's latest event."""
    return max((event.id for event in _events(ledger, rid)), default=0)


def _is_changed_after(ledger: Ledger, rid: str, number: int, *, by_others_than: int | None = None) -> bool:
    """Tell whether somebody has changed a work's copy, or was about to, after an event: clocks can be set back."""
    return any(
        _is_by_hand(event, rid) or (_is_by_run(event, rid) and event.object_id != by_others_than)
        for event in _events(ledger, rid)
        if event.id > number
    )


def _events(ledger: Ledger, rid: str) -> Iterator[LedgerEvent]:
    """Return the events that may tell of a work, in no order."""
    of_objects = chain.from_iterable(ledger.events(item.id) for item in ledger.find(rid))
    return chain(of_objects, ledger.remarks(rid))


def _is_by_run(event: LedgerEvent, rid: str) -> bool:
    is_synced = event.details.get("rid") == rid and event.details.get("phase") == Phase.SYNCED
    return is_synced or event.details.get(UPDATING) == rid


def _is_by_hand(event: LedgerEvent, rid: str) -> bool:
    told = event.details.get(SYNCING_BY_HAND) or event.details.get(SYNCED_BY_HAND)
    return event.details.get("rid") == rid and bool(told)


def _identity(place: Path) -> str | None:
    """Return what ``syncOneWork.sh`` notes of a copy, or None if there is none: its inode, and when that was made.

    An inode's number is given again when it is free. Python doesn't tell its birth.
    """
    command = ["stat", "--format=%i %.9W", "--", os.fspath(place)]
    told = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)
    return told.stdout.strip() if told.returncode == 0 else None


def _changed(rid: str, place: Path) -> ChangedMeanwhileError:
    return ChangedMeanwhileError(
        f"{rid}: {place} has changed since this sync wrote it, as by another sync of the work: it is left "
        "alone, and compared once more when this is tried again"
    )
