"""The table of faults names tests that are there, and docs/reliability.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.kinds import KINDS

PROJECT = Path(__file__).parents[2]


def test_every_fault_has_its_test() -> None:
    for test in KINDS.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8")


def test_the_document_shows_every_fault() -> None:
    document = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (.+) \| `(.+)` \| ([\d,]+) \| 0 \| 0 \| 0 \|$", document, re.MULTILINE)
    assert [row[:2] for row in shown] == [(kind, test.partition("::")[0]) for kind, test in KINDS.items()]
    assert len(KINDS) >= 40
    times = {kind: int(count.replace(",", "")) for kind, _, count in shown}
    assert all(times.values())
    assert sum(count for kind, count in times.items() if kind.startswith("killed at")) >= 1000
    assert times["services of a deployment are killed"] >= 10
