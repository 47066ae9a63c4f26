"""Runs the tests on a work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from glacier_sync.audit.catalog import CATALOG, AuditTest
from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.image_readers import ImageReaders
from glacier_sync.audit.properties import Properties
from glacier_sync.audit.report import Finding, Outcome, TestResult, WorkReport
from glacier_sync.audit.work_folder import WorkFolder


def audit_work(
    path: Path, properties: Properties, readers: ImageReaders, tests: Sequence[AuditTest] = CATALOG
) -> WorkReport:
    """Run tests on a work, all of the catalog unless told otherwise.

    The work's defects, and errors inside a test, are in the report; none is raised.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - the name given is the work's, whatever a link points to
    if absolute.is_dir():
        work = WorkFolder(absolute, readers)
        results = [_run(test, work, properties) for test in tests]
    else:
        # A work that isn't there must not pass because its tests miss their folders. No message
        # begins with a name: it would be a formula to a spreadsheet that opens the report.
        finding = Finding(ErrorNumber.NO_DIRECTORY, f"{absolute} is not a directory", absolute)
        results = [TestResult(test.full_name, Outcome.FAILED, (finding,)) for test in tests]
    return WorkReport(absolute.name or str(absolute), absolute, tuple(results))


def outcome_of(findings: Iterable[Finding], errors_as_warning: frozenset[int]) -> Outcome:
    """Return a test's outcome: the worst of its findings decides."""
    numbers = {finding.number for finding in findings}
    serious = numbers - {ErrorNumber.NO_DIRECTORY}
    if serious - errors_as_warning:
        return Outcome.FAILED
    if serious:
        return Outcome.WARNINGS
    return Outcome.NOT_RUN if numbers else Outcome.PASSED


def _run(test: AuditTest, work: WorkFolder, properties: Properties) -> TestResult:
    findings: list[Finding] = []
    try:
        findings.extend(test.find(work, properties))
    except Exception as error:  # noqa: BLE001 - an error inside a test is that test's failure
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        path = Path(os.fsdecode(error.filename)) if isinstance(error, OSError) and error.filename else work.path
        message = f"the test could not be finished: {path}: {reason}"
        findings.append(Finding(ErrorNumber.UNKNOWN, message, path))
        return TestResult(test.full_name, Outcome.FAILED, tuple(findings))
    return TestResult(test.full_name, outcome_of(findings, properties.errors_as_warning), tuple(findings))
