"""Cases of kills: each in a scene of its own, several at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.faults import invariants
from tests.faults.invariants import Findings
from tests.faults.scene import Kill, Scenes
from tests.support.pipeline import Bag

_AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """Bags that are restored, and runs on them that are killed one after the other."""

    bags: Sequence[Bag]
    kills: Sequence[Kill]

    def __str__(self) -> str:
        return ", then ".join(map(str, self.kills))


@dataclass
class Outcome:
    """What cases came to; ``broken`` tells of each that broke a promise or didn't end."""

    kills: int = 0
    findings: Findings = field(default_factory=Findings)
    broken: list[str] = field(default_factory=list)


def happen(scenes: Scenes, cases: Iterable[Case]) -> Outcome:
    """Let cases happen, each followed by clean runs, and judge each."""
    outcome = Outcome()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        judged: list[tuple[Case, Future[Findings]]] = [(case, pool.submit(_judged, scenes, case)) for case in cases]
    for case, future in judged:
        error = future.exception()
        if error is None:
            outcome.kills += len(case.kills)
            continue
        outcome.broken.append(f"killed {case}: {error}")
        if isinstance(error, BrokenPromiseError):
            outcome.findings.add(error.findings)
    return outcome


def seconds_of_a_run(scenes: Scenes, *bagged: Bag) -> float:
    """Return how long a run takes that isn't killed."""
    with scenes.scene(*bagged) as scene:
        began = time.monotonic()
        scene.recover()
        seconds = time.monotonic() - began
        _require(invariants.in_the_end(scene))
    return seconds


class BrokenPromiseError(AssertionError):
    """Something doesn't hold that must."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        super().__init__(str(findings))


def _judged(scenes: Scenes, case: Case) -> Findings:
    with scenes.scene(*case.bags) as scene:
        found = Findings()
        for fate in case.kills:
            scene.killed(fate)
            found.add(invariants.at_the_kill(scene))
        scene.recover()
        found.add(invariants.in_the_end(scene))
        _require(found)
    return found


def _require(found: Findings) -> None:
    if found:
        raise BrokenPromiseError(found)
