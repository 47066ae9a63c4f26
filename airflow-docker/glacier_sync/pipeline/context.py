"""What every stage works with: the settings, the ledger, and on whose behalf."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from glacier_sync.ledger import Ledger, Run
from glacier_sync.settings import Settings, load_settings

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_LINE_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Context:
    """One run's view of the pipeline.

    ``logical_date`` stamps the logs of the run. ``last_try`` tells a stage that
    nobody will try it again on behalf of this run, so that it gives the object
    back. ``progress`` makes, for a stage and an object, what
    is called with bytes done and bytes in all.
    """

    settings: Settings
    ledger: Ledger
    run: Run
    logical_date: datetime
    last_try: bool
    progress: Callable[[str, int], Progress]


@contextmanager
def opened(run: Run, logical_date: datetime | None = None, *, last_try: bool = False) -> Iterator[Context]:
    """Open the settings and the ledger for one task or one command."""
    settings = load_settings()
    with Ledger.open(settings) as ledger:
        yield Context(
            settings=settings,
            ledger=ledger,
            run=run,
            logical_date=logical_date or datetime.now(UTC),
            last_try=last_try,
            progress=logged_progress,
        )


class PacedProgress:
    """Passes progress on every ``interval``, so that short work shows nothing."""

    def __init__(self, show: Progress, interval: timedelta) -> None:
        self._show = show
        self._interval = interval.total_seconds()
        self._next = time.monotonic() + self._interval

    def __call__(self, done: int, in_all: int) -> None:
        """Take the bytes done and the bytes in all."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            self._show(done, in_all)


def logged_progress(stage: str, object_id: int) -> Progress:
    """Return a progress that writes a line to the log every half minute."""

    def show(done: int, in_all: int) -> None:
        share = 100 * done // in_all if in_all else 100
        log.info("%s of object %d: %.2f of %.2f GiB (%d %%)", stage, object_id, done / 2**30, in_all / 2**30, share)

    return PacedProgress(show, _LINE_EVERY)
