"""More works than the disk holds: each waits for its turn, none for ever, and the disk is never overfilled."""

from __future__ import annotations

import random
import shutil
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.faults.scene import Scene, Scenes
from tests.support.aws import noise
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.ledger import START, announced, work_key
from tests.support.pipeline import Bag, Bagger, Installation, message, record

from glacier_sync.ledger import LedgerObject, Phase, Run
from glacier_sync.pipeline import Failed, RetryLater
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.room import NoSpaceYetError, TooLargeError, require_space
from glacier_sync.works import staging_key

KIND = "more works than the disk holds"
GB = 10**9
SIZE = 17 * GB
AT_ONCE = 3
FEW, THOUSAND = 20, 1000
# The small disk has 8 MiB, and an object takes twice its size.
THIRD, TOO_MUCH = 2**20 + 2**16, 4 * 2**20 + 2**18
SLOW_DOWN: Mapping[str, Any] = {"status": 503, "code": "SlowDown"}
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


@pytest.mark.slow_faults
def test_works_that_are_put_off_on_a_small_disk(
    scenes: Scenes, proxy: FaultProxy, bag: Bagger, note: Note, dice: random.Random
) -> None:
    """Amazon is too busy for some: the others go on, and neither they nor what was put off lack room."""
    rids = [f"W1TEST0{number}" for number in range(1, 7)]
    bagged = [bag(rid, change=adding(dice.randrange(THIRD // 2, THIRD))) for rid in rids]
    scenes.store(*bagged)
    busy = dice.sample(rids, 2)
    with scenes.scene(small="data") as scene:
        for day, each in enumerate(dice.sample(bagged, len(bagged))):
            announce(scene, each, START + timedelta(days=day))
        proxy.faults.extend(Fault(on=f"GET /{scene.place.site.bucket}/{staging_key(rid)}", **SLOW_DOWN) for rid in busy)
        assert scene.place.run().count(RetryLater) == len(busy)
        assert not proxy.faults
        scene.place.run()
        released = [event.message for event in scene.place.ledger.events() if event.kind == "released"]
        assert ["SlowDown" in message for message in released] == [True] * len(busy)
        note(KIND, invariants.in_the_end(scene), len(bagged))


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
    """Two runs, one after the other; the disk's size is made up, and nothing is written.

    The works have 17 GB, more or less. One of them can never fit, and some are put off, once or twice.
    """
    whole = AT_ONCE * 2 * SIZE + GB
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=whole, used=0, free=whole))
    days = dice.sample(range(count + 1), count + 1)
    sizes = {work_key(f"W{day}"): dice.randrange(SIZE - 8 * GB, SIZE + 8 * GB) for day in days}
    sizes[work_key(f"W{count // 2}")] = whole
    put_off = dict.fromkeys(dice.sample([key for key in sizes if sizes[key] != whole], count // 5), 1)
    put_off |= dict.fromkeys(dice.sample(sorted(put_off), count // 10), 2)
    with scenes.scene() as scene:
        place = scene.place
        objects = [
            announced(work_key(f"W{day}"), size=sizes[work_key(f"W{day}")], expiry=START + timedelta(days=day))
            for day in days
        ]
        place.ledger.record("test", "all of them", objects, [])
        runs, taken, left = deque(RUNS), list[LedgerObject](), dict(put_off)
        while len(taken) < len(objects) + sum(put_off.values()):
            working, waiting = (place.context(run) for run in runs)
            items = take(working).objects
            assert items, "nothing is taken any more"
            assert sum(item.size or 0 for item in items if item.size != whole) * 2 <= whole
            if len(taken) < FEW // 2:
                others = take(waiting)
                assert others.objects == ()
                assert isinstance(others.waiting, NoSpaceYetError)
            for item in items:
                if left.get(item.key):
                    left[item.key] -= 1
                    place.ledger.release(item.id, runs[0], "Amazon answers SlowDown", in_vain=True)
                else:
                    end(place, runs[0], item, can_fit=item.size != whole)
                taken.append(item)
            runs.rotate()
        note(KIND, turns_judged(place, taken, put_off), count + 1)


def turns_judged(place: Installation, taken: list[LedgerObject], put_off: Mapping[str, int]) -> Findings:
    """Judge that each work had its turn, by its copy's expiry, and another one each time that it was put off."""
    times = Counter(item.key for item in taken)
    found = Findings(duplicated=[key for key, count in times.items() if count != 1 + put_off.get(key, 0)])
    found.lost += [item.key for item in place.ledger.objects() if not item.phase.is_terminal]
    firsts = list({item.id: item.restore_expiry for item in taken}.values())
    assert firsts == sorted(map(expiry, place.ledger.objects()))
    return found


def end(place: Installation, run: Run, item: LedgerObject, *, can_fit: bool) -> None:
    if can_fit:
        require_space(place.context(run), item, item.size or 0)
        place.ledger.advance(item.id, run, Phase.SYNCED, "done")
        return
    with pytest.raises(TooLargeError, match=r"needs 191\.9 GiB for its zip and contents, but .* has 95\.9 GiB in all"):
        require_space(place.context(run), item, item.size or 0)
    place.ledger.fail(item.id, run, "it can never fit", "")
