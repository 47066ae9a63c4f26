"""Messages between a process and its workers, through pipes: plain tuples, one after the other."""

from __future__ import annotations

import marshal
import os
from typing import Any

_LENGTH = 4
_READ = 1 << 16


def packed(message: tuple[Any, ...]) -> bytes:
    """Return a message as it goes into a pipe."""
    data = marshal.dumps(message)
    return len(data).to_bytes(_LENGTH, "big") + data


def send(fd: int, message: tuple[Any, ...]) -> None:
    """Write a message; waits while the pipe is full. Raises BrokenPipeError if nobody reads it any more."""
    data = memoryview(packed(message))
    while data:
        data = data[os.write(fd, data) :]


class Inbox:
    """The reading end of a pipe, from which whole messages are taken."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = bytearray()

    def fill(self) -> bool:
        """Read what is there, or wait until there is something; False if nothing will come any more."""
        data = os.read(self._fd, _READ)
        self._data += data
        return bool(data)

    def take(self) -> tuple[Any, ...] | None:
        """Return the next message, or None if it isn't there as a whole."""
        end = _LENGTH + int.from_bytes(self._data[:_LENGTH], "big")
        if len(self._data) < max(end, _LENGTH):
            return None
        # Only this program's own processes write into these pipes.
        message: tuple[Any, ...] = marshal.loads(self._data[_LENGTH:end])  # noqa: S302
        del self._data[:end]
        return message
