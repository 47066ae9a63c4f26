"""How far long work has come: what is called with the bytes done, and how that is worded."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

Progress = Callable[[int, int], None]
"""What long work calls every so often with the bytes done and the bytes in all."""

_LINE_EVERY = timedelta(seconds=30)


class ProgressLines:
    """A progress that shows a line every ``interval``, so that short work shows nothing.

    A line tells the rate since the line before, not since the beginning: what
    was there already when the work began is no part of it.
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
            self._show(worded(done, in_all, (done - self._done) / max(now - self._time, 1e-9)))
            self._time, self._done = now, done


def worded(done: int, in_all: int, rate: float) -> str:
    """Return bytes done, share, rate in bytes a second and time left as a line's text."""
    share = 100 * done // in_all if in_all else 100
    text = f"{done / 2**20:,.0f} of {in_all / 2**20:,.0f} MiB ({share} %), {rate / 2**20:,.0f} MiB/s"
    if rate <= 0 or done >= in_all:
        return text
    return f"{text}, {timedelta(seconds=round((in_all - done) / rate))} left"
