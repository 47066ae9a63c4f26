"""A worker: reads files, hashes them and writes them.

It works where it is called, or as a process of its own that is told through a pipe
what to do. That one ends when the process that started it does, however it ends.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from glacier_sync.hashing.digests import Hashing
from glacier_sync.hashing.entries import DamagedEntryError, Entry, EntryReader
from glacier_sync.hashing.files import FileReader
from glacier_sync.hashing.memory import ReadAhead
from glacier_sync.hashing.messages import Inbox, send
from glacier_sync.hashing.tasks import Job, Outcome, Task
from glacier_sync.hashing.writing import NewFile, UnwrittenError

Tick = Callable[[int], None]
"""Called with the bytes that were just read."""

_TICK_SECONDS = 0.1
_LOOK_SECONDS = 1


class Worker:
    """Does tasks of one job, in batches."""

    def __init__(self, job: Job, tick: Tick) -> None:
        self._job = job
        self._tick = tick
        self._hashings: dict[tuple[str, ...], Hashing] = {}
        self._entries = EntryReader(-1 if job.zip_fd is None else job.zip_fd)
        self._files = FileReader(job.folder, drop_cache=job.drop_cache)

    def close(self) -> None:
        """Close what was opened in advance."""
        self._files.close()

    def prepare(self, batch: Sequence[Task]) -> ReadAhead | None:
        """Have the disk look for a batch that comes next; what is returned is to be passed to ``do``."""
        entries = _entries(batch)
        if entries:
            return self._entries.prepare(entries)
        self._files.announce((task.name, task.size) for task in batch)
        return None

    def do(self, batch: Sequence[Task], ahead: ReadAhead | None) -> list[Outcome]:
        """Return what came of each task of a batch that was prepared."""
        entries = _entries(batch)
        if entries:
            self._entries.announce(entries, ahead)
        outcomes = [self._do(task) for task in batch]
        if ahead:
            ahead.close()
        return outcomes

    def _do(self, task: Task) -> Outcome:
        try:
            if not task.place:
                return self._read(task, None)
            sparse = task.entry is not None and self._entries.is_sparse(task.entry)
            file = NewFile(f"{self._job.target}/{task.place}", task.size, sparse=sparse)
            try:
                outcome = self._read(task, file)
                file.finish(task.modified)
            finally:
                file.close()
        except DamagedEntryError as error:
            return Outcome(damage=(error.found, error.expected))
        except UnwrittenError as error:
            return Outcome(unwritten=error.number)
        except OSError as error:
            return Outcome(unread=error.errno or 0)
        return outcome

    def _read(self, task: Task, file: NewFile | None) -> Outcome:
        hashing = self._hashings.get(task.algorithms)
        if hashing is None:
            hashing = self._hashings[task.algorithms] = Hashing(task.algorithms)
        hashers = hashing.begin()
        for chunk in self._chunks(task):
            for hasher in hashers:
                hasher.update(chunk)
            if file:
                file.write(chunk)
            self._tick(len(chunk))
        return Outcome(tuple([hasher.hexdigest() for hasher in hashers]))

    def _chunks(self, task: Task) -> Iterator[memoryview]:
        if task.entry:
            return self._entries.chunks(task.entry, checked=self._job.checked or not task.algorithms)
        return self._files.chunks(task.name, task.size)


def _entries(batch: Sequence[Task]) -> list[Entry]:
    return [task.entry for task in batch if task.entry]


class _Process:
    """A worker that is told by messages on standard input, and answers on standard output.

    The first message is the job with the number of the process that gave it, each
    other one is a batch. Answers are the bytes that were read since the last one, and
    the outcomes of the batch if it is done.
    """

    def __init__(self) -> None:
        self._inbox = Inbox(sys.stdin.fileno())
        self._out = sys.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(sys.stdin.fileno(), select.POLLIN)
        self._parent = os.getppid()
        self._done = 0
        self._told = time.monotonic()

    def run(self) -> None:
        """Work until there is nothing more to do."""
        first = self._receive(wait=True)
        if first is None:
            return
        self._parent = first[1]
        worker = Worker(Job(*first[0]), self._tick)
        batch = _tasks(self._receive(wait=True))
        ahead = worker.prepare(batch)
        while batch:
            following = _tasks(self._receive(wait=False))
            next_ahead = worker.prepare(following)
            outcomes = worker.do(batch, ahead)
            self._tell(tuple(map(tuple, outcomes)))
            if not following:
                following = _tasks(self._receive(wait=True))
                next_ahead = worker.prepare(following)
            batch, ahead = following, next_ahead

    def _tick(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told > _TICK_SECONDS:
            self._end_with_parent()
            self._tell(())

    def _tell(self, outcomes: tuple[Any, ...]) -> None:
        send(self._out, (self._done, outcomes))
        self._done = 0
        self._told = time.monotonic()

    def _receive(self, *, wait: bool) -> tuple[Any, ...] | None:
        while (message := self._inbox.take()) is None:
            if not self._poll.poll(_LOOK_SECONDS * 1000 if wait else 0):
                if not wait:
                    return None
                self._end_with_parent()
            elif not self._inbox.fill():
                return None
        return message

    def _end_with_parent(self) -> None:
        """End if the parent has: its end of the pipe may live on in other children of its own."""
        if os.getppid() != self._parent:
            os._exit(1)


def _tasks(message: tuple[Any, ...] | None) -> list[Task]:
    return [Task.of(fields) for fields in message or ()]


def main() -> None:
    """Be a worker process."""
    try:
        _Process().run()
    except BrokenPipeError:
        # Nobody wants the work any more.
        os._exit(1)
