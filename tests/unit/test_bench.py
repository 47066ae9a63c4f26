"""The benchmarks measure what they say: taking turns, with medians, goals and what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.bench import report
from tests.bench.data import emptied
from tests.bench.model import PROJECT, Comparison, Contender, Goal, Measured, Result, command
from tests.bench.running import FailedStepError, run


def noting(name: str, notes: Path, **arguments: str) -> Contender:
    return Contender(name, (command("sh", "-c", f"echo {name} >>{notes}"),), **arguments)  # type: ignore[arg-type]


def test_contenders_take_turns_and_who_is_missing_is_left_out(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    contenders = (noting("first", notes), noting("second", notes), noting("third", notes, missing="no third here"))
    result = run(Comparison("title", contenders, "first"), 3, lambda _: None)
    assert notes.read_text().split() == ["first", "second"] * 4
    assert {name: len(found.seconds) for name, found in result.measured.items()} == {"first": 3, "second": 3}
    assert "| third | no third here | | |" in report.comparison(result)


def test_what_is_done_before_a_round_is_not_timed(tmp_path: Path) -> None:
    made = tmp_path / "made"
    contender = Contender("one", (command("rmdir", made),), made.mkdir)
    (measured,) = run(Comparison("title", (contender,), "one"), 2, lambda _: None).measured.values()
    assert len(measured.seconds) == 2
    assert measured.memory > 0


def test_memory_is_that_of_all_processes_together() -> None:
    script = (
        "import os, time\nblock = b'x' * 30_000_000\nchild = os.fork()\n"
        "if not child: block = b'y' * 30_000_000\ntime.sleep(8)\nif child: os.waitpid(child, 0)"
    )
    contender = Contender("two processes", (command(sys.executable, "-c", script),))
    (measured,) = run(Comparison("title", (contender,), "two processes"), 0, lambda _: None).measured.values()
    assert 60_000_000 < measured.memory < 150_000_000


def test_a_step_that_fails_ends_the_benchmark() -> None:
    contender = Contender("broken", (command("sh", "-c", "echo no luck >&2; exit 3"),))
    with pytest.raises(FailedStepError, match="ended with 3: no luck"):
        run(Comparison("title", (contender,), "broken"), 1, lambda _: None)


def test_goals_are_judged_by_medians() -> None:
    seconds = {"ours": [9.0, 2.0, 1.0], "fast": [1.0, 2.0], "slow": [4.0, 4.0], "limit": [1.0]}
    measured = {name: Measured(Contender(name, ()), found, 2**20) for name, found in seconds.items()}
    goals = (
        Goal("twice as fast as the best", 1 / 2, ("fast", "slow"), ours="ours"),
        Goal("twice as fast as the slowest", 1 / 2, ("fast", "slow"), slowest=True, ours="ours"),
        Goal("1.5 times the limit", 1.5, ("limit",), ours="ours"),
        Goal("in 2 s", 2, ours="ours"),
        Goal("faster than nobody", 1, ("absent",), ours="ours"),
        Goal("in 1 MB", 1e6, ours="ours", memory=True),
        Goal("in 2 MB", 2e6, ours="ours", memory=True),
    )
    contenders = tuple(each.contender for each in measured.values())
    assert report.goals(Result(Comparison("title", contenders, "limit", goals), measured)) == [
        "- NOT MET: twice as fast as the best: 0.75 times as fast",
        "- met: twice as fast as the slowest: 2.00 times as fast",
        "- NOT MET: 1.5 times the limit: 2.00 times its time",
        "- met: in 2 s: 2.000 s",
        "- not measured: faster than nobody",
        "- NOT MET: in 1 MB: 1 MB",
        "- met: in 2 MB: 1 MB",
    ]


def test_each_round_has_a_fresh_folder_and_deletes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "to"
    for number in range(3):
        emptied(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_bytes(b"page")
        assert len(list(tmp_path.rglob("file"))) == number + 1
    assert sum(path.stat().st_size for path in tmp_path.rglob("file")) == len(b"page")


def test_the_benchmarks_run(tmp_path: Path) -> None:
    written = tmp_path / "tables.md"
    options = ["--mib", "1", "--rounds", "1", "--folder", tmp_path, "--markdown", written]
    subprocess.run([sys.executable, "-m", "tests.bench", *options, "download"], cwd=PROJECT, check=True)
    text = written.read_text(encoding="utf-8")
    assert "| processor |" in text
    assert "| boto3, default |" in text
    assert list(tmp_path.iterdir()) == [written]
