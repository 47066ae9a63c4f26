"""The disk that bags are unpacked to: room checked first, folders made, all of it synced at the end."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from glacier_sync.bags.defects import Defect, SameName
from glacier_sync.bags.errors import NoSpaceError, writing
from glacier_sync.bags.names import shown

FOLDER_MODE = 0o755

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NOT_KNOWN_THERE = frozenset({errno.EINVAL, errno.ENOSYS})


def make_folders(root: Path, folders: Iterable[str]) -> list[Defect]:
    """Make folders, named relative to ``root``, each once and its parents before it. Raises as ``writing`` does.

    Return a defect for each that stands already: ``root`` was empty, so that the file
    system takes its name for another one's.
    """
    taken: list[Defect] = []
    with writing(root):
        for name in folders:
            try:
                os.mkdir(f"{root}/{name}", FOLDER_MODE)  # noqa: PTH102 - names are bytes of any kind, tens of thousands
            except FileExistsError:
                problem = "has a name that the disk unpacked to takes for that of another folder"
                taken.append(SameName(name, problem, "a file system that keeps them apart"))
    return taken


def rename_to_new(source: Path, target: Path) -> None:
    """Rename to a name that nothing has yet, in one step with looking for it (renameat2(2)).

    A network's file system may know no such step: there it is looked for just before. Raises
    FileExistsError if something has the name, be it an empty folder, and other OSErrors.
    """
    names = os.fsencode(source), os.fsencode(target)
    if not ctypes.CDLL(None, use_errno=True).renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE):
        return
    number = ctypes.get_errno()
    if number not in _NOT_KNOWN_THERE:
        raise OSError(number, os.strerror(number), str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def sync_filesystem(folder: Path) -> None:
    """Write to the disk all that the folder's file system still holds in memory (syncfs(2)).

    One call in place of one for each file. Raises OSError if the disk failed.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Write a folder's own list of names to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def require_space(folder: Path, needed: int, *, keep_free: int) -> None:
    """Raise NoSpaceError unless ``needed`` bytes fit and ``keep_free`` stay free."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free - keep_free < needed:
        kept = f" and {_readable(keep_free)} stay free" if keep_free else ""
        raise NoSpaceError(
            f"{shown(str(folder))} has {_readable(free)} of space, but unpacking needs {_readable(needed)}{kept}: "
            "make room, then try again",
            cause=f"{free} bytes free, {needed} needed, {keep_free} to be kept free",
            needed=needed,
        )


def _readable(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
