"""Whose a copy in the archive is: only what a sync of the same object has made may lose its name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from glacier_sync.errors import TransientError
from glacier_sync.ledger import Ledger, LedgerEvent, LedgerObject, Phase
from glacier_sync.pipeline import destination, working
from glacier_sync.pipeline.context import Context
from glacier_sync.sync import bash_environment

SYNCED_BY_HAND = "synced by hand"
"""The detail of an event that tells of a work that a person has synced: true, if it got into the archive whole."""


class ChangedMeanwhileError(TransientError):
    """The archive's copy isn't the one that this object's sync has made."""


@dataclass(frozen=True)
class OwnCopies:
    """The archive's copies that the syncs of one object have made; ``rid`` is a work of it."""

    context: Context
    item: LedgerObject

    def is_own(self, rid: str, place: Path) -> bool:
        """Tell whether a copy is what a sync of this attempt has made, and nobody else has synced since."""
        try:
            noted = working.copy_note(self.context.settings, self.item, rid).read_bytes()
            made = noted.strip() == str(place.lstat().st_ino).encode()
        except FileNotFoundError:
            return False
        return made and not self._synced_since(rid)

    def require_own(self, rid: str, place: Path, *, made: bool) -> None:
        """Check that nobody else has touched a copy that was ``made`` by this object's sync, or else updated.

        A process that was stopped for longer than its lease may find a newer version in its
        place. Raises ChangedMeanwhileError, and what ``Lease.check`` raises.
        """
        self._check_lease()
        if self._synced_since(rid) or (made and not self.is_own(rid, place)):
            raise ChangedMeanwhileError(
                f"{rid}: {place} has changed since this sync wrote it, as by another sync of the work: it is left "
                "alone, and compared once more when this is tried again"
            )

    def set_aside(self, place: Path) -> Path:
        """Take its name from an own copy whose place is locked, and return where it is kept.

        Raises what ``Lease.check`` and ``destination.set_aside`` raise.
        """
        self._check_lease()
        stamp = bash_environment(self.context.settings, self.context.logical_date, {})["jobDateTime"]
        return destination.set_aside(place, stamp)

    def _check_lease(self) -> None:
        if self.context.lease is not None:
            self.context.lease.check()

    def _synced_since(self, rid: str) -> bool:
        ledger = self.context.ledger
        since = self.item.debag_complete_on or _first_unbagged(ledger, self.item)
        found = ledger.find(rid)
        times = [
            work.synced_on for other in found if other.id != self.item.id for work in other.works if work.rid == rid
        ]
        times += [event.time for other in found for event in ledger.events(other.id) if _is_by_hand(event, rid)]
        return any(time is not None and (since is None or time >= since) for time in times)


def _first_unbagged(ledger: Ledger, item: LedgerObject) -> datetime | None:
    """Return when an object was unbagged first, for an attempt of which only its folder tells."""
    return next((event.time for event in ledger.events(item.id) if event.kind == Phase.DEBAGGED), None)


def _is_by_hand(event: LedgerEvent, rid: str) -> bool:
    return event.details.get("rid") == rid and bool(event.details.get(SYNCED_BY_HAND))
