"""The table of faults names tests that are there, and docs/reliability.md shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults import kinds
from tests.faults.kinds import KINDS, Row

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent


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
    assert kinds.shortage({kind: Row(count) for kind, count in times.items()}) is None


@pytest.mark.parametrize(
    ("run", "services", "said"),
    [
        (999, 10, "999 kills of runs and 10 of a deployment's services: expected at least 1,000 and 10"),
        (1000, 9, "1,000 kills of runs and 9 of a deployment's services: expected at least 1,000 and 10"),
    ],
)
def test_too_few_kills_are_told(run: int, services: int, said: str) -> None:
    rows = {"killed at a random instant": Row(run), kinds.SERVICES: Row(services)}
    assert (kinds.shortage(rows) or "").startswith(said)


@pytest.mark.slow_faults
def test_a_whole_run_with_too_few_kills_fails(tmp_path: Path) -> None:
    """A session that has all tests, of which none does anything."""
    for name in ("support", "faults"):
        shutil.copytree(TESTS / name, tmp_path / "tests" / name)
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")
    for path in (tmp_path / "tests" / "faults").glob("test_*.py"):
        path.write_text("def test_nothing(): pass")
    whole = tried(tmp_path, "--faults")
    assert "FAILED: 0 kills of runs and 0 of a deployment's services: expected at least 1,000 and 10" in whole.stdout
    assert whole.returncode == 1
    for part in (["--faults", "-k", "test_kills"], ["--faults", "tests/faults/test_kills.py"]):
        assert tried(tmp_path, *part).returncode == 0


def tried(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the tests of faults."""
    command = [sys.executable, "-m", "pytest", "-c", PROJECT / "pyproject.toml", "--rootdir", project]
    options = ["-p", "no:cacheprovider", "-o", "testpaths=tests/faults"]
    return subprocess.run([*command, *options, *arguments], cwd=project, capture_output=True, text=True, check=False)
