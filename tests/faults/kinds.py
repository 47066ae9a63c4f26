"""The faults, and which test injects each: what docs/reliability.md shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.faults.invariants import Findings

# The name under which a test notes what it has injected.
PROPERTY = "fault"

KINDS: Mapping[str, str] = {
    "killed at a boundary: the run": "tests/faults/test_kills.py::test_killed_at_chosen_boundaries",
    "killed at a boundary: the group": "tests/faults/test_kills.py::test_killed_at_chosen_boundaries",
    "killed at a random instant": "tests/faults/test_kills.py::test_killed_at_random_instants",
}


@dataclass
class Row:
    """How often a fault was injected, and what didn't hold after it."""

    times: int = 0
    lost: int = 0
    duplicated: int = 0
    unverified: int = 0

    def add(self, findings: Findings, times: int = 1) -> None:
        self.times += times
        self.lost += len(findings.lost)
        self.duplicated += len(findings.duplicated)
        self.unverified += len(findings.unverified)


def table(reports: Iterable[object]) -> dict[str, Row]:
    """Sum up what the tests of a session have noted; a test that notes nothing injects its fault once."""
    rows = {kind: Row() for kind in KINDS}
    for report in reports:
        noted = [value for name, value in report.user_properties if name == PROPERTY]
        test = report.nodeid.partition("[")[0]
        for kind, findings, times in noted or [(kind, Findings(), 1) for kind, by in KINDS.items() if by == test]:
            rows[kind].add(findings, times)
    return rows


def as_markdown(rows: Mapping[str, Row]) -> str:
    """Return the table as docs/reliability.md has it."""
    lines = ["| fault | times injected | lost | duplicated | unverified |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {kind} | {row.times:,} | {row.lost} | {row.duplicated} | {row.unverified} |" for kind, row in rows.items()
    ]
    return "\n".join(lines) + "\n"
