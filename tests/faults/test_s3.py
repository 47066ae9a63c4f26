"""S3 in trouble while the pipeline runs: what passes is put off and done later, the rest fails in words."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import Scene, Scenes
from tests.faults.trouble import Trouble
from tests.support.aws import Site, noise
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.pipeline import Bagger

from glacier_sync.pipeline import Done, Failed, RetryLater

IN_FIRST_RANGE = 1000


PASSING = [
    Trouble("S3: 503 SlowDown", {"on": "GET", "status": 503, "code": "SlowDown"}, "Amazon answers SlowDown"),
    Trouble("S3: 500 InternalError", {"on": "GET", "status": 500}, "Amazon answers InternalError"),
    Trouble("S3: the lookup is refused for a while", {"on": "HEAD", "status": 503}, "Amazon answers 503"),
    Trouble("S3: a byte is wrong", {"on": "GET", "flip": IN_FIRST_RANGE}, "arrived damaged"),
    Trouble("S3: access is denied", {"on": "GET", "status": 403, "code": "AccessDenied"}, "access is denied"),
    Trouble("S3: the credentials have expired", {"on": "GET", "status": 400, "code": "ExpiredToken"}, "renew"),
    # boto3 asks for the bucket's region then, which is refused as well.
    Trouble("S3: the credentials have expired", {"on": "HEAD", "status": 400, "passed": False}, "renew", times=2),
    Trouble(
        "S3: this machine's clock is wrong",
        {"on": "GET", "status": 403, "code": "RequestTimeTooSkewed"},
        "set this machine's clock right",
    ),
]
# What an answer to HEAD says by its status alone; the first part is looked up to know their sizes.
LOOKUPS = ["HEAD", "partNumber=1"]
ENDING = [
    Trouble("S3: the object is deleted", {"status": 404}, "it was deleted or renamed since it was announced"),
    Trouble("S3: the object is replaced", {"status": 412}, "it was replaced since it was announced"),
]
OVERCOME = [
    Trouble("S3: a connection is reset", {"on": "GET", "keep": IN_FIRST_RANGE, "reset": True}),
    Trouble("S3: an answer is cut short", {"on": "GET", "keep": IN_FIRST_RANGE}),
    Trouble("S3: an answer trickles", {"on": "GET", "pause": 0.05}),
]


@pytest.fixture
def scene(scenes: Scenes, proxy: FaultProxy, bag: Bagger) -> Iterator[Scene]:
    """A bag that is read in three ranges, one after the other."""
    made = bag("W1TEST01", change=lambda work: (work / "images" / "noise.bin").write_bytes(noise(5 * 2**19)))
    scenes.store(made)
    with scenes.scene(made, download_part_mib=1, download_streams=1) as made_scene:
        yield made_scene


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_trouble_that_passes(scene: Scene, proxy: FaultProxy, note: Note, trouble: Trouble) -> None:
    proxy.faults.extend(trouble.faults())
    (outcome,) = scene.place.run().outcomes.values()
    assert not proxy.faults
    assert isinstance(outcome, RetryLater)
    assert trouble.says in outcome.reason
    assert [item.claimed_by for item in scene.place.ledger.objects()] == [None]
    (outcome,) = scene.place.run().outcomes.values()
    assert isinstance(outcome, Done)
    note(trouble.kind, invariants.in_the_end(scene))


@pytest.mark.parametrize("trouble", OVERCOME, ids=str)
def test_trouble_that_is_overcome(scene: Scene, proxy: FaultProxy, note: Note, trouble: Trouble) -> None:
    proxy.faults.extend(trouble.faults())
    (outcome,) = scene.place.run().outcomes.values()
    assert not proxy.faults
    assert isinstance(outcome, Done)
    note(trouble.kind, invariants.in_the_end(scene))


@pytest.fixture
def in_parts(scenes: Scenes, proxy: FaultProxy, bag: Bagger, aws: Site) -> Iterator[Scene]:
    """A bag that was put into the bucket in two parts."""
    made = bag("W1TEST01")
    content = made.zip_path.read_bytes()
    aws.put_parts(made.key, [content[:1000], content[1000:]])
    with scenes.scene(made) as made_scene:
        yield made_scene


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("trouble", ENDING, ids=str)
def test_a_lookup_that_ends_it(in_parts: Scene, proxy: FaultProxy, note: Note, lookup: str, trouble: Trouble) -> None:
    proxy.faults.append(Fault(on=lookup, **trouble.answer))
    (outcome,) = in_parts.place.run().outcomes.values()
    assert not proxy.faults
    assert isinstance(outcome, Failed)
    assert trouble.says in outcome.reason
    note(trouble.kind, invariants.in_the_end(in_parts, hopeless=True))


@pytest.mark.parametrize("lookup", ["HEAD", pytest.param("partNumber=1", marks=pytest.mark.slow_faults)])
def test_a_lookup_that_is_denied_for_a_while(in_parts: Scene, proxy: FaultProxy, note: Note, lookup: str) -> None:
    proxy.faults.append(Fault(on=lookup, status=403))
    (outcome,) = in_parts.place.run().outcomes.values()
    assert not proxy.faults
    assert isinstance(outcome, RetryLater)
    assert "access is denied" in outcome.reason
    assert isinstance(in_parts.place.run().outcomes[1], Done)
    note("S3: access is denied", invariants.in_the_end(in_parts))


def test_a_byte_that_is_always_wrong(scene: Scene, proxy: FaultProxy, note: Note) -> None:
    """It is tried a limited number of times, and then fails in words."""
    most = scene.place.settings.max_unknown_errors
    for times in range(1, most + 1):
        proxy.faults.append(Fault(on="GET", flip=IN_FIRST_RANGE))
        (outcome,) = scene.place.run().outcomes.values()
        assert not proxy.faults
        assert isinstance(outcome, Failed if times == most else RetryLater)
    assert "arrived damaged" in outcome.reason
    assert f"{most} times" in outcome.reason
    note("S3: a byte is always wrong", invariants.in_the_end(scene, hopeless=True), most)


@pytest.mark.slow_faults
def test_an_answer_that_never_comes(scene: Scene, proxy: FaultProxy, note: Note) -> None:
    silent = Fault(on="GET", release=Event())
    proxy.faults.append(silent)
    (outcome,) = scene.place.run().outcomes.values()
    silent.release.set()
    assert isinstance(outcome, RetryLater)
    assert "doesn't answer" in outcome.reason
    assert isinstance(scene.place.run().outcomes[1], Done)
    note("S3: an answer never comes", invariants.in_the_end(scene))


@pytest.mark.parametrize("ranges", [0, 2])
def test_an_object_that_is_replaced(scene: Scene, proxy: FaultProxy, note: Note, ranges: int) -> None:
    """After it was looked up, and between two ranges."""
    (old,) = scene.bags
    content = old.zip_path.read_bytes()
    replaced = Fault(on="GET", first=lambda: scene.place.site.put(old.key, content + b"another"))
    proxy.faults.extend([*(Fault(on="GET") for _ in range(ranges)), replaced])
    (outcome,) = scene.place.run().outcomes.values()
    scene.place.site.put(old.key, content)
    assert isinstance(outcome, Failed)
    assert "it was replaced since it was announced" in outcome.reason
    note("S3: the object is replaced", invariants.in_the_end(scene, hopeless=True))


def test_an_object_that_is_deleted(scene: Scene, proxy: FaultProxy, note: Note) -> None:
    proxy.faults.append(Fault(on="GET", status=404, code="NoSuchKey"))
    (outcome,) = scene.place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert "it was deleted or renamed since it was announced" in outcome.reason
    note("S3: the object is deleted", invariants.in_the_end(scene, hopeless=True))


@pytest.mark.parametrize("ranges", [0, 2])
def test_a_restored_copy_that_expires(scene: Scene, proxy: FaultProxy, note: Note, ranges: int) -> None:
    """Before the download, and in the middle of it."""
    expired = Fault(on="GET", status=403, code="InvalidObjectState")
    proxy.faults.extend([*(Fault(on="GET") for _ in range(ranges)), expired])
    (outcome,) = scene.place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert "the copy has expired; request its restore" in outcome.reason
    note("S3: the restored copy has expired", invariants.in_the_end(scene, hopeless=True))
