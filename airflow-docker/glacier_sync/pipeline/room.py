"""Room in the working folder: what a run may claim, and whether what it has claimed still fits."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from glacier_sync.errors import ConfigurationError, NoRoomError, PermanentError
from glacier_sync.ledger import Allotment, LedgerObject, Phase, Room, Way, space_of
from glacier_sync.pipeline import working
from glacier_sync.pipeline.context import Context


class NoSpaceError(NoRoomError):
    """The working folder has too little space for an object, for now."""


class NoSpaceYetError(NoSpaceError):
    """The working folder has room for an object when what is in hand is done."""


class TooLargeError(PermanentError):
    """An object is larger than the working folder's disk."""


def allotment(context: Context) -> Allotment:
    """Return the room that there is now, to be given to what a run claims.

    Raises ConfigurationError if more has to stay free than the disk has.
    """
    settings = context.settings
    usage = shutil.disk_usage(settings.data_dir)
    kept, capacity = settings.keep_free_mib * working.MIB, usage.used + usage.free
    if capacity <= kept:
        raise ConfigurationError(
            f"GLACIER_SYNC_KEEP_FREE_MIB is {settings.keep_free_mib}, but {settings.data_dir} has "
            f"{_gib(capacity)} in all, so that nothing ever fits: correct it"
        )
    here = {item.id: _bytes_here(context, item) for item in working.items_here(settings, context.ledger)}
    return Allotment(Room(free=usage.free - kept, whole=capacity - kept, here=here))


def refusal(context: Context, given: Allotment) -> NoSpaceError | None:
    """Return why objects were refused room, if some were."""
    if not given.refused:
        return None
    item = context.ledger.object(given.refused[-1] if given.is_closed else given.refused[0])
    told = _sum(context, item, space_of(item.size, item.way), given)
    if given.is_closed:
        return NoSpaceYetError(f"{told}: it and what is behind it wait until what is in hand is done")
    return NoSpaceError(f"{told}: it waits until there is room; make some if it stays so")


def require_space(context: Context, item: LedgerObject, size: int) -> None:
    """Check that an object in hand fits, beside what others in hand still need; its zip has ``size`` bytes.

    ``unbag`` checks the exact sum again before it writes. Raises NoSpaceError and
    TooLargeError with the sum, and ConfigurationError if nothing can ever fit.
    """
    given, space = allotment(context), space_of(size, item.way)
    for other in context.ledger.in_hand(context.run):
        if other.id != item.id:
            given.promise(other.id, space_of(other.size, other.way))
    _require_possible(context, item, space, given)
    if not given.admits(item.id, space):
        raise NoSpaceError(f"{_sum(context, item, space, given)}: it is tried again later; make room if it stays so")


def require_possible(context: Context, item: LedgerObject, contents: int) -> None:
    """Check that an object whose contents have these bytes would fit if it had the disk to itself.

    Raises TooLargeError with the sum, and ConfigurationError if nothing can ever fit.
    """
    zip_size = 0 if item.way is Way.FOLDER else working.zip_path(context.settings, item).stat().st_size
    _require_possible(context, item, zip_size + contents, allotment(context))


def _require_possible(context: Context, item: LedgerObject, space: int, given: Allotment) -> None:
    if not given.can_ever_hold(space):
        raise TooLargeError(
            f"{item.key} needs {_gib(space)} for its {_parts(item)}, but {context.settings.data_dir} has "
            f"{_gib(given.room.whole)} in all, beside {context.settings.keep_free_mib} MiB that stay free: "
            "move GLACIER_SYNC_DATA_DIR to a larger disk, then retry it"
        )


def _bytes_here(context: Context, item: LedgerObject) -> int:
    """Return how many bytes of an object's zip and contents needn't be written any more."""
    settings = context.settings
    if item.phase is Phase.DEBAGGED and working.unbagged_works(settings, item):
        return space_of(item.size, item.way)
    return sum(map(_occupied, working.folders_of(settings, item)))


def _occupied(folder: Path) -> int:
    total, pending = 0, [os.fspath(folder)]
    while pending:
        # What is in work may vanish while it is counted; for what can't be seen the more room is asked.
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    with suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _sum(context: Context, item: LedgerObject, space: int, given: Allotment) -> str:
    kept = context.settings.keep_free_mib
    free = given.room.free + kept * working.MIB
    return (
        f"{item.key} needs {_gib(given.missing(item.id, space))} for its {_parts(item)}, {_gib(given.promised)} are "
        f"promised to others and {kept} MiB stay free, but {context.settings.data_dir} has {_gib(free)}"
    )


def _parts(item: LedgerObject) -> str:
    return "contents" if item.way is Way.FOLDER else "zip and contents"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
