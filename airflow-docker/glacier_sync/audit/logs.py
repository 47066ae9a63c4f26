"""The audit's files: a CSV report for each work, summary and detail logs for each run.

The log home, ``~/audit-test-logs`` unless told otherwise, holds
``{PASS|WARN|FAIL}-<Work>-YYYY-MM-DD-HH-mm.csv`` for each work, and for each run
``log/`` and ``csv/AuditTestShell-{SUMMARY,DETAIL}-<stamp>``. Times are local.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from glacier_sync.audit.report import Outcome, WorkReport
from glacier_sync.audit.text import visible
from glacier_sync.errors import TransientError

REPORT_HEADER = ("id", "test_name", "outcome", "error_number", "error_test", "detail_path")
SUMMARY_HEADER = ("outcome", "path", "test_name")
DETAIL_HEADER = ("error_number", "error_test", "path")

# A file name has at most 255 bytes; the rest is for prefix, date and number.
_MOST_NAME_BYTES = 200

_FORMULA_STARTS = ("=", "+", "-", "@")


class ReportNotWrittenError(TransientError):
    """The log home doesn't take the audit's files: no space, no permission."""


def report_name(rid: str) -> str:
    """Return how a work is named in its report's file name: visible, and not too long."""
    name = visible(rid).replace("/", "_")
    return name.encode()[:_MOST_NAME_BYTES].decode(errors="ignore")


def write_report(report: WorkReport, log_home: Path, time: datetime | None = None) -> Path:
    """Write a work's CSV report and return its path.

    The file is complete when it has content: its name is reserved empty, then replaced.
    Raises ReportNotWrittenError.
    """
    prefix = {Outcome.PASSED: "PASS", Outcome.FAILED: "FAIL"}.get(report.outcome, "WARN")
    stamp = (time or _now()).strftime("%Y-%m-%d-%H-%M")
    with _named_failures(log_home):
        log_home.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".audit-", suffix=".tmp", dir=log_home)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                _write_rows(stream, [REPORT_HEADER, *_report_rows(report)])
                stream.flush()
                os.fsync(stream.fileno())
            # mkstemp's files are their owner's alone; reports are for the archive's staff.
            Path(temporary).chmod(0o644)
            path = _reserve(log_home, f"{prefix}-{report_name(report.rid)}-{stamp}", ".csv")
            return Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)


class RunLogs:
    """One run's summary and detail logs; lines are there as soon as they are written.

    Raises ReportNotWrittenError.
    """

    def __init__(self, log_home: Path, time: datetime | None = None) -> None:
        self._home = log_home
        self._streams = ExitStack()
        stamp = (time or _now()).strftime("%Y-%m-%d-%H-%M-%S")
        with _named_failures(log_home):
            for folder in ("log", "csv"):
                (log_home / folder).mkdir(parents=True, exist_ok=True)
            # The summary's log reserves the stamp for all four files.
            summary = _reserve(log_home / "log", f"AuditTestShell-SUMMARY-{stamp}", ".log")
            stamp = summary.stem.removeprefix("AuditTestShell-SUMMARY-")
            self._summary_log = self._open(summary)
            self._detail_log = self._open(log_home / "log" / f"AuditTestShell-DETAIL-{stamp}.log")
            self._summary_csv = self._open(log_home / "csv" / f"AuditTestShell-SUMMARY-{stamp}.csv")
            self._detail_csv = self._open(log_home / "csv" / f"AuditTestShell-DETAIL-{stamp}.csv")
            _write_rows(self._summary_csv, [SUMMARY_HEADER])
            _write_rows(self._detail_csv, [DETAIL_HEADER])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.close()

    def write(self, report: WorkReport) -> None:
        """Append a work's results."""
        time = _now().strftime("%Y-%m-%d %H:%M:%S")
        path = visible(str(report.path))
        with _named_failures(self._home):
            for result in report.results:
                line = (time, result.outcome.level, result.outcome.value, path, result.name)
                print(*line, sep="\t", file=self._summary_log)
                _write_rows(self._summary_csv, [(result.outcome.value, path, result.name)])
                for finding in result.findings:
                    row = (int(finding.number), visible(finding.message), visible(str(finding.path)))
                    print(time, result.outcome.level, *row, sep="\t", file=self._detail_log)
                    _write_rows(self._detail_csv, [row])

    def _open(self, path: Path) -> IO[str]:
        return self._streams.enter_context(path.open("w", encoding="utf-8", newline="", buffering=1))


def _report_rows(report: WorkReport) -> Iterator[Sequence[str | int]]:
    rid, path = _cell(visible(report.rid)), visible(str(report.path))
    for result in report.results:
        yield rid, result.name, result.outcome.value, "", "", path
        for finding in result.findings:
            yield "", "", "", int(finding.number), visible(finding.message), visible(str(finding.path))


def _cell(name: str) -> str:
    """Return a name as text to a spreadsheet too, which would compute a formula."""
    return f"'{name}" if name.startswith(_FORMULA_STARTS) else name


def _write_rows(stream: IO[str], rows: Sequence[Sequence[str | int]]) -> None:
    csv.writer(stream, lineterminator="\n").writerows(rows)


def _reserve(folder: Path, stem: str, suffix: str) -> Path:
    """Create an empty file that nobody else has, numbered -01, -02 … if the name is taken."""
    number = 0
    while True:
        path = folder / f"{stem}{f'-{number:02d}' if number else ''}{suffix}"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path


@contextmanager
def _named_failures(log_home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportNotWrittenError(
            f"the audit's logs can't be written in {visible(str(log_home))} ({error.strerror}); "
            "make room or permit it, or choose another folder with --log_home",
            cause=str(error),
        ) from error


def _now() -> datetime:
    return datetime.now().astimezone()
