"""The whole pipeline once, in this process: what ``glacier-sync run`` does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Semaphore

from glacier_sync.errors import GlacierSyncError
from glacier_sync.ledger import LedgerObject, Way
from glacier_sync.pipeline import sync
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.debag import DEBAG
from glacier_sync.pipeline.download import DOWNLOAD
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.outcome import Done, Outcome
from glacier_sync.pipeline.stage import run_stage
from glacier_sync.pipeline.watched import TAKE_IN

log = logging.getLogger(__name__)

Step = Callable[[Context, LedgerObject], Outcome]
Settled = Callable[[LedgerObject, Outcome], None]


@dataclass
class Tally:
    """What a run came to: each object's outcome, queues and folders that couldn't be read, and a lack of room."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    problems: list[GlacierSyncError] = field(default_factory=list)

    def count(self, kind: type[Outcome]) -> int:
        """Return how many objects ended with an outcome of this kind."""
        return sum(isinstance(outcome, kind) for outcome in self.outcomes.values())


def run(context: Context, settled: Settled) -> Tally:
    """Take what the queues and the watched folder hold until nothing is left that this run hasn't tried.

    ``settled`` is told of each object as it ends. An object whose cause
    passes, or isn't known, is tried once and given back: the next run comes later.
    """
    tally = Tally()
    while True:
        taken = take(context, tried=tally.outcomes.keys())
        fresh = [item for item in taken.objects if item.id not in tally.outcomes]
        if not fresh:
            _give_back(context, taken.objects)
            tally.problems = [*taken.problems, *([taken.waiting] if taken.waiting else [])]
            if taken.waiting:
                log.warning("%s", taken.waiting)
            return tally
        for item, outcome in _worked_on(context, fresh):
            tally.outcomes[item.id] = outcome
            settled(item, outcome)


def _worked_on(context: Context, items: list[LedgerObject]) -> Iterator[tuple[LedgerObject, Outcome]]:
    settings = context.settings
    steps: list[tuple[Step, Semaphore]] = [
        (_fetched, Semaphore(settings.max_downloads)),
        (_debagged, Semaphore(settings.max_unbaggings)),
        (_synced, Semaphore(settings.max_syncs)),
    ]
    threads = settings.max_downloads + settings.max_unbaggings + settings.max_syncs
    with ThreadPoolExecutor(max_workers=threads) as pool:
        ways = {pool.submit(_way, context, item, steps): item for item in items}
        for way in as_completed(ways):
            yield ways[way], way.result()


def _fetched(context: Context, item: LedgerObject) -> Outcome:
    return run_stage(context, TAKE_IN if item.way is Way.FOLDER else DOWNLOAD, item.id)


def _debagged(context: Context, item: LedgerObject) -> Outcome:
    return run_stage(context, DEBAG, item.id)


def _synced(context: Context, item: LedgerObject) -> Outcome:
    return sync.sync(context, item.id)


def _way(context: Context, item: LedgerObject, steps: list[tuple[Step, Semaphore]]) -> Outcome:
    outcome: Outcome = Done(f"{item.key} is claimed")
    for step, gate in steps:
        with gate:
            outcome = step(context, item)
        if not isinstance(outcome, Done):
            break
    return outcome


def _give_back(context: Context, items: tuple[LedgerObject, ...]) -> None:
    for item in items:
        context.ledger.release(item.id, context.run, "given back: this run has tried it already")
