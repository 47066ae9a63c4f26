"""What a benchmark is made of: contenders that do the same work, and the goals for ours."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
OURS = "glacier-sync"
UNFLUSHED = f"{OURS}, not flushed"

Work = Callable[[], None]
"""What is timed."""

Environment = Mapping[str, str | None]
"""Variables on top of this process's own; None takes one away."""


@dataclass(frozen=True)
class Step:
    """A command. Its whole time counts, or only what it says itself on its last line: see ``call``."""

    command: tuple[str, ...]
    folder: Path = PROJECT
    environment: Environment = field(default_factory=dict)
    timed_within: bool = False


def command(*words: str | Path, folder: Path = PROJECT, environment: Environment | None = None) -> Step:
    """Return a step that runs a program, its start counted."""
    return Step(tuple(map(str, words)), folder, environment or {})


def call(function: Callable[..., Work], environment: Environment | None = None, **arguments: Any) -> Step:
    """Return a step that does, in a new Python, the work that a function returns, and times that alone.

    A pipeline's process has imported what it needs, so importing isn't counted.
    ``arguments`` are what JSON has; paths are passed as text.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    words = (sys.executable, "-m", "tests.bench.timed", name, json.dumps(arguments, default=str))
    return Step(words, environment=environment or {}, timed_within=True)


def lacking(program: str, package: str) -> str:
    """Return what is said of a program that isn't installed; nothing of one that is."""
    return "" if shutil.which(program) else f"{program} isn't there: install Debian's package {package}"


@dataclass(frozen=True)
class Contender:
    """One way to do the work, in steps. ``before`` is called before each round and isn't timed.

    ``missing`` says what it lacks to run on this machine.
    """

    name: str
    steps: tuple[Step, ...]
    before: Callable[[], None] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Goal:
    """At most ``most`` times the fastest (or slowest) of ``others``; of nobody, ``most`` seconds or bytes of memory."""

    text: str
    most: float
    others: tuple[str, ...] = ()
    slowest: bool = False
    ours: str = UNFLUSHED
    memory: bool = False


LITTLE_MEMORY = Goal("at most 256 MB of memory", 256e6, ours=OURS, memory=True)


@dataclass(frozen=True)
class Comparison:
    """Contenders that do the same work on the same data; ratios are to the one that ``base`` names."""

    title: str
    contenders: tuple[Contender, ...]
    base: str
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True)
class Scale:
    """How large the data is and how often it's done; ``folder`` is where the data goes."""

    folder: Path
    mib: int
    rounds: int
    workers: int


@dataclass(frozen=True)
class Measured:
    """How a contender fared: seconds of each round, and the peak memory of all its processes in bytes."""

    contender: Contender
    seconds: Sequence[float]
    memory: int

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        ordered = sorted(self.seconds)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True)
class Result:
    """A comparison with what was measured; who is missing has no measurement."""

    comparison: Comparison
    measured: dict[str, Measured] = field(default_factory=dict)


Bench = Callable[[Scale], Iterator[Comparison]]
"""Makes the data of its comparisons one after the other, and removes it before the next."""
