"""``run``, ``sync``, ``fixity`` and ``status``: the pipeline by hand."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from glacier_sync.cli import output, standing
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger, LedgerObject, Run
from glacier_sync.pipeline import Context, Done, Failed, Outcome, RetryLater
from glacier_sync.pipeline import fixity as fixity_check
from glacier_sync.pipeline import run as pipeline_run
from glacier_sync.pipeline.by_hand import sync_works
from glacier_sync.pipeline.report import report
from glacier_sync.settings import load_settings

Works = Annotated[list[str], typer.Argument(help="Works: RIDs, or paths.", show_default=False)]


def run(json: output.Json = False) -> int:
    """Run the whole pipeline once, without Airflow.

    Takes what the queues hold, and ends when all that was taken is synced or
    failed. Exit status 3: something is to be tried again later.
    """
    settings = load_settings()
    with Ledger.open(settings) as ledger, output.progress_shown() as progress:
        context = Context(
            settings=settings,
            ledger=ledger,
            run=Run.of_this_process(),
            logical_date=datetime.now(UTC),
            last_try=True,
            progress=lambda stage, number: progress(f"{ledger.object(number).key}: {stage}"),
        )
        try:
            tally = pipeline_run.run(context, lambda item, outcome: _print_outcome(item, outcome, error=json))
        except KeyboardInterrupt:
            # The threads of a run can't be stopped, but everything can be killed and run again.
            output.line("glacier-sync: interrupted; run it again to go on", error=True)
            os._exit(130)
        if json:
            output.print_json([report(ledger.object(number)) for number in tally.outcomes])
    for problem in tally.problems:
        output.line(f"glacier-sync: {problem}", error=True)
    if not tally.outcomes and not json:
        output.line("nothing to do: no restored object is waiting")
    return _exit_status(tally)


def _exit_status(tally: pipeline_run.Tally) -> int:
    if tally.count(Failed):
        return 1
    if tally.problems:
        return max(problem.exit_status for problem in tally.problems)
    return 3 if tally.count(RetryLater) else 0


def _print_outcome(item: LedgerObject, outcome: Outcome, *, error: bool) -> None:
    match outcome:
        case Done(message):
            output.line(f"synced   {item.key}: {message}", error=error)
        case Failed(reason):
            output.line(f"FAILED   {item.key}: {reason}", error=error)
        case RetryLater(reason):
            output.line(f"later    {item.key}: {reason}", error=error)


def fixity(works: Works, json: output.Json = False) -> int:
    """Compare archived works with the manifests of their bags; every difference is listed.

    Example: glacier-sync fixity W1NLM4700
    """
    settings = load_settings()
    with Ledger.open(settings) as ledger, output.progress_shown() as progress:
        reports = [fixity_check.check(settings, ledger, work, progress=progress(work)) for work in works]
    if json:
        output.print_json(
            [
                {"work": found.rid, "path": found.path, "intact": found.intact, "differences": found.differences}
                for found in reports
            ]
        )
        return int(not all(found.intact for found in reports))
    for found in reports:
        if found.intact:
            output.line(f"intact     {found.rid}: {found.path}")
            continue
        output.line(f"DIFFERENT  {found.rid}: {found.path}")
        for kind in ("missing", "added", "changed", "unreadable"):
            for name in getattr(found.differences, kind):
                output.line(f"  {kind}: {name}")
    return int(not all(found.intact for found in reports))


def status(
    work: Annotated[str | None, typer.Argument(help="A work's RID, or an object's key.", show_default=False)] = None,
    json: output.Json = False,
) -> int:
    """Tell where works stand, and why.

    Without a work: a line for each object. With one: its whole history.
    """
    with Ledger.open(load_settings()) as ledger:
        items = ledger.find(work) if work else ledger.objects()
        if work and not items:
            raise ConfigurationError(f"the ledger doesn't know {work!r}: expected a work's RID or an object's key")
        if json:
            output.print_json([standing.facts(ledger, item, history=work is not None) for item in items])
        elif work:
            for item in items:
                standing.print_history(ledger, item)
        else:
            standing.print_overview(items)
    return 0


def sync(
    works: Annotated[list[Path], typer.Argument(help="Unpacked works: paths.", show_default=False)],
    json: output.Json = False,
) -> int:
    """Audit and sync unpacked works into the archive, as the DAG does.

    Example: glacier-sync unbag W1.bag.zip --to staging && glacier-sync sync staging/W1
    """
    settings = load_settings()
    with output.progress_shown() as progress:
        results = sync_works(settings, works, datetime.now(UTC), progress("fixity"))
    if json:
        output.print_json(results)
    for result in () if json else results:
        outcome = f"FAILED   {result.failure}" if result.failure else f"synced   {result.rid}: audit {result.audit}"
        output.line(outcome)
    return int(any(result.failure for result in results))
