"""New files: created once, written by blocks."""

from __future__ import annotations

import os

from glacier_sync.hashing.entries import BLOCK

FILE_MODE = 0o644
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LARGE = 8 << 20
_ZEROS = bytes(BLOCK)


class UnwrittenError(Exception):
    """Raised where a file can't be written, from the system's error."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.number = error.errno or 0


class NewFile:
    """A file that doesn't exist yet. Whatever fails raises UnwrittenError.

    Room for a large one is taken at once, so that a full disk shows at the
    beginning. In a ``sparse`` one, whose source was compressed or sparse itself, blocks
    of zeros take no room.
    """

    def __init__(self, path: str, size: int, *, sparse: bool) -> None:
        self._sparse = sparse
        self._position = 0
        try:
            self._fd = os.open(path, _FLAGS, FILE_MODE)
        except OSError as error:
            raise UnwrittenError(error) from error
        try:
            if size >= _LARGE and not sparse:
                os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            os.close(self._fd)
            raise UnwrittenError(error) from error

    def write(self, data: memoryview) -> None:
        """Write all of ``data``."""
        self._position += len(data)
        try:
            if self._sparse and data[0] == 0 and data.tobytes() == _ZEROS:
                os.lseek(self._fd, len(data), os.SEEK_CUR)
                return
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            raise UnwrittenError(error) from error

    def finish(self, modified: float | None) -> None:
        """Give the file the size and the time it shall have."""
        try:
            if self._sparse:
                os.truncate(self._fd, self._position)
            if modified is not None:
                os.utime(self._fd, (modified, modified))
        except OSError as error:
            raise UnwrittenError(error) from error

    def close(self) -> None:
        """Close the file, whole or not."""
        try:
            os.close(self._fd)
        except OSError as error:
            raise UnwrittenError(error) from error
