"""Versions of one object: each is taken for itself, never two at once, and none is lost silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.invariants import ONCE, Findings
from tests.faults.scene import Scene, Scenes
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.pipeline import Bag, Bagger, change_page, is_archived, message, record

from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline.intake import take

KIND = "a second version of an object"
RID = "W1TEST01"
ANOTHER = Run.of_dag_run("dag", "another")


@dataclass(frozen=True)
class Second:
    """A second version: whether its content differs, what the site does then, and what becomes of it."""

    name: str
    differs: bool = False
    replace: bool = False
    reason: str = ""

    @property
    def is_archived(self) -> bool:
        """Whether the archive has this version in the end, rather than the first."""
        return not self.reason

    def __str__(self) -> str:
        return self.name


SECONDS = [
    Second("equal"),
    Second("different", differs=True, reason=f"{RID}: the archive has a different copy at .*: 1 changed"),
    Second("different and to be replaced", differs=True, replace=True),
]


@pytest.fixture
def made(bag: Bagger) -> Bag:
    return bag(RID)


@pytest.fixture
def scene(scenes: Scenes, proxy: FaultProxy) -> Iterator[Scene]:
    """A bucket that keeps versions."""
    with scenes.scene() as made_scene:
        site = made_scene.place.site
        enabled = {"Status": "Enabled"}
        site.client.s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration=enabled)  # type: ignore[arg-type]
        yield made_scene


def announce(scene: Scene, bag: Bag) -> str:
    """Store a new version of the object, and announce it; return the message."""
    site = scene.place.site
    site.put(bag.key, bag.zip_path.read_bytes())
    announced = record(site, bag.key)
    newest = site.client.s3.head_object(Bucket=site.bucket, Key=bag.key)["VersionId"]
    announced["s3"]["object"]["versionId"] = newest
    site.send(message(announced))
    return message(announced)


def version_of(second: Second, made: Bag, bag: Bagger) -> Bag:
    return bag(RID, change=change_page) if second.differs else made


def judged(scene: Scene, second: Second, versions: list[Bag]) -> Findings:
    """Judge that both versions came to an end of their own, and that the archive has one of them."""
    found, items = invariants.in_the_end(scene), scene.place.ledger.objects()
    if len({item.version_id for item in items}) != len(versions):
        found.lost.append(f"of {len(versions)} versions the ledger has {items}")
    ends = [item.failure_reason or item.phase for item in items]
    if ends[0] != Phase.SYNCED or not re.match(second.reason or Phase.SYNCED, ends[1]):
        found.lost.append(f"the versions ended as {ends}")
    for item in items:
        kinds = scene.place.kinds(item.id)
        found.duplicated += [f"{item.key} was {kind} more than once" for kind in ONCE if kinds.count(kind) > 1]
    if not is_archived(scene.place, versions[second.is_archived].works[0]):
        found.unverified.append(f"{RID} in the archive isn't the version that was synced last")
    return found


@pytest.mark.parametrize("second", SECONDS, ids=str)
def test_a_second_version_that_arrives_while_the_first_is_in_work(
    scene: Scene, proxy: FaultProxy, made: Bag, bag: Bagger, *, note: Note, second: Second
) -> None:
    """Another run comes for it, and leaves it to whoever is done with the first."""
    scene.place.say({"sync": {"replace": second.replace}})
    versions = [made, version_of(second, made, bag)]
    announce(scene, versions[0])
    taken = []

    def arrive() -> None:
        announce(scene, versions[1])
        taken.append(take(scene.place.context(ANOTHER)))

    proxy.faults.append(Fault(on="GET", first=arrive))
    outcomes = scene.place.run().outcomes
    assert [each.objects for each in taken] == [()]
    assert list(outcomes) == [1, 2]
    note(KIND, judged(scene, second, versions))


def test_a_second_version_that_arrives_when_the_first_is_synced(
    scene: Scene, made: Bag, bag: Bagger, note: Note
) -> None:
    """The message about the first comes once more behind it, and changes nothing."""
    second = SECONDS[-1]
    scene.place.say({"sync": {"replace": second.replace}})
    versions = [made, version_of(second, made, bag)]
    first = announce(scene, versions[0])
    scene.place.run()
    announce(scene, versions[1])
    scene.place.site.send(first)
    scene.place.run()
    assert scene.place.run().outcomes == {}
    note(KIND, judged(scene, second, versions))
