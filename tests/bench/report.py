"""Printing what was measured, for a terminal and as Markdown."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.model import Goal, Result, Scale


def machine(scale: Scale) -> Iterator[tuple[str, str]]:
    """Yield the facts of this machine that the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.+)$", cpu, re.MULTILINE)
    yield "processor", f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores"
    yield "memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    yield "kernel", f"{platform.system()} {platform.release()}"
    yield "file system", _file_system(scale.folder)
    yield "Python", platform.python_version()
    yield "load before", f"{os.getloadavg()[0]:.1f}"
    yield "data", f"{scale.mib} MiB, median of {scale.rounds}"
    yield "date", time.strftime("%Y-%m-%d")


def _file_system(folder: Path) -> str:
    found = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def comparison(result: Result) -> str:
    """Return a comparison's table as Markdown."""
    base = result.measured.get(result.comparison.base)
    lines = [
        f"### {result.comparison.title}",
        "",
        "| | seconds | ratio | memory, MiB |",
        "|---|--:|--:|--:|",
    ]
    for contender in result.comparison.contenders:
        measured = result.measured.get(contender.name)
        if measured is None:
            lines.append(f"| {contender.name} | {contender.missing} | | |")
            continue
        ratio = f"{measured.median / base.median:.2f}" if base else ""
        lines.append(f"| {contender.name} | {measured.median:.3f} | {ratio} | {measured.memory / 2**20:.0f} |")
    return "\n".join([*lines, "", *goals(result)]) + "\n"


def goals(result: Result) -> list[str]:
    """Return a line for each goal: what was aimed at, what was reached."""
    return [f"- {_judged(goal, result)}" for goal in result.comparison.goals]


def _judged(goal: Goal, result: Result) -> str:
    others = [result.measured[name].median for name in goal.others if name in result.measured]
    ours = result.measured.get(goal.ours)
    if ours is None or (goal.others and not others):
        return f"not measured: {goal.text}"
    if goal.memory:
        return f"{_met(ours.memory, goal.most)}: {goal.text}: {ours.memory / 1e6:.0f} MB"
    if not goal.others:
        return f"{_met(ours.median, goal.most)}: {goal.text}: {ours.median:.3f} s"
    reference = max(others) if goal.slowest else min(others)
    ratio = ours.median / reference
    reached = f"{ratio:.2f} times its time" if goal.most >= 1 else f"{1 / ratio:.2f} times as fast"
    return f"{_met(ratio, goal.most)}: {goal.text}: {reached}"


def _met(found: float, most: float) -> str:
    return "met" if found <= most else "NOT MET"


def document(facts: Sequence[tuple[str, str]], results: Sequence[Result]) -> str:
    """Return everything as Markdown."""
    head = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)])
    return "\n".join([head, "", *map(comparison, results)])
