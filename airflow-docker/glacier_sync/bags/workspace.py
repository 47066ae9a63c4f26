"""A hidden folder beside the works to be: written there, renamed out of it at the end.

Its name follows from the zip's, so that the next run finds what a killed one
left. A journal names what is being put in place; as long as it stands and not all
of it is there, it is taken back by whoever comes next, so there is never a part of
a zip's works.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glacier_sync.bags.disk import rename_to_new, sync_filesystem, sync_folder
from glacier_sync.bags.errors import BusyError, PathError, WorkExistsError, writing
from glacier_sync.bags.interrupts import closed_whole, interrupts_held_back
from glacier_sync.bags.names import shown
from glacier_sync.removal import remove_tree

_LOCK_ATTEMPTS = 20
_ATTEMPT_SECONDS = 0.05


class Workspace:
    """The folder of one unpacking; ``content`` is where to write, as long as the lock is held that ``lock_fd`` is."""

    def __init__(self, to: Path, folder: Path, lock_fd: int) -> None:
        self.lock_fd = lock_fd
        self._to = to
        self._folder = folder
        self._journal = folder / "journal"
        self._replaced = folder / "replaced"
        self.content = folder / "content"

    def refuse_existing(self, names: Sequence[str]) -> None:
        """Raise WorkExistsError if something stands where ``names`` shall be."""
        for name in names:
            if os.path.lexists(self._to / name):
                raise self._exists(name)

    def place(self, names: Sequence[str], *, replace: bool) -> None:
        """Move what was written under ``names`` to its place, all or nothing.

        What stands there is removed with ``replace``, else it is left: WorkExistsError.
        """
        with writing(self._to):
            sync_filesystem(self._folder)
            self._write_journal(names)
            for name in names:
                if replace and os.path.lexists(self._to / name):
                    (self._to / name).rename(self._replaced / name)
                self._put(self.content, name)
            sync_folder(self._to)
            self._journal.unlink()
            sync_folder(self._folder)

    def begin(self) -> None:
        """Take back what a killed run had placed in part, and start empty. What was placed wholly stays."""
        with writing(self._to):
            if any(os.path.lexists(self.content / name) for name in self._journalled()):
                self._take_back()
            self._journal.unlink(missing_ok=True)
            self._empty()
            self.content.mkdir()
            self._replaced.mkdir()

    def end(self) -> None:
        """Take back what wasn't placed wholly, and leave nothing."""
        with writing(self._to):
            self._take_back()
            self._empty()
            (self._folder / "lock").unlink()
            self._folder.rmdir()

    def _write_journal(self, names: Sequence[str]) -> None:
        part = self._folder / "journal.part"
        with part.open("wb") as file:
            file.write(b"\0".join(os.fsencode(f"{_identity(self.content / name)} {name}") for name in names))
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._journal)
        sync_folder(self._folder)

    def _journalled(self) -> dict[str, str]:
        """Return the names that are being put in place, each with what identifies its folder."""
        try:
            lines = map(os.fsdecode, self._journal.read_bytes().split(b"\0"))
        except FileNotFoundError:
            return {}
        return {name: identity for identity, _, name in (line.partition(" ") for line in lines)}

    def _take_back(self) -> None:
        names = self._journalled()
        for name, identity in names.items():
            # Somebody may have moved it on since, or put something of theirs there.
            if _identity(self._to / name) == identity:
                (self._to / name).rename(self.content / name)
            if os.path.lexists(self._replaced / name):
                self._put(self._replaced, name)
        if names:
            sync_folder(self._to)
            self._journal.unlink()

    def _put(self, folder: Path, name: str) -> None:
        try:
            rename_to_new(folder / name, self._to / name)
        except FileExistsError as error:
            raise self._exists(name) from error

    def _exists(self, name: str) -> WorkExistsError:
        return WorkExistsError(
            f"{shown(str(self._to / name))} exists already: expected nothing there; "
            "move it away, or unpack to another folder"
        )

    def _empty(self) -> None:
        for path in (self.content, self._replaced):
            if path.exists():
                remove_tree(path)
        (self._folder / "journal.part").unlink(missing_ok=True)


def _identity(path: Path) -> str | None:
    """Return what tells a folder from any other that may get its name: its file system and inode."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return f"{status.st_dev}:{status.st_ino}"


@contextmanager
def workspace(to: Path, zip_path: Path) -> Iterator[Workspace]:
    """Open the workspace of a zip below ``to``, which is made if need be.

    Nothing is left of it, nor of ``to`` if it was made, unless the works were
    placed. Raises BusyError if another process has it, PathError if something else has its
    name, FolderError, NoSpaceError or WriteError if the disk refuses.
    """
    key = hashlib.sha256(os.fsencode(zip_path.name)).hexdigest()[:16]
    folder = to / f".unbag-{key}"
    with closed_whole() as stack:
        with interrupts_held_back():
            stack.callback(_remove_empty, _make_missing(to))
            lock_fd = stack.enter_context(_locked(folder, zip_path))
            space = Workspace(to, folder, lock_fd)
            stack.callback(space.end)
            space.begin()
        yield space


def _remove_empty(folders: Sequence[Path]) -> None:
    for path in folders:
        # A folder with works in it stays; only one that was made for nothing goes.
        with suppress(OSError):
            path.rmdir()


def _make_missing(folder: Path) -> list[Path]:
    """Make a folder with its parents; return those that were made, the lowest first."""
    with writing(folder):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
    return missing


@contextmanager
def _locked(folder: Path, zip_path: Path) -> Iterator[int]:
    """Hold a folder's lock; the kernel frees it when the process and its workers end, however they end.

    Workers end a little later than a process that was killed.
    """
    with writing(folder):
        fd = _try_lock(folder)
        for _ in range(_LOCK_ATTEMPTS):
            if fd is None:
                time.sleep(_ATTEMPT_SECONDS)
                fd = _try_lock(folder)
    if fd is None:
        raise BusyError(
            f"{shown(zip_path.name)} is being unpacked to {shown(str(folder.parent))} by another process: "
            "wait until it has ended, then try again"
        )
    try:
        yield fd
    finally:
        os.close(fd)


def _try_lock(folder: Path) -> int | None:
    """Return the descriptor of the lock; None if another has it, or has just removed it with the folder.

    Raises PathError if something else has the folder's name, and OSError.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    path = folder / "lock"
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise PathError(
                f"{shown(str(folder))} is no folder: expected nothing there, or what an earlier run left; remove it"
            )
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    except OSError:
        with suppress(OSError):
            folder.rmdir()
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(fd)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
