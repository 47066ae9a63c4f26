"""The system's memory of files: asked to read ahead, and left as it was.

What wasn't in memory before it is read is dropped from it afterwards: reading 17 GB
once must not push out what others use. Where the system doesn't tell whether something
is in memory, as of a file that this user may neither write nor owns (mincore(2)), it
counts as there.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Self

_AHEAD = 8 << 20
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def is_in_memory(fd: int, offset: int) -> bool:
    """Tell whether a byte of a file is in memory. A read that may not wait would bring it there (preadv2(2))."""
    resident = ctypes.create_string_buffer(1)
    try:
        page = mmap.mmap(fd, 1, access=mmap.ACCESS_COPY, offset=offset - offset % mmap.ALLOCATIONGRANULARITY)
    except (OSError, ValueError):
        # There is no such byte, or this is nothing that can be mapped.
        return True
    with page:
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        told = _LIBRARY.mincore(ctypes.c_void_p(address), ctypes.c_size_t(1), resident) == 0
    return not told or resident.raw[0] & 1 == 1


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
        return None if is_in_memory(fd, begin) else cls(fd, begin, end)

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
