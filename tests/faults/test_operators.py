"""An operator's ``retry`` and ``forget`` killed at their boundaries, and said again: done once, and nothing is left."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.faults.scene import SECONDS, Scene, Scenes, Strike
from tests.support.pipeline import Bag, Bagger, change_page, is_archived

from glacier_sync.ledger import Phase

KIND = "killed at a boundary: retry and forget"
RID = "W1TEST01"
RETRY = ("retry", RID)
FORGET = ("forget", RID, "--reason", "hopeless")
FEW, MANY, AT_ONCE = 1, 12, 3
# Where a sync is killed whose object is forgotten: its copy is made, and it has its name.
SYNCING = ('bash run sync --file-system -- "$PARTIAL"', 'bash audit "$DESTINATION"')


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_a_retry_that_is_killed_anywhere(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    made, other = bag(RID, change=change_page), bag(RID)
    scenes.store(made)
    with scenes.scene(made) as scene:
        fail(scene, other)
        reached = scene.boundaries(RETRY)
    chosen = dice.sample(range(1, len(reached) + 1), MANY)
    found = Findings()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for judged in pool.map(partial(retry_killed, scenes, made, other), chosen):
            found.add(judged)
    note(KIND, found, MANY)


def fail(scene: Scene, other: Bag) -> None:
    """Let the object fail: the archive has another copy. After that the site replaces it."""
    shutil.copytree(other.works[0], scene.place.archived(RID))
    scene.recover()
    assert [item.phase for item in scene.place.ledger.objects()] == [Phase.FAILED]
    scene.place.say({"sync": {"replace": True}})


def retry_killed(scenes: Scenes, made: Bag, other: Bag, at: int) -> Findings:
    with scenes.scene(made) as scene:
        fail(scene, other)
        assert scene.struck(Strike("group", at=at), RETRY)
        scene.do(*RETRY)
        scene.recover()
        found, kinds = Findings(), scene.place.kinds(1)
        if [item.phase for item in scene.place.ledger.objects()] != [Phase.SYNCED]:
            found.lost.append(f"retry killed at boundary {at}: {kinds}")
        if kinds.count("retried") != 1 or kinds.count("synced") != 1:
            found.duplicated.append(f"retry killed at boundary {at}: {kinds}")
        found.add(invariants.archived(scene, made))
        found.add(invariants.nothing_left(scene))
        return found


def test_a_forgetting_that_is_killed(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    forgotten(scenes, bag(RID), note, dice, FEW)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_a_forgetting_that_is_killed_anywhere(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    forgotten(scenes, bag(RID), note, dice, MANY)


def forgotten(scenes: Scenes, made: Bag, note: Note, dice: random.Random, times: int) -> None:
    """The object of a sync that was killed: a copy that has its name already stays if it is whole, and nothing else."""
    scenes.store(made)
    with scenes.scene(made) as scene:
        assert scene.struck(Strike("group", at=SYNCING[0]))
        reached = scene.boundaries(FORGET)
    cases = [(SYNCING[number % 2], at) for number, at in enumerate(dice.sample(range(1, len(reached) + 1), times))]
    found = Findings()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for judged in pool.map(partial(forgetting_killed, scenes, made), cases):
            found.add(judged)
    note(KIND, found, 2 * times)


def forgetting_killed(scenes: Scenes, made: Bag, case: tuple[str, int]) -> Findings:
    syncing, at = case
    with scenes.scene(made) as scene:
        assert scene.struck(Strike("group", at=syncing))
        assert scene.struck(Strike("group", at=at), FORGET)
        scene.do(*FORGET)
        scene.start().join(SECONDS)
        standing = [RID] if syncing == SYNCING[1] and is_archived(scene.place, made.works[0]) else []
        found = invariants.in_the_end(scene, hopeless=True, standing=standing)
        if (times := scene.place.kinds(1).count("forgotten")) != 1:
            found.duplicated.append(f"{times} times forgotten, killed at boundary {at}")
        return found
