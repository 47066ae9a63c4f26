"""The system's memory of files: asked to read ahead, and left as it was.

What wasn't in memory before it is read is dropped from it afterwards: reading 17 GB
once must not push out what others use. Where the file system can't tell whether
something is in memory, it counts as not.
"""

from __future__ import annotations

import errno
import os
from typing import Self

_AHEAD = 8 << 20
_UNKNOWN = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL})


def read_in_memory(fd: int, into: memoryview | bytearray, offset: int) -> int | None:
    """Read what can be had without the disk, and return its length; None if that is nothing. Raises OSError."""
    try:
        return os.preadv(fd, [into], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise


class ReadAhead:
    """A stretch of a file that isn't in memory: the disk is asked for it in advance, and what was read is dropped."""

    def __init__(self, fd: int, begin: int, end: int) -> None:
        self._fd = fd
        self._asked = self._dropped = begin
        self._end = end
        self.read_up_to(begin)

    @classmethod
    def unless_in_memory(cls, fd: int, begin: int, end: int) -> Self | None:
        """Ask for a stretch, unless its first byte is in memory: then leave it there."""
        return cls(fd, begin, end) if read_in_memory(fd, bytearray(1), begin) is None else None

    def read_up_to(self, offset: int) -> None:
        """Note that what is before ``offset`` isn't needed any more; ask for what comes next."""
        if offset + _AHEAD // 2 < self._asked or self._asked >= self._end:
            return
        size = min(_AHEAD, self._end - self._asked)
        os.posix_fadvise(self._fd, self._asked, size, os.POSIX_FADV_WILLNEED)
        self._asked += size
        self._drop(offset)

    def close(self) -> None:
        """Drop what was read last."""
        self._drop(self._end)

    def _drop(self, end: int) -> None:
        if end > self._dropped:
            os.posix_fadvise(self._fd, self._dropped, end - self._dropped, os.POSIX_FADV_DONTNEED)
            self._dropped = end
