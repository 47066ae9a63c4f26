"""``audit``: the audit tool, run by hand on works wherever they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated

import typer

from glacier_sync.audit import WorkReport, finding_lines, print_table
from glacier_sync.cli import output
from glacier_sync.cli.configured import configured
from glacier_sync.ledger import Ledger
from glacier_sync.pipeline.work_audit import WorkAudit, audit_by_hand


def audit(
    works: Annotated[
        list[str], typer.Argument(help="Archived works by their RIDs, others by paths.", show_default=False)
    ],
    json: output.Json = False,
) -> int:
    """Audit works as a sync does, by the same audit tool with the site's options.

    The outcome is recorded in the ledger.

    Example: glacier-sync audit W1NLM4700 staging/W1NLM4701
    """
    settings = configured()
    settings.make_home()
    stamp = datetime.now(UTC)
    audits: list[WorkAudit] = []
    errors = output.Errors()
    with Ledger.open(settings) as ledger:
        for work in works:
            with errors.told():
                done = audit_by_hand(settings, ledger, work, stamp)
                audits.append(done)
                for line in () if json else finding_lines(done.report, done.log):
                    output.line(line)
    if json:
        output.print_json([{**done.report.as_json(), "report": done.log} for done in audits])
    elif audits:
        _print_table([done.report for done in audits])
    return errors.exit_status(failed=any(done.report.failed for done in audits))


def _print_table(reports: Sequence[WorkReport]) -> None:
    if sys.stdout.isatty():
        print_table(reports, sys.stdout)
        return
    text = StringIO()
    print_table(reports, text)
    for row in text.getvalue().splitlines():
        output.line(row.rstrip())
