"""The destination rule: absent is copied, equal is left, different is refused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from pathlib import Path

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError, TransientError, one_line
from glacier_sync.progress import Progress
from glacier_sync.removal import remove_tree
from glacier_sync.settings import Settings
from glacier_sync.works import archive_path

UPDATE_STOPPED = "was stopped, so that it may hold files of both"
"""What is told of a copy whose update has come to no end."""


class Standing(StrEnum):
    """How a work stands to its place in the archive."""

    ABSENT = "absent"
    EQUAL = "equal"
    DIFFERENT = "different"
    REPLACED = "different, to be replaced"
    NOT_WANTED = "not wanted in the archive"
    NOT_EXAMINED = "not looked at"


class BeingSyncedError(TransientError):
    """Another sync has the work's place in hand."""


class ArchiveUnwritableError(TransientError):
    """The archive can't be written to at this moment."""


@dataclass(frozen=True)
class Destination:
    """A work's place in the archive, what stands there, and how that differs."""

    path: Path
    standing: Standing
    differences: bags.Differences


def place_of(settings: Settings, rid: str) -> Path:
    """Return where a work's place in the archive is."""
    return archive_path(settings.archive_parent, rid)


def examine(settings: Settings, folder: Path, *, progress: Progress | None = None) -> Destination:
    """Compare the archive's copy of an unpacked work with the manifests of its bag.

    Every file of the copy is read from the disk. Raises ConfigurationError if
    the archive's root isn't there.
    """
    place = place_of(settings, folder.name)
    require_root(settings, folder.name)
    if not os.path.lexists(place):
        return Destination(place, Standing.ABSENT, bags.Differences())
    found = compare(settings, folder.name, bag_dir_of(folder), place, progress=progress)
    # In the place of an archive that went away meanwhile, everything differs.
    require_root(settings, folder.name)
    return Destination(place, Standing.DIFFERENT if found else Standing.EQUAL, found)


def compare(
    settings: Settings, rid: str, bag_dir: Path, copy: Path, *, progress: Progress | None = None
) -> bags.Differences:
    """Hash every file of a work's copy and compare with the manifests in ``bag_dir``."""
    expected = bags.expected_files(bag_dir, rid)
    return bags.compare(copy, expected, workers=settings.workers, progress=progress, drop_cache=True)


def update_was_stopped(place: Path) -> bool:
    """Tell whether ``syncOneWork.sh`` was stopped while it updated a copy: what it had begun lies beside it."""
    return any((_partial(place) / name).is_dir() for name in ("new", "kept"))


def has_traces(place: Path) -> bool:
    """Tell whether a sync of a work has left its half copy or its lock, or is running."""
    return any(map(os.path.lexists, (_partial(place), _lock(place))))


def discard_half_copy(place: Path) -> None:
    """Remove what a stopped sync has copied of a new work, whose place is locked; an update's is left for the next one.

    Somebody else may have brought the work since. Raises ArchiveUnwritableError.
    """
    partial = _partial(place)
    if not partial.is_dir() or (os.path.lexists(place) and update_was_stopped(place)):
        return
    with _writing(partial):
        remove_tree(partial)


def lines(differences: bags.Differences) -> list[str]:
    """Return all differences, one on each line: ``missing`` and ``added`` are seen from the archive's copy."""
    kinds = {
        "missing": differences.missing,
        "added": differences.added,
        "changed": differences.changed,
        "unreadable": differences.unreadable,
    }
    return [f"{kind}: {one_line(name)}" for kind, names in kinds.items() for name in names]


def bag_dir_of(folder: Path) -> Path:
    """Return where the tag files of an unpacked work's bag are: beside the work, or in it.

    A bag of several works stands beside them; one of a single work travels
    inside it, where an older bag's tag files can be as well.
    """
    beside = sorted(folder.parent.glob("*.bag"))
    inside = folder / f"{folder.name}.bag"
    return next((bag for bag in beside if bags.holds_work(bag, folder.name)), inside)


def require_root(settings: Settings, rid: str) -> None:
    """Check that the part of the archive's tree that a work belongs to is mounted."""
    root = _root(settings, rid)
    if not root.is_dir():
        raise ConfigurationError(
            f"the archive's root {root} isn't there: is it mounted? GLACIER_SYNC_ARCHIVE_PARENT is "
            f"{settings.archive_parent}; expected the folders {settings.archive_parent}0 to 3"
        )
    marker = root / settings.archive_marker
    if not os.path.lexists(marker):
        raise ConfigurationError(
            f"the archive's root {root} lacks its marker {settings.archive_marker}: is it mounted? expected that file, "
            "as GLACIER_SYNC_ARCHIVE_MARKER says; mount the archive, or make the file in it once"
        )


def require_writable_root(settings: Settings, rid: str) -> None:
    """Check that a work can be put into its part of the archive's tree."""
    require_root(settings, rid)
    root = _root(settings, rid)
    if not os.access(root, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the archive's root {root} can't be written to by this user: give it the permission, or mount it writable"
        )


def _partial(place: Path) -> Path:
    return place.with_name(f".{place.name}.partial")


def _lock(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _root(settings: Settings, rid: str) -> Path:
    return place_of(settings, rid).parent.parent


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Hold the lock that ``syncOneWork.sh`` holds while it syncs a work, so that nobody changes the copy.

    Raises BeingSyncedError if another sync holds it, ArchiveUnwritableError.
    """
    path = _lock(place)
    with _writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not _is_locked_now(path, descriptor):
            raise BeingSyncedError(f"{path} is locked: another sync of this work is running; try again when it is done")
        try:
            yield
        finally:
            with _writing(path):
                path.unlink()
    finally:
        os.close(descriptor)


def set_aside(place: Path, stamp: str) -> Path:
    """Take its name from a copy, so that nobody takes it for good, and return where it is kept.

    Raises ArchiveUnwritableError.
    """
    base = f".{place.name}.damaged-{stamp}"
    names = chain([base], (f"{base}-{number}" for number in count(2)))
    aside = next(path for name in names if not os.path.lexists(path := place.with_name(name)))
    with _writing(place):
        place.rename(aside)
        folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return aside


def _is_locked_now(path: Path, descriptor: int) -> bool:
    """Lock an open file, and tell whether it is locked, and still is the one of that name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        return False


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveUnwritableError(
            f"{path} can't be written ({error.strerror}): expected the archive mounted and writable; see to that",
            cause=str(error),
        ) from error
