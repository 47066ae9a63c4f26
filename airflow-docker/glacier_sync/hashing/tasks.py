"""What is to be read, and what came of it: plain tuples, which go through pipes as they are."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from glacier_sync.hashing.entries import Entry


class Job(NamedTuple):
    """What all tasks have in common.

    Files are read from the zip that is open as ``zip_fd``, or else below ``folder``; with
    ``drop_cache`` from the disk, not from the system's memory. They are written below
    ``target``, if that isn't empty; the lock that is open as ``lock_fd`` is held as long as
    one of the workers lives, even if the process that took it doesn't any more. With
    ``checked`` every entry is held against the zip's own checksum.
    """

    folder: str = ""
    zip_fd: int | None = None
    target: str = ""
    lock_fd: int | None = None
    drop_cache: bool = False
    checked: bool = False

    @property
    def fds(self) -> tuple[int, ...]:
        """The files that are open for the workers."""
        return tuple(fd for fd in (self.zip_fd, self.lock_fd) if fd is not None)


class Task(NamedTuple):
    """A file to be read once.

    ``name`` is the file's in its source; ``entry`` is where a zip holds it. Without
    ``algorithms`` it is held against the zip's own checksum in any case. ``place``, where it is written
    below the target, is empty if it isn't; ``modified`` is the time it gets then, in
    seconds since 1970. ``mark`` is the caller's own.
    """

    name: str
    size: int
    algorithms: tuple[str, ...] = ()
    entry: Entry | None = None
    place: str = ""
    modified: float | None = None
    mark: tuple[int, int] = (0, 0)

    def message(self) -> tuple[Any, ...]:
        """Return what a worker needs, for a message."""
        return (*self[:3], self.entry and tuple(self.entry), self.place, self.modified)

    @classmethod
    def of(cls, message: tuple[Any, ...]) -> Self:
        """Return the task of a message."""
        name, size, algorithms, entry, place, modified = message
        return cls(name, size, algorithms, entry and Entry(*entry), place, modified)


class Outcome(NamedTuple):
    """What came of a task: ``digests`` in hexadecimal, one for each algorithm, or what was wrong.

    ``damage`` is what was found and what was expected in an entry whose parts
    contradict each other; ``unread`` and ``unwritten`` are errors of the system, by
    number.
    """

    digests: tuple[str, ...] = ()
    damage: tuple[str, str] | None = None
    unread: int = 0
    unwritten: int = 0
