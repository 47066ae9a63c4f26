"""A machine in trouble, and several at once: too few open files, processes that sleep, clocks that jump."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import SECONDS, Scene, Scenes
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.ledger import HandClock
from tests.support.pipeline import Bag, Bagger

from glacier_sync.ledger import Ledger

SHORT_LEASE = 0.02  # minutes
LIMITS = range(16, 40, 4)


@pytest.fixture
def bagged(scenes: Scenes, bag: Bagger) -> list[Bag]:
    found = [bag("W1TEST01", "W1TEST02"), bag("W1TEST03")]
    scenes.store(*found)
    return found


@pytest.fixture
def scene(scenes: Scenes, bagged: list[Bag]) -> Iterator[Scene]:
    """Two bags, one of two works, and claims that soon run out."""
    with scenes.scene(*bagged, lease_minutes=SHORT_LEASE) as made:
        yield made


def finished(scene: Scene) -> invariants.Findings:
    """Judge what there is, and what the next run comes to."""
    found = invariants.at_any_time(scene)
    scene.recover()
    found.add(invariants.in_the_end(scene))
    return found


def test_too_few_open_files(scene: Scene, note: Note) -> None:
    for limit in LIMITS:
        scene.start(files=limit).join(SECONDS)
    note("too few open files", finished(scene), len(LIMITS))


def test_a_run_that_sleeps_longer_than_its_lease(scene: Scene, note: Note, dice: random.Random) -> None:
    """Another takes over what it had; when it wakes up, it does nothing more."""
    sleeper = scene.start()
    time.sleep(dice.uniform(0.1, 1))
    with suppress(ProcessLookupError):
        os.killpg(sleeper.pid, signal.SIGSTOP)
    time.sleep(SHORT_LEASE * 60 + 0.1)
    scene.start().join(SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(sleeper.pid, signal.SIGCONT)
    sleeper.join(SECONDS)
    note("a run sleeps longer than its lease", finished(scene))


def test_many_runs_at_once(scene: Scene, note: Note) -> None:
    running = [scene.start() for _ in range(4)]
    for process in running:
        process.join(SECONDS)
    note("several runs at once", finished(scene), len(running))


def test_runs_on_several_machines(scene: Scene, note: Note, dice: random.Random) -> None:
    """Of which one dies; only its lease tells the other."""
    dying = scene.start(host="first-machine")
    time.sleep(dice.uniform(0.1, 1))
    with suppress(ProcessLookupError):
        os.killpg(dying.pid, signal.SIGKILL)
    scene.start(host="second-machine").join(SECONDS)
    note("a machine dies, another takes over", finished(scene))


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps(scene: Scene, proxy: FaultProxy, note: Note, hours: int) -> None:
    """In the middle of a download."""
    clock = HandClock()
    url = scene.place.settings.ledger_url.get_secret_value()
    proxy.faults.append(Fault(on="GET", first=lambda: clock.passes(timedelta(hours=hours))))
    with Ledger(url, lease=timedelta(minutes=15), clock=clock) as ledger:
        replace(scene.place, ledger=ledger).run()
    assert not proxy.faults
    note("the clock jumps", finished(scene))
