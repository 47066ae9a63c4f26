"""Running a comparison: round by round, one contender after the other, so that all see the same machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.model import Comparison, Contender, Measured, Result, Step

_SAMPLE_SECONDS = 0.01
_PAGE = os.sysconf("SC_PAGE_SIZE")

# A command that ended before anybody looked would have had no memory: until then it is a shell, which has little.
_GATE = ("sh", "-c", 'echo >&2; read -r _; exec "$@"', "sh")


class FailedStepError(Exception):
    """A step that ended badly: the figures would be of something else."""


def run(comparison: Comparison, rounds: int, tell: Callable[[str], None]) -> Result:
    """Measure the contenders that can run here.

    A first round measures the memory and fills the page cache; its times don't count.
    """
    running = [contender for contender in comparison.contenders if not contender.missing]
    memory = {}
    for contender in running:
        tell(f"{comparison.title}: {contender.name}: memory")
        memory[contender.name] = _peak_memory(contender)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in running}
    for number in range(1, rounds + 1):
        for contender in running:
            tell(f"{comparison.title}: {contender.name}: round {number} of {rounds}")
            seconds[contender.name].append(_time(contender))
    return Result(
        comparison,
        {each.name: Measured(each, seconds[each.name], memory[each.name]) for each in running},
    )


def _time(contender: Contender) -> float:
    _prepare(contender)
    return sum(map(_time_step, contender.steps))


def _prepare(contender: Contender) -> None:
    if contender.before is not None:
        contender.before()
    # What the one before has written would be written back while this one runs.
    os.sync()


def _time_step(step: Step) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        step.command, cwd=step.folder, env=_environment(step), capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - began
    _check(step, done.returncode, done.stdout, done.stderr)
    return float(done.stdout.splitlines()[-1]) if step.timed_within else elapsed


def _environment(step: Step) -> dict[str, str]:
    merged = {**os.environ, **step.environment}
    return {name: value for name, value in merged.items() if value is not None}


def _check(step: Step, status: int, out: str, error: str) -> None:
    if status != 0:
        raise FailedStepError(f"{' '.join(step.command)} ended with {status}: {error or out}")


def _peak_memory(contender: Contender) -> int:
    _prepare(contender)
    return max(map(_peak_memory_of_step, contender.steps))


def _peak_memory_of_step(step: Step) -> int:
    """Return the most memory that a step's processes had at once; what two of them share counts twice."""
    with subprocess.Popen(
        (*_GATE, *step.command),
        cwd=step.folder,
        env=_environment(step),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stderr.readline()
        peak = _resident(process.pid)
        process.stdin.close()
        began = time.monotonic()
        while process.poll() is None:
            peak = max(peak, sum(map(_resident, _tree(process.pid))))
            # A short command has its memory for milliseconds only.
            time.sleep(min((time.monotonic() - began) / 10, _SAMPLE_SECONDS))
        _check(step, process.returncode, "", process.stderr.read())
    return peak


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            threads = list(Path(f"/proc/{parent}/task").iterdir())
        except OSError:
            continue
        for thread in threads:
            try:
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
