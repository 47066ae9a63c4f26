"""What every stage works with: the settings, the ledger, and on whose behalf."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline.lease import Lease
from glacier_sync.pipeline.simulation import SimulatedFailures
from glacier_sync.progress import Progress, ProgressLines
from glacier_sync.settings import Settings, load_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """One run's view of the pipeline.

    ``logical_date`` stamps the logs of the run. ``last_try`` tells a stage that
    nobody will try it again on behalf of this run, so that it gives the object
    back. ``progress`` makes, for a stage and an object, what
    is called with bytes done and bytes in all. ``lease`` is the hold on the
    object that a stage works on, ``simulated`` what a stage is told to fail by.
    """

    settings: Settings
    ledger: Ledger
    run: Run
    logical_date: datetime
    last_try: bool
    progress: Callable[[str, int], Progress]
    lease: Lease | None = None
    simulated: SimulatedFailures | None = None


@contextmanager
def opened(
    run: Run,
    logical_date: datetime | None = None,
    *,
    last_try: bool = False,
    simulated: SimulatedFailures | None = None,
) -> Iterator[Context]:
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
            simulated=simulated,
        )


def logged_progress(stage: str, object_id: int) -> Progress:
    """Return a progress that writes a line to the log every half minute."""
    return ProgressLines(lambda text: log.info("%s of object %d: %s", stage, object_id, text))
