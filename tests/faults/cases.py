"""Cases of faults that strike runs: each in a scene of its own, several at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.faults import invariants
from tests.faults.invariants import Findings
from tests.faults.scene import Scenes, Strike
from tests.support.pipeline import Bag

_AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """Bags that are restored, and runs on them that are struck one after the other."""

    bags: Sequence[Bag]
    strikes: Sequence[Strike]

    @property
    def small(self) -> str | None:
        """The part of the scene that has a small disk, which a strike fills."""
        return next((strike.part for strike in self.strikes if strike.part), None)

    def __str__(self) -> str:
        return ", then ".join(map(str, self.strikes))


@dataclass
class Outcome:
    """What cases came to; ``broken`` tells of each that broke a promise or didn't end."""

    strikes: int = 0
    findings: Findings = field(default_factory=Findings)
    broken: list[str] = field(default_factory=list)


def happen(scenes: Scenes, cases: Iterable[Case]) -> Outcome:
    """Let cases happen, each followed by clean runs, and judge each."""
    outcome = Outcome()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        judged: list[tuple[Case, Future[Findings]]] = [(case, pool.submit(_judged, scenes, case)) for case in cases]
    for case, future in judged:
        error = future.exception()
        outcome.strikes += len(case.strikes)
        if error is None:
            continue
        outcome.broken.append(f"{case}: {error}")
        if isinstance(error, BrokenPromiseError):
            outcome.findings.add(error.findings)
    return outcome


def boundaries(scenes: Scenes, *bagged: Bag) -> list[str]:
    """Return the boundaries of a run that nothing happens to."""
    with scenes.scene(*bagged) as scene:
        reached = scene.boundaries()
        _require(invariants.in_the_end(scene))
    return reached


def seconds_of_a_run(scenes: Scenes, *bagged: Bag) -> float:
    """Return how long a run takes that nothing happens to."""
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
    with scenes.scene(*case.bags, small=case.small) as scene:
        found = Findings()
        for strike in case.strikes:
            scene.struck(strike)
            found.add(invariants.at_any_time(scene))
            scene.make_room()
        scene.recover()
        found.add(invariants.in_the_end(scene))
        _require(found)
    return found


def _require(found: Findings) -> None:
    if found:
        raise BrokenPromiseError(found)
