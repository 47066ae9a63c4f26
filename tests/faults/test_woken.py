"""Runs that are stopped for longer than their lease, and wake up when a newer object's work is synced."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.faults.scene import SECONDS, Scene, Scenes
from tests.support.aws import REGION, Site
from tests.support.pipeline import Bag, Bagger, is_archived, message, record, tree

from glacier_sync import pipeline
from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline import Done, Outcome, RetryLater, fixity, sync
from glacier_sync.pipeline.intake import take

KIND = "a run sleeps longer than its lease"
RID = "W1TEST01"
ANOTHER = Run.of_dag_run("dag", "another")
LEASE_MINUTES = 0.05
# The second is restored later, and its copy expires sooner, so that it is taken first.
SECOND = {"expiry": "2026-03-05T00:00:00.000Z", "eventTime": "2026-03-03T08:00:00.000Z"}


@pytest.fixture
def versions(bag: Bagger) -> list[Bag]:
    """Three of one work, each with other pages than the one before."""
    return [bag(RID, images=3, change=lambda work, more=more: change_pages(work, more)) for more in (b"", b"\0", b"1")]


def change_pages(work: Path, more: bytes) -> None:
    for page in [*work.rglob("*.jpg"), *work.rglob("*.tif")]:
        page.write_bytes(page.read_bytes() + more)


def announce(scene: Scene, bag: Bag, **changed: Any) -> None:
    """Store a bag in the place of the one before, and announce it."""
    site = scene.place.site
    site.put(bag.key, bag.zip_path.read_bytes())
    site.send(message(record(site, bag.key, **changed)))


def other_syncs(scene: Scene) -> Outcome:
    """Let another run take the newest object alone; return what its sync comes to."""
    context = scene.place.context(ANOTHER, max_objects_per_run=1)
    (item,) = take(context).objects
    assert item.id == 2
    for stage in (pipeline.download_from_messages, pipeline.debag_downloads):
        assert isinstance(stage(context, item.id), Done)
    return sync.sync(context, item.id)


def wake(sleeper: Any) -> None:
    os.killpg(sleeper.pid, signal.SIGCONT)
    sleeper.join(SECONDS)
    assert sleeper.exitcode == 0


def judged(scene: Scene, newest: Bag) -> Findings:
    """Judge that the newest object is synced, once, and that nothing is left of the other."""
    scene.recover()
    found, place = Findings(), scene.place
    older, newer = place.ledger.objects()
    if newer.phase is not Phase.SYNCED or not (older.phase is Phase.SYNCED or older.failure_reason):
        found.lost.append(f"the objects are {older.phase} ({older.failure_reason}) and {newer.phase}")
    if place.kinds(newer.id).count("synced") != 1:
        found.duplicated.append(f"object {newer.id} was more than once synced")
    archived = place.archived(RID)
    if archived.exists():
        if not is_archived(place, newest.works[0]) or not fixity.check(place.settings, place.ledger, RID).intact:
            found.unverified.append(f"{RID} in the archive isn't the newest one")
        found.left += [f"{path} in the archive" for path in archived.parent.iterdir() if path != archived]
    found.left += place.working_data()
    return found


def test_a_run_that_wakes_up_between_its_copy_and_its_judgement(
    scenes: Scenes, versions: list[Bag], note: Note
) -> None:
    """Its copy has been replaced meanwhile: it takes that neither for its own nor for damaged."""
    _, first, second = versions
    with scenes.scene(lease_minutes=LEASE_MINUTES) as scene:
        scene.place.say({"sync": {"replace": True}})
        announce(scene, first)
        sleeper = scene.stopped("pipeline.destination:locked open")
        assert is_archived(scene.place, first.works[0])
        time.sleep(LEASE_MINUTES * 60 + 0.1)
        announce(scene, second, **SECOND)
        assert isinstance(other_syncs(scene), Done)
        wake(sleeper)
        assert is_archived(scene.place, second.works[0])
        note(KIND, judged(scene, second))


@pytest.mark.slow_faults
def test_a_run_that_wakes_up_in_the_middle_of_a_replacement(scenes: Scenes, versions: list[Bag], note: Note) -> None:
    """While it sleeps nobody can write beside it; the newest one is synced after it."""
    earlier, first, second = versions
    with scenes.scene(lease_minutes=LEASE_MINUTES) as scene:
        scene.replaces(earlier)
        announce(scene, first)
        folder = scene.place.home / "bin"
        folder.mkdir()
        (folder / "syncOneWork.sh").symlink_to(scene.place.settings.bin_dir / "syncOneWork.sh")
        real = shutil.which("rsync")
        (folder / "rsync").write_text(
            f'#!/bin/bash\n{real} --exclude="*.tif" "$@" && touch {folder}/told && kill -STOP 0\nexec {real} "$@"\n'
        )
        (folder / "rsync").chmod(0o755)
        halting = replace(scene, environment={**scene.environment, "GLACIER_SYNC_BIN_DIR": str(folder)})
        sleeper = halting.stopped("")
        assert (folder / "told").exists()
        mixed = tree(scene.place.archived(RID), without=[f"{RID}.bag/"])
        assert mixed not in (tree(earlier.works[0]), tree(first.works[0]))
        time.sleep(LEASE_MINUTES * 60 + 0.1)
        announce(scene, second, **SECOND)
        outcome = other_syncs(scene)
        assert isinstance(outcome, RetryLater)
        assert "another sync of this work is running" in outcome.reason
        wake(sleeper)
        assert isinstance(sync.sync(scene.place.context(ANOTHER), 2), Done)
        note(KIND, judged(scene, second))


def test_a_run_that_wakes_up_before_it_copies_to_the_web(
    scenes: Scenes, aws: Site, versions: list[Bag], note: Note
) -> None:
    """Where nothing goes to the archive, whose lock would keep the others away."""
    _, first, second = versions
    bucket = f"web.{aws.bucket}"
    aws.client.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
    with scenes.scene(lease_minutes=LEASE_MINUTES, web_parent=f"s3://{bucket}/0") as scene:
        scene.place.say({"sync": {"archive": False}})
        announce(scene, first)
        sleeper = scene.stopped("bash copy_to_web")
        time.sleep(LEASE_MINUTES * 60 + 0.1)
        announce(scene, second, **SECOND)
        assert isinstance(other_syncs(scene), Done)
        wake(sleeper)
        found = judged(scene, second)
        if web_images(aws, bucket) != images(second):
            found.unverified.append("the web's images aren't those of the newest")
        note(KIND, found)


def web_images(aws: Site, bucket: str) -> dict[str, str]:
    prefix = f"0/{RID}/images/"
    listed = aws.client.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {each["Key"].removeprefix(prefix): each["ETag"].strip('"') for each in listed}


def images(bag: Bag) -> dict[str, str]:
    folder = bag.works[0] / "images"
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in tree(folder)}
