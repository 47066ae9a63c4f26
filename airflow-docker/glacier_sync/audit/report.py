"""What an audit found: facts, without a word about how they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glacier_sync.audit.error_numbers import HEADINGS, REMEDIES
from glacier_sync.audit.text import visible


class Outcome(StrEnum):
    """How a test ended, from the best to the worst."""

    PASSED = "Passed"
    NOT_RUN = "Not Run"
    WARNINGS = "Warnings"
    FAILED = "Failed"

    @property
    def severity(self) -> int:
        """The outcome's place in the order: 0 is the best."""
        return list(Outcome).index(self)

    @property
    def level(self) -> str:
        """The outcome's level in the logs: INFO, WARN or ERROR."""
        return {Outcome.PASSED: "INFO", Outcome.FAILED: "ERROR"}.get(self, "WARN")


@dataclass(frozen=True)
class Finding:
    """One thing that a test found wrong: an error number, what it is in words, and where."""

    number: int
    message: str
    path: Path


@dataclass(frozen=True)
class TestResult:
    """How one test ended on one work; ``name`` is the test's full name."""

    name: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class WorkReport:
    """All test results of one work."""

    rid: str
    path: Path
    results: tuple[TestResult, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the tests. Not Run is no failure."""
        return max((result.outcome for result in self.results), key=lambda outcome: outcome.severity)

    @property
    def failed(self) -> bool:
        """Whether any test failed."""
        return self.outcome is Outcome.FAILED

    def as_json(self) -> dict[str, Any]:
        """Return the report as values that JSON has."""
        return {
            "rid": visible(self.rid),
            "path": visible(str(self.path)),
            "outcome": self.outcome.value,
            "tests": [_result_as_json(result) for result in self.results],
        }


def summary(report: WorkReport) -> str:
    """Return one line, fit to follow the work's RID, that says how the audit ended and why."""
    ended = {outcome: [r for r in report.results if r.outcome is outcome] for outcome in Outcome}
    if failed := ended[Outcome.FAILED]:
        return f"failed its audit: {_reasons(failed, remedy=True)}"
    if ended[Outcome.WARNINGS]:
        return f"passed its audit with warnings: {_reasons(ended[Outcome.WARNINGS])}"
    count = len(report.results)
    if ended[Outcome.NOT_RUN]:
        skipped = ended[Outcome.NOT_RUN]
        return f"passed its audit, but {len(skipped)} of {count} tests could not run: {_reasons(skipped)}"
    return f"passed its audit: {count} {'test' if count == 1 else 'tests'}"


def _reasons(results: list[TestResult], *, remedy: bool = False) -> str:
    """Name the first finding that names a file, count the others like it, and tell what to do about it."""
    found: dict[str, tuple[TestResult, Finding]] = {}
    for result in results:
        for finding in result.findings:
            found.setdefault(finding.message, (result, finding))
    if not found:
        return visible(", ".join(result.name for result in results))
    telling = [pair for pair in found.values() if pair[1].number not in HEADINGS] or list(found.values())
    result, finding = telling[0]
    others = len(telling) - 1
    more = f", and {others} more finding{'s' if others > 1 else ''}" if others else ""
    to_do = f"; {REMEDIES[finding.number]}" if remedy and finding.number in REMEDIES else ""
    return visible(f"{result.name}: {finding.message}{more}{to_do}")


def _result_as_json(result: TestResult) -> dict[str, Any]:
    findings = [
        {"number": int(f.number), "message": visible(f.message), "path": visible(str(f.path))} for f in result.findings
    ]
    return {"name": result.name, "outcome": result.outcome.value, "findings": findings}
