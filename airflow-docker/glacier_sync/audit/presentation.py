"""An audit's outcome for a person: the first findings of each kind in full, and a table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from glacier_sync.audit.error_numbers import REMEDIES
from glacier_sync.audit.report import Finding, Outcome, TestResult, WorkReport
from glacier_sync.audit.text import visible

_SHOWN_OF_EACH_KIND = 3
_ANY_WIDTH = 1_000_000

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "red"}
_ENDED = {
    Outcome.PASSED: "passed",
    Outcome.NOT_RUN: "passed what could be tested",
    Outcome.WARNINGS: "passed with warnings",
    Outcome.FAILED: "failed",
}


def finding_lines(report: WorkReport, log: Path) -> Iterator[str]:
    """Return what was found in a work, line by line; ``log`` has all of it."""
    not_run: dict[str, list[str]] = {}
    for result in report.results:
        if result.outcome is Outcome.NOT_RUN:
            not_run.setdefault("; ".join(finding.message for finding in result.findings), []).append(result.name)
        elif result.outcome is not Outcome.PASSED:
            yield visible(f"{report.rid}: {result.name}: {result.outcome}")
            yield from _lines_of(result, log)
    for reason, names in not_run.items():
        yield visible(f"{report.rid}: {Outcome.NOT_RUN}, as {reason}: {', '.join(names)}")


def print_table(reports: Sequence[WorkReport], stream: TextIO) -> None:
    """Print a row for each test that didn't pass, one for the others of its work, and how many works ended how."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed by programs
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("work", "test", "outcome", "findings", box=None, pad_edge=False, header_style="bold")
    for report in reports:
        for work, test, outcome, count in _rows(report):
            style = _STYLES.get(outcome, "yellow")
            table.add_row(Text(visible(work)), Text(visible(test)), Text(outcome, style), Text(count, justify="right"))
    console = Console(file=stream, width=None if stream.isatty() else _ANY_WIDTH, highlight=False)
    console.print(table)
    print(tally(reports), file=stream)


def tally(reports: Iterable[WorkReport]) -> str:
    """Return how many works ended how, the worst first: ``3 works: 1 failed, 2 passed``."""
    counted = Counter(report.outcome for report in reports)
    total = counted.total()
    ended = ", ".join(f"{counted[outcome]} {_ENDED[outcome]}" for outcome in reversed(Outcome) if counted[outcome])
    return f"{total} {'work' if total == 1 else 'works'}: {ended}"


def _rows(report: WorkReport) -> Iterator[tuple[str, str, Outcome, str]]:
    passed = 0
    for result in report.results:
        if result.outcome is Outcome.PASSED:
            passed += 1
        else:
            yield report.rid, result.name, result.outcome, str(len(result.findings))
    if passed:
        name = f"all tests ({passed})" if passed == len(report.results) else f"the others ({passed})"
        yield report.rid, name, Outcome.PASSED, "0"


def _lines_of(result: TestResult, log: Path) -> Iterator[str]:
    kinds: dict[int, list[Finding]] = {}
    for finding in result.findings:
        kinds.setdefault(finding.number, []).append(finding)
    remedies = [REMEDIES.get(number) for number in kinds]
    for (number, findings), remedy, following in zip(kinds.items(), remedies, [*remedies[1:], None], strict=True):
        for finding in findings[:_SHOWN_OF_EACH_KIND]:
            yield visible(f"  {number}  {finding.message}")
        if (more := len(findings) - _SHOWN_OF_EACH_KIND) > 0:
            yield visible(f"  {number}  and {more:,} more, see {log}")
        if remedy and remedy != following:
            yield f"       {remedy}"
