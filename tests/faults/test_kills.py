"""``glacier-sync run`` killed at its boundaries and at random instants: the next run finishes it, once."""

from __future__ import annotations

import random

from tests.faults import invariants
from tests.faults.cases import Case, happen, seconds_of_a_run
from tests.faults.conftest import Note
from tests.faults.scene import Kill, Scenes
from tests.support.pipeline import Bag, Bagger

FEW = 4


def test_killed_at_chosen_boundaries(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    """At some of each sort: the ledger, messages, files, the audit, the script."""
    made = bag("W1TEST01")
    scenes.store(made)
    reached = boundaries(scenes, made)
    sorts = ["Connection.commit", "aws.", "bags.", "audit.", "bash "]
    chosen = [dice.choice([at for at, place in enumerate(reached, 1) if sort in place]) for sort in sorts]
    for who in ("run", "group"):
        outcome = happen(scenes, [Case([made], [Kill(who, at=at)]) for at in chosen])
        note(f"killed at a boundary: the {who}", outcome.findings, outcome.kills)
        assert not outcome.broken


def test_killed_at_random_instants(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    bagged = [bag("W1TEST01", "W1TEST02"), bag("W1TEST03")]
    scenes.store(*bagged)
    seconds = seconds_of_a_run(scenes, *bagged)
    cases = [
        Case(bagged, [Kill(dice.choice(["run", "group"]), after=round(dice.uniform(0, seconds), 4)) for _ in range(3)])
        for _ in range(FEW)
    ]
    outcome = happen(scenes, cases)
    note("killed at a random instant", outcome.findings, outcome.kills)
    assert not outcome.broken


def boundaries(scenes: Scenes, made: Bag) -> list[str]:
    """Return the boundaries of a run that isn't killed."""
    with scenes.scene(made) as scene:
        reached = scene.killed(Kill())
        assert not invariants.in_the_end(scene)
    return reached
