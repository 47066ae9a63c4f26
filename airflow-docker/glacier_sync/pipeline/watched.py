"""The watched folder: a zip that lies in it is an object of the ledger, as a restored one is.

The file stays where it is, and is read from there, until all its works are in
the archive; so a kill loses nothing, and one that failed is still at hand. Its
object's bucket is the folder, its key the file's name, its version the arrival:
a file that is put there again is another object, even with the same bytes.
"""

from __future__ import annotations

import logging
from pathlib import Path

from glacier_sync.errors import PermanentError, one_line
from glacier_sync.events import RestoredObject
from glacier_sync.ledger import Ledger, LedgerObject, Phase, Way
from glacier_sync.pipeline import working
from glacier_sync.pipeline.arrivals import Arrival, FolderAwayError, look_at, look_into
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Done
from glacier_sync.pipeline.room import require_space
from glacier_sync.pipeline.stage import Stage, UnlistedError
from glacier_sync.settings import WATCHED_FOLDER

log = logging.getLogger(__name__)

_EVENT = "ObjectCreated:Watched"


class FileChangedError(PermanentError):
    """The file isn't the one that was found in the watched folder."""


class FileMissingError(UnlistedError):
    """The file isn't there: somebody took it away, or its folder isn't mounted."""


def record_arrivals(context: Context, folder: Path) -> int:
    """Record in the ledger what lies in the watched folder, and return how many files are new.

    What doesn't belong there is recorded once, and left alone. Raises
    ConfigurationError if the folder can't be used.
    """
    contents = look_into(folder, context.settings.settle_seconds)
    for foreign in contents.foreign:
        reject(context.ledger, WATCHED_FOLDER, foreign.arrival, foreign.reason)
    for arrival in contents.waiting:
        log.info("%s isn't whole yet, or still being written: it is left alone", one_line(str(arrival.path)))
    return sum(_recorded(context, arrival) for arrival in contents.ready)


def reject(ledger: Ledger, origin: str, arrival: Arrival, reason: str) -> None:
    """Record, once for each arrival, what isn't taken from a folder."""
    ledger.reject(origin, f"{arrival.path} {arrival.version}", str(arrival.path), one_line(reason))
    log.warning("%s: %s", origin, one_line(reason))


def objects_of(ledger: Ledger, arrival: Arrival) -> list[LedgerObject]:
    """Return the objects that a file of this name, size and time has been in its folder, oldest first."""
    return [item for item in ledger.find(arrival.name) if _is_of(item, arrival)]


def leave(item: LedgerObject) -> None:
    """Remove the file of a synced object from the watched folder, unless something was done to it meanwhile.

    What the folder refuses is told, and tried again when somebody looks into it the next time.
    """
    path = path_of(item)
    try:
        arrival = look_at(path)
        if arrival is not None and (arrival.etag, arrival.version) == (item.etag, item.version_id):
            path.unlink(missing_ok=True)
    except (OSError, FolderAwayError) as error:
        log.warning("%s is synced, and can't be removed: %s", one_line(str(path)), error)


def path_of(item: LedgerObject) -> Path:
    """Return where an object's file is."""
    return Path(item.bucket) / item.key


def require_unchanged(item: LedgerObject) -> None:
    """Raise FileMissingError or FileChangedError unless the file that was found is still there."""
    arrival = look_at(path_of(item))
    if arrival is None:
        raise FileMissingError(
            f"{path_of(item)} isn't there any more: expected the file of {item.size} bytes that was found; "
            "mount its folder, or put it there again"
        )
    if arrival.etag != item.etag:
        raise FileChangedError(
            f"{path_of(item)} was changed or replaced before it was taken in: expected the file that was found; "
            "what is there now is taken by itself",
            cause=f"size and seconds since 1970: {arrival.etag}, expected {item.etag}",
        )


def _recorded(context: Context, arrival: Arrival) -> bool:
    known = objects_of(context.ledger, arrival)
    same = next((item for item in known if item.version_id == arrival.version), None)
    if same is not None:
        if same.phase is Phase.SYNCED:
            # A process that was killed in between has left it there.
            leave(same)
        return False
    if known and not known[-1].phase.is_terminal:
        # Something was done to its name or permissions; it is the same file.
        return False
    return bool(context.ledger.record(WATCHED_FOLDER, f"{arrival.name} {arrival.version}", [_object(arrival)], []))


def _object(arrival: Arrival) -> RestoredObject:
    return RestoredObject(
        bucket=str(arrival.path.parent),
        key=arrival.name,
        version_id=arrival.version,
        etag=arrival.etag,
        size=arrival.size,
        event_name=_EVENT,
        event_time=None,
        restore_expiry=None,
        region=None,
    )


def _is_of(item: LedgerObject, arrival: Arrival) -> bool:
    return item.way is Way.FOLDER and path_of(item) == arrival.path and item.etag == arrival.etag


def _take_in(context: Context, item: LedgerObject) -> Done:
    settings = context.settings
    working.prepare(settings)
    if item.phase is Phase.DEBAGGED and working.unbagged_works(settings, item):
        return Done(f"{item.key} is unbagged already")
    require_unchanged(item)
    require_space(context, item, item.size or 0)
    if item.phase is Phase.RESTORED:
        message = f"{item.size:,} bytes found in the watched folder, and read from there"
        context.ledger.advance(item.id, context.run, Phase.DOWNLOADED, message, {"bytes": item.size})
    return Done(f"{item.key} is taken in")


TAKE_IN = Stage("take_in_files", _take_in)
