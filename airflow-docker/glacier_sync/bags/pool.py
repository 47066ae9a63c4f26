"""Work on many files by a few threads, with progress in the caller's thread.

Threads are enough: reading, hashing and writing release the interpreter's lock
for chunks of more than 2 KiB, and they run wherever a task runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all, in the thread that called this room."""

Tick = Callable[[int], None]
"""Called by work in hand with the bytes it has just done."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH_FILES = 64
_BATCH_BYTES = 4 << 20
_PROGRESS_SECONDS = 0.2


class _StoppedError(Exception):
    """Raised in a thread whose work isn't wanted any more, because another failed."""


def map_files(
    items: Sequence[Item],
    act: Callable[[Item, Tick], Result],
    *,
    size: Callable[[Item], int],
    workers: int,
    progress: Progress | None,
) -> list[Result]:
    """Return ``act(item, tick)`` for every item, in their order.

    The first exception, of an act or of ``progress``, stops all the others and is
    raised when they have stopped.
    """
    stop = threading.Event()
    lock = threading.Lock()
    total = sum(map(size, items))
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        if stop.is_set():
            raise _StoppedError
        with lock:
            done += count

    def act_on(batch: Sequence[Item]) -> list[Result]:
        return [act(item, tick) for item in batch]

    with ThreadPoolExecutor(max_workers=max(workers, 1), thread_name_prefix="bags") as pool:
        try:
            futures = [pool.submit(act_on, batch) for batch in _batches(items, size)]
            for _ in _finished(futures, None if progress is None else _PROGRESS_SECONDS):
                if progress is not None:
                    progress(done, total)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [result for future in futures for result in future.result()]


def _finished(futures: Iterable[Future[list[Result]]], seconds: float | None) -> Iterator[None]:
    """Yield now and then until all are done; raises the exception of one that failed."""
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=seconds, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()
        yield


def _batches(items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """Cut into runs of neighbours that are worth handing to a thread."""
    begin = held = 0
    for index, item in enumerate(items):
        held += size(item)
        if index - begin + 1 >= _BATCH_FILES or held >= _BATCH_BYTES:
            yield items[begin : index + 1]
            begin, held = index + 1, 0
    if begin < len(items):
        yield items[begin:]
