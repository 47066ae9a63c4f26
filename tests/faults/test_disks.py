"""Disks that are full at any boundary of a run: it's put off, nothing half stays, and the next run does it."""

from __future__ import annotations

import random

import pytest
from tests.faults.cases import Case, boundaries, happen
from tests.faults.conftest import Note
from tests.faults.scene import Scenes, Strike
from tests.support.pipeline import Bagger

FEW, MANY = 2, 20
PARTS = {
    "data": "the working folder's disk is full",
    "archive": "the archive's disk is full",
    "logs": "the logs' disk is full",
    "ledger": "the ledger's disk is full",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_disk_that_is_full(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random, part: str) -> None:
    filled(scenes, bag, note, dice, part=part, times=FEW)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", PARTS)
def test_a_disk_that_is_full_anywhere(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random, part: str) -> None:
    filled(scenes, bag, note, dice, part=part, times=MANY)


def filled(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random, *, part: str, times: int) -> None:
    made = bag("W1TEST01")
    scenes.store(made)
    reached = boundaries(scenes, made)
    chosen = sorted(dice.sample(range(1, len(reached)), times))
    outcome = happen(scenes, [Case([made], [Strike(part, at=at)]) for at in chosen])
    note.cases(PARTS[part], outcome)
