"""Cutting work into batches that are worth handing to a worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from glacier_sync.hashing.tasks import Task

LARGE = 8 << 20
"""A file of so many bytes is a batch by itself."""

_FILES = 64
_NAMES = 8 << 10
_SMALLEST = 1 << 20
_FILE_COST = 32 << 10


class Load(NamedTuple):
    """How much there is to do."""

    files: int
    bytes: int

    @property
    def cost(self) -> int:
        """The bytes that could be hashed in the time that it takes."""
        return self.bytes + self.files * _FILE_COST


class Batches:
    """Runs of neighbouring tasks, shorter towards the end, so that all workers end together."""

    def __init__(self, tasks: Iterable[Task], load: Load, workers: int) -> None:
        self._tasks = iter(tasks)
        self._next = next(self._tasks, None)
        self._left = load.cost
        self._workers = workers

    def take(self, *, idle: bool) -> list[Task]:
        """Return the next batch; empty if there is none, or none but a large file for a worker that isn't ``idle``."""
        if self._next is None or (self._next.size >= LARGE and not idle):
            return []
        batch: list[Task] = []
        names = cost = 0
        most = min(max(self._left // (4 * self._workers), _SMALLEST), LARGE)
        while self._next and len(batch) < _FILES and names < _NAMES and (not batch or cost + self._next.size <= most):
            batch.append(self._next)
            names += len(self._next.name) + len(self._next.place)
            cost += self._next.size + _FILE_COST
            self._next = next(self._tasks, None)
        self._left -= cost
        return batch
