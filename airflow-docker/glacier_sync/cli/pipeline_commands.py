"""``run``: the whole pipeline once, without Airflow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread

from glacier_sync.cli import interrupts, output
from glacier_sync.cli.bars import progress_shown
from glacier_sync.cli.configured import configured
from glacier_sync.errors import ConfigurationError, TransientError
from glacier_sync.ledger import Ledger, LedgerObject, Run
from glacier_sync.pipeline import Context, Done, Failed, Outcome, RetryLater, Waiting
from glacier_sync.pipeline import run as pipeline_run
from glacier_sync.pipeline.report import report


def run(json: output.Json = False) -> int:
    """Run the whole pipeline once, without Airflow.

    Takes what the queues and the watched folder hold, and ends when all that was
    taken is synced or failed. Exit status 3: something is to be tried again later.

    Example: GLACIER_SYNC_INTAKE=config/intake-production.yml glacier-sync run
    """
    settings = configured()
    with _ended_by_ctrl_c(), Ledger.open(settings) as ledger, progress_shown() as progress:
        context = Context(
            settings=settings,
            ledger=ledger,
            run=Run.of_this_process(),
            logical_date=datetime.now(UTC),
            last_try=True,
            progress=lambda stage, number: progress(f"{ledger.object(number).key}: {stage}"),
        )
        tally = pipeline_run.run(context, lambda item, outcome: _print_outcome(item, outcome, error=json))
        if json:
            output.print_json([report(ledger.object(number)) for number in tally.outcomes])
    if not tally.outcomes and not tally.problems and not json:
        output.line("nothing to do: no object is waiting")
    return _exit_status(tally)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """End the process at once at Ctrl-C: a run's threads can't be stopped, but all they do can be run again.

    A thread of its own waits for the signal: Python's handlers run in the main
    thread, which may not wake for it while it waits for the others.
    """
    if interrupts.interrupts_are_ignored():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writer)
    watcher = Thread(target=_end_when_told, args=(reader,), name="ctrl-c", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _end_when_told(reader: int) -> None:
    if os.read(reader, 1):
        try:
            interrupts.tell_interrupted()
        finally:
            os._exit(interrupts.INTERRUPTED)


def _exit_status(tally: pipeline_run.Tally) -> int:
    if tally.count(Failed):
        return 1
    statuses = {problem.exit_status for problem in tally.problems}
    if tally.outcomes and ConfigurationError.exit_status in statuses:
        # That status would say that nothing was changed.
        return 1
    if tally.count(RetryLater):
        statuses.add(TransientError.exit_status)
    return max(statuses, default=0)


def _print_outcome(item: LedgerObject, outcome: Outcome, *, error: bool) -> None:
    match outcome:
        case Done(message):
            output.line(f"synced   {item.key}: {message}", error=error)
        case Failed(reason):
            output.line(f"FAILED   {item.key}: {reason}", error=error)
        case Waiting(reason):
            output.line(f"waits    {item.key}: {reason}", error=error)
        case RetryLater(reason):
            output.line(f"later    {item.key}: {reason}", error=error)
