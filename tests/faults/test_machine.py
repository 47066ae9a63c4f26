"""A machine in trouble, and several at once: too few open files, processes that sleep, clocks that jump."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import SECONDS, Scene, Scenes, Strike
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.ledger import HandClock
from tests.support.pipeline import Bag, Bagger, messages_left

from glacier_sync.ledger import Ledger

SHORT_LEASE = 0.05  # minutes
LIMITS = range(14, 26, 2)
# What a run is at in the middle of each stage.
MIDDLES = {
    "download": "aws.ranges:_write",
    "unbagging": "hashing.writing:write",
    "copy": 'bash run sync --file-system -- "$PARTIAL"',
    "audit": 'bash audit "$DESTINATION"',
}


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


def holders(scene: Scene, number: int) -> list[str]:
    """Return the runs that have had an object in hand, in order."""
    return [event.run or "" for event in scene.place.ledger.events(number) if event.kind == "claimed"]


def test_too_few_open_files(scene: Scene, note: Note) -> None:
    times = 0
    for limit in LIMITS:
        scene.start(files=limit).join(SECONDS)
        times += is_unfinished(scene)
    assert times
    note("too few open files", finished(scene), times)


def is_unfinished(scene: Scene) -> bool:
    """Tell whether something has kept the runs from what is to be done."""
    items = scene.place.ledger.objects()
    return bool(messages_left(scene.place.site)) or not all(item.phase.is_terminal for item in items)


def test_a_run_that_sleeps_longer_than_its_lease(scene: Scene, note: Note, dice: random.Random) -> None:
    """Another takes over what it had; when it wakes up, it does nothing more."""
    sleeper = scene.stopped(MIDDLES[dice.choice(["download", "unbagging"])])
    asleep = [item.claimed_by for item in scene.place.ledger.objects()]
    assert len(asleep) == 2
    assert None not in asleep
    time.sleep(SHORT_LEASE * 60 + 0.1)
    scene.start().join(SECONDS)
    assert [len(holders(scene, number)) for number in (1, 2)] == [2, 2]
    os.killpg(sleeper.pid, signal.SIGCONT)
    sleeper.join(SECONDS)
    assert sleeper.exitcode == 0
    assert [len(holders(scene, number)) for number in (1, 2)] == [2, 2]
    note("a run sleeps longer than its lease", finished(scene))


def test_many_runs_at_once(scene: Scene, note: Note) -> None:
    running = [scene.start() for _ in range(4)]
    for process in running:
        process.join(SECONDS)
    note("several runs at once", finished(scene), len(running))


@pytest.mark.parametrize(
    "stage", [name if name == "copy" else pytest.param(name, marks=pytest.mark.slow_faults) for name in MIDDLES]
)
def test_runs_on_several_machines(scenes: Scenes, bag: Bagger, note: Note, stage: str) -> None:
    """Each with a disk of its own. One dies, which only its lease tells the other; then it comes back."""
    made = bag("W1TEST01")
    scenes.store(made)
    with scenes.scene(made, lease_minutes=SHORT_LEASE) as scene:
        first, second = scene.on("first-machine"), scene.on("second-machine")
        assert first.struck(Strike("group", at=MIDDLES[stage]))
        assert first.place.working_data()
        found = invariants.at_any_time(second)
        time.sleep(SHORT_LEASE * 60 + 0.1)
        second.recover()
        machines = [name.partition("/")[0] for name in holders(scene, 1)]
        assert machines == ["glacier-sync@first-machine", "glacier-sync@second-machine"]
        found.add(invariants.in_the_end(second))
        first.recover()
        found.add(invariants.in_the_end(first))
        note("a machine dies, another takes over", found)


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
