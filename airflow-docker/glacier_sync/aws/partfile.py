"""The file that a download grows in, and the journal of what it holds.

``<name>.part`` has the bytes, in their final places. ``<name>.part.json`` says
which object they belong to (its first line) and which ranges are finished, with
their digests (a line each, appended). Nothing in the journal is believed: it
says what to prove. A process that writes them holds a lock on the part file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from glacier_sync.aws.errors import DownloadInProgressError, NoSpaceError
from glacier_sync.aws.layout import Span
from glacier_sync.errors import ConfigurationError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_WRITABLE = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EFBIG,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
_NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def part_path(to: Path) -> Path:
    """Return where a download to ``to`` grows."""
    return to.with_name(f"{to.name}.part")


def journal_path(to: Path) -> Path:
    """Return the journal of a download to ``to``."""
    return to.with_name(f"{to.name}.part.json")


@contextmanager
def disk_errors(to: Path) -> Iterator[None]:
    """Say in words what the operating system says of a disk that is full or not ours."""
    try:
        yield
    except OSError as error:
        cause = f"{errno.errorcode.get(error.errno or 0, error.errno)}: {error}"
        if error.errno in _FULL:
            raise NoSpaceError(
                f"no space for {to}: the disk or the quota is full; free some space, then try again", cause=cause
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise ConfigurationError(
                f"{to} can't be written ({error.strerror}): expected a folder that this user can write to, on a disk "
                "that holds such files; correct its permissions or GLACIER_SYNC_DATA_DIR",
                cause=cause,
            ) from error
        raise


class PartFile:
    """An open, locked part file. ``finished`` has what the journal claims: spans and digests.

    Raises DownloadInProgressError if another process holds it, NoSpaceError
    if there is no room for ``size`` bytes, ConfigurationError if the folder
    isn't writable.
    """

    def __init__(self, to: Path, identity: Mapping[str, Any], size: int) -> None:
        self._to = to
        self._path = part_path(to)
        self._journal_path = journal_path(to)
        self._append = Lock()
        with disk_errors(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = _open_locked(self._path)
            try:
                self.finished = self._read_journal(identity)
                self._make_room(size)
                self._journal = self._open_journal(identity)
            except BaseException:
                os.close(self.descriptor)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._journal)
        os.close(self.descriptor)

    def finish(self, span: Span, digests: Sequence[str]) -> None:
        """Record that a span is written; safe to call from several threads."""
        line = json.dumps({"start": span.start, "end": span.end, "digests": list(digests)}) + "\n"
        with self._append:
            os.write(self._journal, line.encode())

    def publish(self) -> None:
        """Give the finished file its name, durably; the journal ends."""
        with disk_errors(self._to):
            os.fsync(self.descriptor)
            self._path.replace(self._to)
            _sync_folder(self._to.parent)
            self._journal_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file and its journal."""
        self._journal_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _read_journal(self, identity: Mapping[str, Any]) -> dict[Span, tuple[str, ...]]:
        try:
            lines = self._journal_path.read_text(encoding="utf-8").splitlines()
            if json.loads(lines[0]) != identity:
                return {}
        except (FileNotFoundError, ValueError, IndexError):
            return {}
        finished = {}
        for line in lines[1:]:
            # A kill can leave the last line torn: that range is brought again.
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                finished[Span(entry["start"], entry["end"])] = tuple(entry["digests"])
        return finished

    def _make_room(self, size: int) -> None:
        if not self.finished:
            os.ftruncate(self.descriptor, 0)
        os.ftruncate(self.descriptor, size)
        if not size:
            return
        try:
            os.posix_fallocate(self.descriptor, 0, size)
        except OSError as error:
            if error.errno in _NO_PREALLOCATION:
                return
            if not self.finished:
                self.discard()
            raise

    def _open_journal(self, identity: Mapping[str, Any]) -> int:
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._journal_path, mode if self.finished else mode | os.O_TRUNC, 0o666)
        # After a torn line, an empty one keeps the next apart from it.
        os.write(descriptor, b"\n" if self.finished else json.dumps(identity).encode() + b"\n")
        return descriptor


def _open_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have finished and renamed it in between.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise DownloadInProgressError(
                f"{path} is being written by another process: expected one download of an object at a time; "
                "try again when it has ended"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
