"""Work on many files, spread over worker processes, with progress in the caller's thread.

Processes, because a thread that handles small files holds the interpreter's lock most
of the time. They are started as programs of their own: a process that runs under Celery
may not use ``multiprocessing``, and one that has threads must not fork.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import glacier_sync
from glacier_sync.errors import TransientError
from glacier_sync.hashing.batches import LARGE, Batches, Load
from glacier_sync.hashing.messages import Inbox, packed
from glacier_sync.hashing.tasks import Job, Outcome, Task
from glacier_sync.hashing.worker import Worker
from glacier_sync.progress import Progress

_LIGHT = 32 << 20
_PROGRESS_SECONDS = 0.2
_END_SECONDS = 5
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from glacier_sync.hashing.worker import main; main()"


class WorkerEndedError(TransientError):
    """A worker process couldn't be started, or ended before its work: the system is short of something, most likely."""


@contextmanager
def hash_files(
    job: Job,
    tasks: Iterable[Task],
    load: Load,
    *,
    workers: int,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Iterator[Iterator[tuple[Task, Outcome]]]:
    """Do tasks, ``load`` in all: gives what came of each as soon as it is done.

    Large files are best put first, the largest at the front. A little work is done
    here, without another process, unless a ``crew`` is there. All of it has ended when the
    context is left, done or not. Raises WorkerEndedError, and what ``progress`` raises.
    """
    meter = _Meter(load.bytes, progress)
    if crew is None and _count(load, workers) == 1:
        with closing(Worker(job, meter.add_while_reading)) as worker:
            yield _here(worker, Batches(tasks, load, 1), meter)
    else:
        with crew or Crew(_count(load, workers), job.fds) as started:
            yield started.work(job, Batches(tasks, load, started.count), meter)


@contextmanager
def crew_for(load: Load, *, workers: int, fds: Collection[int]) -> Iterator[Crew | None]:
    """Start the worker processes that are worth it for so much work, before it is known in detail.

    Starting one takes as long as hashing some thousand small files, and goes on while the
    caller does something else. Those files that a job names as open are the ``fds``. It is None
    where no process is worth it. Raises WorkerEndedError.
    """
    count = _count(load, workers)
    if count == 1:
        yield None
    else:
        with Crew(count, fds) as crew:
            yield crew


def _count(load: Load, workers: int) -> int:
    return max(min(workers, load.files, load.cost // _LIGHT + 1), 1)


class _TellingError(Exception):
    """On its way to the caller: what was raised by whoever is told of progress."""

    def __init__(self, raised: OSError) -> None:
        super().__init__(str(raised))
        self.raised = raised


class _Meter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._told = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes; tell now and then."""
        self._done += count
        if time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self.tell()

    def add_while_reading(self, count: int) -> None:
        """Count bytes of a file that is read here. Raises _TellingError, which isn't taken for the file's own."""
        try:
            self.add(count)
        except OSError as error:
            raise _TellingError(error) from error

    def tell(self) -> None:
        self._told = time.monotonic()
        if self._progress:
            self._progress(self._done, self._total)


def _here(worker: Worker, batches: Batches, meter: _Meter) -> Iterator[tuple[Task, Outcome]]:
    while batch := batches.take(idle=True):
        try:
            outcomes = worker.do(batch, worker.prepare(batch))
        except _TellingError as error:
            raise error.raised from None
        yield from zip(batch, outcomes, strict=True)
    meter.tell()


def _started(fds: Collection[int]) -> subprocess.Popen[bytes]:
    root = str(Path(glacier_sync.__file__).parents[1])
    # Names on disk have one encoding, here and there.
    python = [sys.executable, "-P", f"-Xutf8={sys.flags.utf8_mode}"]
    try:
        return subprocess.Popen(
            [*python, "-c", _PROGRAM, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=fds,
            # A key that interrupts this process is its own affair.
            process_group=0,
        )
    except OSError as error:
        raise WorkerEndedError(
            f"a worker process can't be started ({error.strerror}): expected room for a few; "
            "look whether this machine is short of memory, then try again",
            cause=str(error),
        ) from error


class Crew:
    """Worker processes for one job, all of which are gone at the end. Raises WorkerEndedError."""

    def __init__(self, count: int, fds: Collection[int]) -> None:
        self.count = count
        self._hands: list[_Hand] = []
        try:
            for _ in range(count):
                self._hands.append(_Hand(fds))
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hand in self._hands:
            hand.end()

    def work(self, job: Job, batches: Batches, meter: _Meter) -> Iterator[tuple[Task, Outcome]]:
        """Do a job's batches; gives what came of each task. Raises WorkerEndedError."""
        for hand in self._hands:
            hand.begin(job)
        while True:
            for hand in self._hands:
                hand.give(batches)
            if not any(hand.batches for hand in self._hands):
                meter.tell()
                return
            for hand in self._awake():
                for count, done in hand.answers():
                    meter.add(count)
                    yield from done
            meter.add(0)

    def _awake(self) -> list[_Hand]:
        """Return those that have answered, after a while all the same; send on what waits."""
        poll = select.poll()
        answering = {hand.answers_from: hand for hand in self._hands}
        for hand in self._hands:
            poll.register(hand.answers_from, select.POLLIN)
            if hand.is_sending:
                poll.register(hand.sends_to, select.POLLOUT)
        ready = [fd for fd, _ in poll.poll(_PROGRESS_SECONDS * 1000)]
        for hand in self._hands:
            if hand.is_sending:
                hand.send()
        return [answering[fd] for fd in ready if fd in answering]


class _Hand:
    """A worker process, seen from outside."""

    def __init__(self, fds: Collection[int]) -> None:
        self._process = _started(fds)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.sends_to = self._process.stdin.fileno()
        self.answers_from = self._process.stdout.fileno()
        os.set_blocking(self.sends_to, False)
        self._inbox = Inbox(self.answers_from)
        self._unsent = bytearray()
        self.batches: deque[list[Task]] = deque()

    @property
    def is_sending(self) -> bool:
        """Whether there is something that the pipe had no room for."""
        return bool(self._unsent)

    def begin(self, job: Job) -> None:
        """Send what all batches have in common."""
        self._unsent += packed((tuple(job), os.getpid()))

    def give(self, batches: Batches) -> None:
        """Keep a batch waiting behind the one at hand, unless that is a large file, which takes its time."""
        while not self.batches or (len(self.batches) < 2 and self.batches[0][0].size < LARGE):
            batch = batches.take(idle=not self.batches)
            if not batch:
                return
            self.batches.append(batch)
            self._unsent += packed(tuple(task.message() for task in batch))
            self.send()

    def send(self) -> None:
        """Send as much as the pipe takes."""
        try:
            del self._unsent[: os.write(self.sends_to, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError as error:
            raise self._ended() from error

    def answers(self) -> Iterator[tuple[int, Iterable[tuple[Task, Outcome]]]]:
        """Yield how many bytes were read, and the outcomes of a batch that is done."""
        if not self._inbox.fill():
            raise self._ended()
        while (message := self._inbox.take()) is not None:
            count, outcomes = message
            done = self.batches.popleft() if outcomes else []
            yield count, zip(done, (Outcome(*fields) for fields in outcomes), strict=True)

    def end(self) -> None:
        """End the process, which holds nothing that outlives it."""
        with self._process as process:
            process.kill()

    def _ended(self) -> WorkerEndedError:
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
        return WorkerEndedError(
            f"a worker process ended early {how}, so its files aren't verified: expected it to end after them; "
            "look whether this machine is short of memory, then try again",
            cause=f"exit status {status}",
        )
