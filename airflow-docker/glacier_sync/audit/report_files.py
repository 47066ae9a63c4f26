"""Reads works' reports back, ours and those of a site's own audit tool."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from glacier_sync.audit.logs import REPORT_HEADER, report_name
from glacier_sync.audit.report import Finding, Outcome, TestResult, WorkReport
from glacier_sync.audit.text import visible
from glacier_sync.errors import PermanentError

# A file's time can be this much older than a clock that was read before it was written.
_CLOCK_STEP = timedelta(milliseconds=10)


class UnreadableReportError(PermanentError):
    """A file that isn't a work's report, or not a whole one."""


def read_report(path: Path) -> WorkReport:
    """Read a work's report. Names in it are as they were shown, with escapes.

    Raises UnreadableReportError if the file can't be read or holds no test.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return _parse(csv.reader(stream))
    except (OSError, csv.Error, ValueError) as error:
        raise UnreadableReportError(
            f"{visible(str(path))} is no report of an audit: expected the columns {', '.join(REPORT_HEADER)} "
            "and a row for each test; run the audit again",
            cause=str(error),
        ) from error


def find_report(log_home: Path, rid: str, since: datetime | None = None) -> Path | None:
    """Return the file of the newest report of a work that was written since a time (aware), or None."""
    name = re.compile(rf"(PASS|WARN|FAIL)-{re.escape(report_name(rid))}-\d{{4}}(-\d\d){{4}}(-\d{{2,}})?\.csv")
    oldest = (since - _CLOCK_STEP).timestamp() if since else float("-inf")
    if not log_home.is_dir():
        return None
    # An empty file is the name that a run reserved before it was killed.
    times = [
        (status.st_mtime, path)
        for path in log_home.iterdir()
        if name.fullmatch(path.name) and (status := path.stat()).st_size
    ]
    newest = max((entry for entry in times if entry[0] >= oldest), default=None)
    return newest[1] if newest else None


def _parse(rows: Iterable[list[str]]) -> WorkReport:
    rid = path = None
    tests: list[tuple[str, Outcome, list[Finding]]] = []
    rows = iter(rows)
    if tuple(next(rows, ())) != REPORT_HEADER:
        raise ValueError("its first row isn't the header of a report")
    for row in filter(None, rows):
        if row[0]:
            first, name, outcome, *_ = row
            rid, path = rid or first, path or row[-1]
            tests.append((name, _outcome(outcome), []))
        else:
            *_, number, message, place = row
            if not tests:
                raise ValueError("a finding belongs to no test")
            tests[-1][2].append(Finding(int(number), message, Path(place)))
    if rid is None or path is None:
        raise ValueError("it has no row of a test")
    results = tuple(TestResult(name, outcome, tuple(findings)) for name, outcome, findings in tests)
    return WorkReport(rid, Path(path), results)


def _outcome(text: str) -> Outcome:
    # An outcome that isn't one of ours must not pass for success.
    return Outcome(text) if text in set(Outcome) else Outcome.FAILED
