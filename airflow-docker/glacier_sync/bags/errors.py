"""What can go wrong with bags, other than a defect of the bag itself."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glacier_sync.bags.names import shown
from glacier_sync.errors import ConfigurationError, GlacierSyncError, NoRoomError, TransientError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})


class PathError(ConfigurationError):
    """A path that isn't there, or is of the wrong kind."""


class FolderError(ConfigurationError):
    """A folder that this user may not write to."""


class WorkExistsError(ConfigurationError):
    """A work would be unpacked over one that is there already."""


class NoSpaceError(NoRoomError):
    """The disk has too little room. ``needed`` is what unpacking takes in bytes, if that is known."""

    def __init__(self, message: str, *, cause: str = "", needed: int | None = None) -> None:
        super().__init__(message, cause=cause)
        self.needed = needed


class UnreadableError(TransientError):
    """A file can't be read, so nothing is known about it: never taken for a wrong checksum."""


class WriteError(TransientError):
    """The disk refused a write."""


class BusyError(TransientError):
    """Another process unpacks the same zip to the same folder, makes the same zip, or writes to a work being bagged."""


def unreadable(path: Path | str, error: OSError) -> UnreadableError:
    """Return the error that says that reading a file failed."""
    return UnreadableError(
        f"{shown(str(path))} can't be read ({error.strerror}), so nothing is known about its bag: "
        "make it readable, then try again",
        cause=str(error),
    )


def unwritable(path: Path | str, error: OSError) -> GlacierSyncError:
    """Return the error that says that writing below a folder failed, by its cause."""
    place = shown(str(path))
    if error.errno in _NO_SPACE:
        return NoSpaceError(f"{place} has no space left: make room, then try again", cause=str(error))
    if error.errno in _NOT_ALLOWED:
        return FolderError(
            f"{place} can't be written to ({error.strerror}): expected a folder that this user may write to; "
            "correct its permissions or name another",
            cause=str(error),
        )
    return WriteError(
        f"{place} can't be written to ({error.strerror}): look at its disk, then try again", cause=str(error)
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise what keeps ``path`` from being read as UnreadableError."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise what the disk refuses below ``path`` as NoSpaceError, FolderError or WriteError."""
    try:
        yield
    except OSError as error:
        raise unwritable(error.filename or path, error) from error


def mode_of(path: Path) -> int | None:
    """Return the mode of what a path leads to, or None if nothing is there. Raises UnreadableError."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def is_folder(path: Path) -> bool:
    """Tell whether a path leads to a directory. Raises UnreadableError."""
    mode = mode_of(path)
    return mode is not None and stat.S_ISDIR(mode)
