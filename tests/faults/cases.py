"""Cases of faults that strike runs: each in a scene of its own, several at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from tests.faults import invariants
from tests.faults.invariants import Findings
from tests.faults.scene import Scenes, Strike
from tests.support.pipeline import Bag

_AT_ONCE = 3


@dataclass(frozen=True)
class Case:
    """Bags that are restored, and runs on them that are struck one after the other; ``settings`` are changed.

    Those that are ``fed`` come through the watched folder, ``hopeless`` ones have to
    fail, and the archive has an ``earlier`` bag's works, which they replace.
    """

    bags: Sequence[Bag]
    strikes: Sequence[Strike]
    settings: Mapping[str, object] = field(default_factory=dict)
    fed: bool = False
    hopeless: bool = False
    earlier: Bag | None = None

    @property
    def small(self) -> str | None:
        """The part of the scene that has a small disk, which a strike fills."""
        return next((strike.part for strike in self.strikes if strike.part), None)

    def __str__(self) -> str:
        return ", then ".join(map(str, self.strikes))


@dataclass
class Outcome:
    """What cases came to; ``broken`` tells of each that broke a promise or didn't end.

    A strike counts if it struck: a run may be over before.
    """

    strikes: int = 0
    findings: Findings = field(default_factory=Findings)
    broken: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.strikes += other.strikes
        self.findings.add(other.findings)
        self.broken += other.broken


def happen(scenes: Scenes, cases: Iterable[Case]) -> Outcome:
    """Let cases happen, each followed by clean runs, and judge each."""
    outcome = Outcome()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for judged in pool.map(partial(_judged, scenes), cases):
            outcome.add(judged)
    return outcome


def boundaries(
    scenes: Scenes,
    *bagged: Bag,
    fed: bool = False,
    hopeless: bool = False,
    earlier: Bag | None = None,
    **changed: object,
) -> list[str]:
    """Return the boundaries of a run that nothing happens to; its scene is as ``Scenes.scene`` and ``Case`` say."""
    with scenes.scene(*bagged, fed=fed, **changed) as scene:
        if earlier:
            scene.replaces(earlier)
        reached = scene.boundaries()
        _require(invariants.in_the_end(scene, hopeless=hopeless))
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


def _judged(scenes: Scenes, case: Case) -> Outcome:
    outcome = Outcome()
    try:
        with scenes.scene(*case.bags, small=case.small, fed=case.fed, **case.settings) as scene:
            if case.earlier:
                scene.replaces(case.earlier)
            for strike in case.strikes:
                outcome.strikes += scene.struck(strike)
                outcome.findings.add(invariants.at_any_time(scene))
                scene.mend()
            scene.recover()
            outcome.findings.add(invariants.in_the_end(scene, hopeless=case.hopeless))
            _require(outcome.findings)
    except Exception as error:  # noqa: BLE001 - the other cases go on
        outcome.broken.append(f"{case}: {error}")
    return outcome


def _require(found: Findings) -> None:
    if found:
        raise BrokenPromiseError(found)
