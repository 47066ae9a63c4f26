"""The destination rule: absent is copied, equal is left, different is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings
from glacier_sync.works import archive_path


class Standing(StrEnum):
    """How a work stands to its place in the archive."""

    ABSENT = "absent"
    EQUAL = "equal"
    DIFFERENT = "different"
    REPLACED = "different, to be replaced"
    NOT_WANTED = "not wanted in the archive"


@dataclass(frozen=True)
class Destination:
    """A work's place in the archive, and what stands there; ``differences`` in words."""

    path: Path
    standing: Standing
    differences: str


def examine(settings: Settings, folder: Path, *, progress: Progress | None = None) -> Destination:
    """Compare the archive's copy of an unpacked work with the manifests of its bag.

    Every file of the copy is read from the disk. Raises ConfigurationError if
    the archive's root isn't there or can't be written to.
    """
    place = archive_path(settings.archive_parent, folder.name)
    require_root(settings, place)
    if not os.path.lexists(place):
        return Destination(place, Standing.ABSENT, f"{place} isn't there")
    found = compare(settings, folder.name, bag_dir_of(folder), place, progress=progress)
    return Destination(place, Standing.DIFFERENT if found else Standing.EQUAL, str(found))


def compare(
    settings: Settings, rid: str, bag_dir: Path, copy: Path, *, progress: Progress | None = None
) -> bags.Differences:
    """Hash every file of a work's copy and compare with the manifests in ``bag_dir``."""
    expected = bags.expected_files(bag_dir, rid)
    return bags.compare(copy, expected, workers=settings.workers, progress=progress, drop_cache=True)


def bag_dir_of(folder: Path) -> Path:
    """Return where the tag files of an unpacked work's bag are: beside the work, or in it.

    A bag of several works stands beside them; one of a single work travels
    inside it, where an older bag's tag files can be as well.
    """
    beside = sorted(folder.parent.glob("*.bag"))
    inside = folder / f"{folder.name}.bag"
    return next((bag for bag in beside if bags.holds_work(bag, folder.name)), inside)


def require_root(settings: Settings, place: Path) -> None:
    """Check that the part of the archive's tree that a work belongs to is mounted."""
    root = place.parent.parent
    if not root.is_dir():
        raise ConfigurationError(
            f"the archive's root {root} isn't there: is it mounted? GLACIER_SYNC_ARCHIVE_PARENT is "
            f"{settings.archive_parent}; expected the folders {settings.archive_parent}0 to 3"
        )
    if not os.access(root, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the archive's root {root} can't be written to by this user: give it the permission, or mount it writable"
        )
