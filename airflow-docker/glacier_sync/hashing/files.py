"""Files below a folder, read by blocks, never through a link."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator

from glacier_sync.hashing.entries import BLOCK
from glacier_sync.hashing.memory import ReadAhead

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FILES_AHEAD = 32
_SMALL = 256 * 1024
_FILES_ALIKE = 16
"""Of so many small files that come together one is asked for: asking takes as long as reading one."""


class FileReader:
    """Reads the files of a folder, one at a time.

    With ``drop_cache`` from the disk, whatever the system's memory holds of them.
    """

    def __init__(self, folder: str, *, drop_cache: bool = False) -> None:
        self._folder = folder
        self._drop_cache = drop_cache
        self._buffer = memoryview(bytearray(BLOCK))
        self._coming: deque[tuple[str, int]] = deque()
        self._opened: dict[str, tuple[int, ReadAhead | None]] = {}
        self._unasked = 0

    def announce(self, files: Iterable[tuple[str, int]]) -> None:
        """Take the names and sizes of the files that will be asked for next, in their order."""
        self._coming.extend(files)

    def chunks(self, name: str, size: int) -> Iterator[memoryview]:
        """Yield a file's bytes; each chunk is valid until the next one. Raises OSError.

        The file is read to its end, whether or not it has the ``size`` that is expected.
        """
        if self._coming and self._coming[0][0] == name:
            self._coming.popleft()
        opened = self._opened.pop(name, None)
        fd, ahead = opened or (self._open(name), None)
        try:
            if not opened and (ahead := self._ahead(fd, size)):
                self._open_coming()
            block = self._block(size)
            position = 0
            while count := os.preadv(fd, [block], position):
                yield block[:count]
                position += count
                if count < len(block) and position >= size:
                    break
                if ahead:
                    ahead.read_up_to(position)
                block = self._block(size - position)
        finally:
            self._close(fd, ahead)

    def close(self) -> None:
        """Close what was opened in advance."""
        for fd, ahead in self._opened.values():
            self._close(fd, ahead)

    def _block(self, left: int) -> memoryview:
        """Return room for what is left and a byte more, which spares asking whether that was the end."""
        return self._buffer[: left + 1] if left >= 0 else self._buffer

    def _open(self, name: str) -> int:
        fd = os.open(f"{self._folder}/{name}", _FLAGS)
        if self._drop_cache:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return fd

    def _open_coming(self) -> None:
        """Have the disk look for the next files while this one is read."""
        while self._coming and len(self._opened) < _FILES_AHEAD:
            name, size = self._coming.popleft()
            try:
                fd = self._open(name)
            except OSError:
                # It is met again, and told, when it is this file's turn.
                continue
            self._opened[name] = (fd, self._ahead(fd, size))

    def _ahead(self, fd: int, size: int) -> ReadAhead | None:
        """Ask for a file unless it is in memory, as small files are taken to be that come after one that is."""
        if self._unasked and size < _SMALL:
            self._unasked -= 1
            return None
        ahead = ReadAhead.unless_in_memory(fd, 0, size)
        self._unasked = 0 if ahead or self._drop_cache else _FILES_ALIKE - 1
        return ahead

    @staticmethod
    def _close(fd: int, ahead: ReadAhead | None) -> None:
        if ahead:
            ahead.close()
        os.close(fd)
