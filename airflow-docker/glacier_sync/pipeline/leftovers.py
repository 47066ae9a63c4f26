"""What ended attempts have left: their working data, and what their syncs had begun in the archive.

The two go together. While the unpacked works are there, a copy that nobody has
compared can be; and only their folder, on the host that unpacked them, tells that a
sync was begun.
"""

from __future__ import annotations

import logging
from pathlib import Path

from glacier_sync.errors import GlacierSyncError, TransientError, one_line
from glacier_sync.ledger import Ledger, LedgerObject, Phase
from glacier_sync.pipeline import destination, working
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.own_copy import UPDATING, OwnCopies

log = logging.getLogger(__name__)


class InOtherHandsError(TransientError):
    """A run has the work in hand, and sees to what is in the archive."""


def sweep(context: Context) -> None:
    """Clear up after the attempts that nobody is to work on now and that have left something on this disk."""
    for item in working.ended_here(context.settings, context.ledger):
        clear(context, item)


def clear(context: Context, item: LedgerObject) -> None:
    """Remove an ended attempt's working data, once nothing unfinished of its syncs is in the archive.

    If the archive is away, or somebody has one of the works in hand, the working data
    stays until a later run's ``sweep``: what became of the object is recorded.
    """
    try:
        if item.phase is not Phase.SYNCED and working.sync_has_begun(context.settings, item):
            for work in item.works:
                # Without a destination it isn't meant for the archive.
                if work.destination:
                    clear_archive(context, item, work.rid)
    except (GlacierSyncError, OSError) as error:
        log.warning(
            "the working data of %s stays for now, as its sync may have left something in the archive: %s",
            one_line(item.key),
            error,
        )
        return
    working.remove(context.settings, item)


def stopped_updates(ledger: Ledger, item: LedgerObject) -> list[str]:
    """Say which of the archive's copies an object had begun to update without coming to an end, as far as is known."""
    begun = {event.details.get(UPDATING) for event in ledger.events(item.id)}
    stopped = []
    for work in item.works:
        if not work.destination or work.rid not in begun:
            continue
        place = Path(work.destination)
        if destination.update_was_stopped(place):
            stopped.append(
                f"an update of {place} {destination.UPDATE_STOPPED}: let it be completed, with sync.replace set, by a "
                "run or by retry if this one has failed; or sync another over it"
            )
        elif work.phase is not Phase.SYNCED and not place.parent.is_dir():
            stopped.append(f"whether an update of {place} was stopped can't be seen: mount the archive")
    return stopped


def clear_archive(context: Context, item: LedgerObject, rid: str) -> None:
    """Take away what syncs of an attempt have begun of a work in the archive; a copy that is whole stays.

    Raises what says that the archive can't be used now, or that somebody else has the work in hand.
    """
    place, note = destination.place_of(context.settings, rid), working.copy_note(context.settings, item, rid)
    # Only a marker tells an archive whose folder is gone from one that is away.
    is_gone = bool(context.settings.archive_marker) and not place.parent.is_dir()
    destination.require_root(context.settings, rid)
    if is_gone or not (note.exists() or destination.has_traces(place)):
        return
    with destination.locked(place):
        _require_free(context, item, rid)
        destination.discard_half_copy(place)
        if OwnCopies(context, item).is_own(rid, place):
            _settle_copy(context, item, rid, place)
        # Before the unpacked work goes: a half removed one would make any copy a damaged one.
        note.unlink(missing_ok=True)


def _require_free(context: Context, item: LedgerObject, rid: str) -> None:
    """Check that nobody has the work in hand, but perhaps with this attempt."""
    for other in context.ledger.find(rid):
        if other.claimed_by is not None and (other.id, other.attempt) != (item.id, item.attempt):
            raise InOtherHandsError(
                f"{rid} is in the hands of {other.claimed_by}, with object {other.id} ({other.key})"
            )


def _settle_copy(context: Context, item: LedgerObject, rid: str, place: Path) -> None:
    """Compare a copy that nobody has compared since it was made, and set it aside unless it is whole."""
    found = _damage(context, item, rid, place)
    if found is None:
        outcome = "it is what the bag holds, and stays"
    else:
        aside = OwnCopies(context, item).set_aside(place)
        outcome = f"{found}; it was moved to {aside}, to be removed when the disk has been looked at"
    message = f"{rid}: a sync that was stopped had left a copy at {place} that nobody had compared: {outcome}"
    log.warning("%s", message)
    context.ledger.remark_on_object(item.id, context.run, message, {"rid": rid})


def _damage(context: Context, item: LedgerObject, rid: str, place: Path) -> str | None:
    folder = working.unbagged_dir(context.settings, item) / rid
    bag_dir = destination.bag_dir_of(folder)
    if not bag_dir.is_dir():
        return "it can't be compared, as its bag's manifests are gone"
    progress = context.progress("comparison", item.id)
    differences = destination.compare(context.settings, rid, bag_dir, place, progress=progress)
    # In the place of an archive that went away meanwhile, everything differs.
    destination.require_root(context.settings, rid)
    return f"it isn't what the bag holds: {differences}" if differences else None
