"""How far long work has come: what is called with the bytes done, how fast that is, and in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

Progress = Callable[[int, int], None]
"""What long work calls every so often with the bytes done and the bytes in all."""

_LINE_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Pace:
    """How far some work has come, and what was done of it lately: ``gained`` bytes in ``seconds``.

    What was there already when the work began is no part of what was gained.
    """

    done: int
    in_all: int
    gained: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.gained / max(self.seconds, 1e-9)

    @property
    def time_left(self) -> timedelta | None:
        """How long the rest takes at this rate; None if nothing was gained, or nothing is left."""
        if self.gained <= 0 or self.done >= self.in_all:
            return None
        return timedelta(seconds=round((self.in_all - self.done) / self.rate))

    def __str__(self) -> str:
        share = 100 * self.done // self.in_all if self.in_all else 100
        text = f"{self.done / 2**20:,.0f} of {self.in_all / 2**20:,.0f} MiB ({share} %), {self.rate / 2**20:,.0f} MiB/s"
        return f"{text}, {self.time_left} left" if self.time_left is not None else text


class Meter:
    """A progress that knows the pace since it was first called; with another total it begins anew."""

    def __init__(self) -> None:
        self._first: tuple[int, int, float] | None = None
        self._last: tuple[int, int, float] | None = None

    def __call__(self, done: int, in_all: int) -> None:
        """Take the bytes done and the bytes in all."""
        last = (done, in_all, time.monotonic())
        if self._last is None or in_all != self._last[1] or done < self._last[0]:
            self._first = last
        self._last = last

    @property
    def pace(self) -> Pace | None:
        """The pace up to the last call, or None before the first."""
        first, last = self._first, self._last
        if first is None or last is None:
            return None
        return Pace(last[0], last[1], gained=last[0] - first[0], seconds=last[2] - first[2])


class ProgressLines:
    """A progress that shows a line every ``interval``, so that short work shows nothing.

    A line tells the rate since the line before, not since the beginning.
    """

    def __init__(self, show: Callable[[str], None], interval: timedelta = _LINE_EVERY) -> None:
        self._show = show
        self._interval = interval.total_seconds()
        self._time = time.monotonic()
        self._done: int | None = None

    def __call__(self, done: int, in_all: int) -> None:
        """Take the bytes done and the bytes in all."""
        if self._done is None:
            self._done = done
        now = time.monotonic()
        if now >= self._time + self._interval:
            self._show(str(Pace(done, in_all, gained=done - self._done, seconds=now - self._time)))
            self._time, self._done = now, done
