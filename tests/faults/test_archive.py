"""The archive away, read-only, slow or out of inodes: works wait for it, whole, and nothing is written elsewhere."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest
from tests.faults import invariants
from tests.faults.cases import Case, boundaries, happen
from tests.faults.conftest import Note
from tests.faults.scene import MOUNT, SECONDS, Scene, Scenes, Strike
from tests.support.disks import remount
from tests.support.pipeline import Bag, Bagger

from glacier_sync.pipeline import RetryLater

RID = "W1TEST01"
# Minutes; a run that gets no turn for three quarters of it loses its object.
SHORT_LEASE = 0.25
# An empty mount point is told from the archive, and no object is blamed for it.
MARKED = {"archive_marker": ".archive", "max_unknown_errors": 1}
MANY = 30


@pytest.fixture
def made(scenes: Scenes, bag: Bagger) -> Bag:
    found = bag(RID)
    scenes.store(found)
    return found


@pytest.fixture
def scene(scenes: Scenes, made: Bag) -> Iterator[Scene]:
    """A bag that is announced, and an archive on a disk of its own."""
    with scenes.scene(made, small="archive") as made_scene:
        yield made_scene


def put_off(scene: Scene) -> str:
    """Run once; return why the work was put off."""
    (outcome,) = scene.place.run().outcomes.values()
    assert isinstance(outcome, RetryLater), outcome
    assert [item.unknown_errors for item in scene.place.ledger.objects()] == [0], outcome
    return outcome.reason


def finished(scene: Scene) -> invariants.Findings:
    """Judge what the next run comes to."""
    scene.recover()
    return invariants.in_the_end(scene)


def test_an_archive_that_is_not_mounted(scene: Scene, note: Note) -> None:
    root = scene.place.archived(RID).parent.parent
    root.rename(root.with_name("elsewhere"))
    assert "is it mounted?" in put_off(scene)
    assert not root.exists()
    root.with_name("elsewhere").rename(root)
    note("archive: not mounted", finished(scene))


def test_an_archive_that_is_replaced_by_an_empty_folder(scenes: Scenes, made: Bag, note: Note) -> None:
    """Before the run, and right before the copy gets its name."""
    with scenes.scene(made, **MARKED) as scene:
        scene.archive_root.rename(scene.archive_away)
        scene.archive_root.mkdir()
        assert "lacks its marker .archive: is it mounted?" in put_off(scene)
        assert list(scene.archive_root.iterdir()) == []
        scene.mend()
        last = next(at for at, place in enumerate(scene.boundaries(), 1) if place.startswith("bash mv "))
        note("archive: replaced by an empty folder", finished(scene))
    note.cases("archive: replaced by an empty folder", happen(scenes, [replaced(made, last)]))


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_an_archive_that_is_replaced_by_an_empty_folder_anywhere(
    scenes: Scenes, made: Bag, note: Note, dice: random.Random
) -> None:
    """While anybody looks at the archive or writes there."""
    reached = boundaries(scenes, made)
    first = reached.index("bash check_place")
    last = max(at for at, place in enumerate(reached) if place.startswith("pipeline.destination:"))
    outcome = happen(scenes, [replaced(made, at) for at in sorted(dice.sample(range(first, last + 2), MANY))])
    note.cases("archive: replaced by an empty folder", outcome)


def replaced(made: Bag, at: int) -> Case:
    return Case([made], [Strike(MOUNT, at=at)], MARKED)


def test_an_archive_that_is_read_only(scene: Scene, note: Note) -> None:
    remount(scene.place.home / "archive", "ro")
    assert "can't be written to" in put_off(scene)
    remount(scene.place.home / "archive", "rw")
    note("archive: read-only", finished(scene))


def test_an_archive_that_is_slow(scenes: Scenes, made: Bag, note: Note) -> None:
    """The sync takes longer than a lease lasts, which is renewed meanwhile."""
    with scenes.scene(made, lease_minutes=SHORT_LEASE) as scene:
        running = scene.stopped("bash copy_to_archive")
        # The run itself goes on, and waits for its sync.
        os.kill(running.pid, signal.SIGCONT)
        time.sleep(1.2 * SHORT_LEASE * 60)
        assert not scene.place.run().outcomes
        os.killpg(running.pid, signal.SIGCONT)
        running.join(SECONDS)
        assert scene.place.kinds().count("claimed") == 1
        note("archive: slow", finished(scene))


def test_an_archive_without_inodes(scene: Scene, note: Note) -> None:
    """One after the other becomes free, until it is enough."""
    archive = scene.place.home / "archive"
    used = sum(1 for _ in archive.rglob("*")) + 1
    times = 0
    for inodes in range(used, used + 12, 3):
        remount(archive, f"nr_inodes={inodes}")
        put_off(scene)
        times += 1
        assert not scene.place.archived(RID).exists()
    remount(archive, "nr_inodes=1000")
    note("archive: no inodes left", finished(scene), times)
