"""The feeder: from the incoming folder into the watched folder, as much as the pipeline has room for.

A file's original goes to the retention folder first, and from there appears in
the watched folder: as a link where the two share a file system, else as a copy.
So it is whole at once, and never in the incoming folder alone when it is worked on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glacier_sync.errors import ConfigurationError, TransientError, one_line
from glacier_sync.ledger import Phase
from glacier_sync.pipeline import retention, watched, working
from glacier_sync.pipeline.arrivals import Arrival, look_at, look_into
from glacier_sync.pipeline.context import Context
from glacier_sync.settings import Settings

INCOMING_FOLDER = "incoming folder"


@dataclass
class Fed:
    """What the feeder came to: the files fed, why others wait, and what went wrong; each in words."""

    files: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class _Room:
    """How many files, and how many bytes of contents, the pipeline has room for."""

    files: int
    bytes: int

    def refusal(self, arrival: Arrival) -> str | None:
        if self.files <= 0:
            return "as many files as a run takes (GLACIER_SYNC_MAX_OBJECTS_PER_RUN) are in the watched folder"
        if self.bytes < arrival.size:
            return f"its contents need {arrival.size:,} bytes, and {max(self.bytes, 0):,} are free for it"
        return None

    def take(self, size: int) -> None:
        self.files -= 1
        self.bytes -= size


def feed(context: Context) -> Fed:
    """Feed the watched folder from the incoming folder; those that were left alone longest go first.

    What doesn't belong there is recorded in the ledger once, and left alone.
    Raises ConfigurationError if the folders can't be used.
    """
    settings = context.settings
    incoming_dir, watched_dir, retention_dir = _folders(settings)
    working.prepare(settings)
    contents = look_into(incoming_dir, settings.settle_seconds)
    for foreign in contents.foreign:
        watched.reject(context.ledger, INCOMING_FOLDER, foreign.arrival, foreign.reason)
    fed = Fed()
    moved = {kept.name for kept in retention.unsettled(retention_dir) if _resume(kept, incoming_dir, watched_dir, fed)}
    room = _room(context, watched_dir)
    for arrival in contents.ready:
        if arrival.name in moved:
            continue
        reason = room.refusal(arrival) or _occupied(context, watched_dir / arrival.name, retention_dir)
        if reason:
            fed.waiting.append(_waits(arrival.name, reason))
            continue
        _feed(arrival, watched_dir, retention_dir, fed)
        room.take(arrival.size)
    return fed


def _feed(arrival: Arrival, watched_dir: Path, retention_dir: Path, fed: Fed) -> None:
    try:
        kept = retention.keep(arrival, retention_dir)
    except TransientError as error:
        fed.problems.append(error.message)
        return
    _put(kept, watched_dir, fed)


def _resume(kept: Path, incoming_dir: Path, watched_dir: Path, fed: Fed) -> bool:
    """Go on with an original that a kill has stopped on its way; tell whether it was in the incoming folder, too."""
    try:
        was_there = retention.end_move(kept, incoming_dir)
    except TransientError as error:
        fed.problems.append(error.message)
        return True
    _put(kept, watched_dir, fed)
    return was_there


def _put(kept: Path, watched_dir: Path, fed: Fed) -> None:
    """Let an original appear in the watched folder, unless a kill came when it had done so already."""
    there = look_at(watched_dir / kept.name)
    original = look_at(kept)
    try:
        if there is None or original is None or there.etag != original.etag:
            retention.put(kept, watched_dir)
        retention.settle(kept, watched_dir)
    except FileExistsError:
        fed.waiting.append(
            _waits(kept.name, f"another of that name is in {watched_dir}; if that has failed, remove it")
        )
    except TransientError as error:
        fed.problems.append(error.message)
    else:
        fed.files.append(one_line(kept.name))


def _waits(name: str, reason: str) -> str:
    return one_line(f"{name} waits: {reason}")


def _occupied(context: Context, path: Path, retention_dir: Path) -> str | None:
    """Say what stands in a file's place in the watched folder; one that failed gives way if its original is kept."""
    if not os.path.lexists(path):
        return None
    there = look_at(path)
    known = watched.objects_of(context.ledger, there) if there else []
    if there and known and known[-1].phase is Phase.FAILED and retention.is_kept(retention_dir, known[-1]):
        there.path.unlink()
        return None
    return f"another of that name is in {path.parent}: it has to be synced, or moved away, first"


def _room(context: Context, watched_dir: Path) -> _Room:
    settings = context.settings
    free = shutil.disk_usage(settings.data_dir).free - settings.keep_free_mib * working.MIB
    room = _Room(settings.max_objects_per_run, free)
    contents = look_into(watched_dir, settings.settle_seconds)
    for arrival in (*contents.ready, *contents.waiting):
        known = watched.objects_of(context.ledger, arrival)
        phase = known[-1].phase if known else None
        if phase is not Phase.FAILED:
            room.take(0 if phase is Phase.DEBAGGED else arrival.size)
    return room


def _folders(settings: Settings) -> tuple[Path, Path, Path]:
    incoming_dir, watched_dir, retention_dir = settings.incoming_dir, settings.watched_dir, settings.retention_dir
    if incoming_dir is None or watched_dir is None or retention_dir is None:
        raise ConfigurationError(
            "the feeder needs three folders: expected GLACIER_SYNC_INCOMING_DIR, GLACIER_SYNC_WATCHED_DIR and "
            "GLACIER_SYNC_RETENTION_DIR; set all of them, or none"
        )
    _require_apart([incoming_dir, watched_dir, retention_dir])
    if not retention_dir.is_dir():
        raise ConfigurationError(
            f"{retention_dir} isn't there: expected the folder that originals are kept in; "
            "make it, or correct GLACIER_SYNC_RETENTION_DIR"
        )
    return incoming_dir, watched_dir, retention_dir


def _require_apart(folders: Sequence[Path]) -> None:
    found = [folder.resolve() for folder in folders]
    for folder in found:
        if sum(other.is_relative_to(folder) for other in found) > 1:
            raise ConfigurationError(
                f"{folder} is one of the feeder's folders, and has another in it: expected three that are apart; "
                "correct GLACIER_SYNC_INCOMING_DIR, GLACIER_SYNC_WATCHED_DIR or GLACIER_SYNC_RETENTION_DIR"
            )
