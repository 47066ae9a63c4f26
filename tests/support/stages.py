"""Runs and stages for tests of what is recorded of a stage's outcome."""

from __future__ import annotations

from collections.abc import Callable

from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import Context, Done
from glacier_sync.pipeline.stage import Stage

FIRST = Run.of_dag_run("dag", "first")
SECOND = Run.of_dag_run("dag", "second")


def stage(work: Callable[[Context, LedgerObject], Done]) -> Stage:
    return Stage("try_out", work)


def raising(error: Exception) -> Stage:
    def work(_context: Context, _item: LedgerObject) -> Done:
        raise error

    return stage(work)
