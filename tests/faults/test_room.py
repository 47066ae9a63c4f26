"""More works than the disk holds: each waits for its turn, none for ever, and the disk is never overfilled."""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.faults.scene import Scene, Scenes
from tests.support.aws import noise
from tests.support.ledger import START, announced, work_key
from tests.support.pipeline import Bag, Bagger, Installation, message, record

from glacier_sync.ledger import LedgerObject, Phase, Run
from glacier_sync.pipeline import Failed
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.room import NoSpaceYetError, TooLargeError, require_space

KIND = "more works than the disk holds"
GB = 10**9
SIZE = 17 * GB
AT_ONCE = 3
FEW, THOUSAND = 20, 1000
# The small disk has 8 MiB, and an object takes twice its size.
THIRD, TOO_MUCH = 2**20 + 2**16, 4 * 2**20 + 2**18
RUNS = [Run.of_dag_run("dag", name) for name in ("first", "second")]


def test_more_works_than_a_small_disk_holds(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    """Of a real disk; one of them can never fit."""
    sizes = {f"W1TEST0{number}": THIRD for number in range(1, 6)} | {"W1TEST06": TOO_MUCH}
    bagged = [bag(rid, change=adding(size)) for rid, size in sizes.items()]
    dice.shuffle(bagged)
    scenes.store(*bagged)
    with scenes.scene(small="data") as scene:
        for day, each in enumerate(dice.sample(bagged, len(bagged))):
            announce(scene, each, START + timedelta(days=day))
        outcomes = scene.place.run().outcomes
        too_large = next(each for each in bagged if each.works[0].name == "W1TEST06")
        (failed,) = [outcome for outcome in outcomes.values() if isinstance(outcome, Failed)]
        assert failed.reason.startswith(f"{too_large.key} needs 0.0 GiB for its zip and contents, but ")
        scene.bags.remove(too_large)
        found = invariants.in_the_end(scene)
        items = scene.place.ledger.objects()
        found.lost += [
            f"{item.key} wasn't synced at once" for item in items if "released" in scene.place.kinds(item.id)
        ]
        by_expiry = sorted((item for item in items if item.phase is Phase.SYNCED), key=expiry)
        assert claimed(scene, [item.id for item in by_expiry]) == [item.id for item in by_expiry]
        note(KIND, found, len(bagged))


def adding(size: int) -> Callable[[Path], object]:
    return lambda work: (work / "images" / "noise.bin").write_bytes(noise(size))


def announce(scene: Scene, bag: Bag, until: datetime) -> None:
    scene.bags.append(bag)
    site = scene.place.site
    site.send(message(record(site, bag.key, expiry=until.isoformat())))


def expiry(item: LedgerObject) -> datetime:
    return item.restore_expiry or datetime.max.replace(tzinfo=UTC)


def claimed(scene: Scene, numbers: list[int]) -> list[int]:
    """Return objects in the order in which they were taken in hand; fails if too many were at once."""
    order, in_hand = [], set()
    for event in scene.place.ledger.events():
        if event.object_id not in numbers:
            continue
        if event.kind == "claimed":
            order.append(event.object_id)
            in_hand.add(event.object_id)
        elif event.kind == "synced":
            in_hand.remove(event.object_id)
        assert len(in_hand) <= AT_ONCE
    return order


def test_works_of_17_gb_on_a_disk_with_room_for_three(
    scenes: Scenes, note: Note, dice: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking_turns(scenes, note, dice, monkeypatch, count=FEW)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_a_thousand_works_of_17_gb_on_a_disk_with_room_for_three(
    scenes: Scenes, note: Note, dice: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking_turns(scenes, note, dice, monkeypatch, count=THOUSAND)


def taking_turns(
    scenes: Scenes, note: Note, dice: random.Random, monkeypatch: pytest.MonkeyPatch, *, count: int
) -> None:
    """Two runs, one after the other; the disk's size is made up, and nothing is written."""
    whole = AT_ONCE * 2 * SIZE + GB
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=whole, used=0, free=whole))
    days = dice.sample(range(count + 1), count + 1)
    with scenes.scene() as scene:
        place = scene.place
        objects = [
            announced(
                work_key(f"W{day}"), size=whole if day == count // 2 else SIZE, expiry=START + timedelta(days=day)
            )
            for day in days
        ]
        place.ledger.record("test", "all of them", objects, [])
        runs, order = deque(RUNS), list[LedgerObject]()
        while len(order) <= count:
            working, waiting = (place.context(run) for run in runs)
            items = take(working).objects
            if len(order) < FEW:
                others = take(waiting)
                assert others.objects == ()
                assert len(order) + len(items) > count or isinstance(others.waiting, NoSpaceYetError)
            assert sum(item.size or 0 for item in items if item.size != whole) * 2 <= whole
            for item in items:
                end(place, runs[0], item, can_fit=item.size != whole)
            order += items
            runs.rotate()
        found = Findings(lost=[item.key for item in place.ledger.objects() if not item.phase.is_terminal])
        assert [item.restore_expiry for item in order] == sorted(map(expiry, order))
        note(KIND, found, count + 1)


def end(place: Installation, run: Run, item: LedgerObject, *, can_fit: bool) -> None:
    if can_fit:
        require_space(place.context(run), item, item.size or 0)
        place.ledger.advance(item.id, run, Phase.SYNCED, "done")
        return
    with pytest.raises(TooLargeError, match=r"needs 191\.9 GiB for its zip and contents, but .* has 95\.9 GiB in all"):
        require_space(place.context(run), item, item.size or 0)
    place.ledger.fail(item.id, run, "it can never fit", "")
