"""Restored copies that expire before they are read: asked for once more, and synced when they are there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from moto.core.utils import utcnow
from moto.s3.models import FakeKey, s3_backends
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.faults.scene import Scene, Scenes, Strike
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.pipeline import ACCOUNT, Bag, Bagger, queue_entry

from glacier_sync.emulator.restores import RESTORED
from glacier_sync.emulator.server import Emulator
from glacier_sync.ledger import Phase
from glacier_sync.pipeline import Waiting

KIND = "S3: an expired copy is restored again"
HOURS = 3600.0
MANY = 20


@pytest.fixture
def made(bag: Bagger) -> Bag:
    return bag("W1TEST01")


@contextmanager
def expiring(scenes: Scenes, made: Bag) -> Iterator[Scene]:
    """Set a scene in which an object is announced whose copy has expired, and may be restored anew."""
    with scenes.scene() as scene:
        site = scene.place.site
        scene.place.read_queues(queue_entry(site, restore={"days": 7, "tier": "Bulk"}))
        site.client.put_archived(made.zip_path, site.bucket, made.key)
        site.client.create_intake(site.bucket, site.queue_name, events=["s3:ObjectRestore:*"])
        expire(scene, made)
        scene.announce(made)
        yield scene


def stored(scene: Scene, made: Bag) -> FakeKey:
    """Return what the emulator has of a bag."""
    key = s3_backends[ACCOUNT]["aws"].get_object(scene.place.site.bucket, made.key)
    assert isinstance(key, FakeKey)
    return key


def readable(scene: Scene, made: Bag) -> None:
    key = stored(scene, made)
    key.status = RESTORED
    key.set_expiry(utcnow() + timedelta(days=7))


def expire(scene: Scene, made: Bag) -> None:
    key = stored(scene, made)
    key.set_expiry(None)
    key.status = None


def requests(proxy: FaultProxy) -> int:
    return sum(method == "POST" and "?restore" in path for method, path, _ in proxy.requests)


def settle(scene: Scene, proxy: FaultProxy) -> Findings:
    """Judge what the next runs come to; a second request would be paid for like the first."""
    scene.recover()
    found = invariants.in_the_end(scene, restores=2)
    if requests(proxy) != 1:
        found.duplicated.append(f"{requests(proxy)} restores were asked for")
    return found


def test_an_expired_copy_that_is_restored_again(
    scenes: Scenes, made: Bag, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It expires while it is read; several runs come while the restore takes its hours."""
    with Emulator(restore_delay=HOURS) as slow, fault_proxy(slow.url) as proxy, expiring(scenes, made) as scene:
        site = scene.place.site
        readable(scene, made)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.faults.append(Fault(on="GET", first=lambda: expire(scene, made)))
        (outcome,) = scene.place.run().outcomes.values()
        assert isinstance(outcome, Waiting)
        assert "a new restore is requested (Bulk, for 7 days)" in outcome.reason
        for _ in range(2):
            assert scene.place.run().outcomes == {}
        assert [item.phase for item in scene.place.ledger.objects()] == [Phase.REQUESTED]
        # The hours have passed.
        expire(scene, made)
        site.client.request_restore(site.bucket, made.key)
        note(KIND, settle(scene, proxy))


def test_a_run_that_is_killed_where_it_asks_for_a_restore(
    scenes: Scenes, made: Bag, note: Note, proxy: FaultProxy
) -> None:
    """The request is sent, and the ledger doesn't know."""
    with expiring(scenes, made) as scene:
        reached = scene.boundaries()
    sent = max(at for at, place in enumerate(reached, 1) if "request_restore" in place)
    struck(scenes, made, note, proxy, sent)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_a_run_that_is_killed_anywhere_before_the_copy_is_there(
    scenes: Scenes, made: Bag, note: Note, *, proxy: FaultProxy, dice: random.Random
) -> None:
    with expiring(scenes, made) as scene:
        last = len(scene.boundaries())
    for at in sorted(dice.sample(range(1, last), MANY)):
        struck(scenes, made, note, proxy, at)


def struck(scenes: Scenes, made: Bag, note: Note, proxy: FaultProxy, at: int) -> None:
    proxy.reset()
    with expiring(scenes, made) as scene:
        assert scene.struck(Strike("group", at=at))
        note(KIND, settle(scene, proxy))
