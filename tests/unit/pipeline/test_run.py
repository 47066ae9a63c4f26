"""The whole pipeline in one process, works named by hand, and the fixity of what is archived."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.pipeline import STAMP, Bag, Bagger, Installation, is_archived, messages_left, queue_entry, tree

from glacier_sync import bags, pipeline
from glacier_sync.errors import ConfigurationError, PermanentError
from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import Done, Failed, Outcome, RetryLater, fixity
from glacier_sync.pipeline import run as pipeline_run
from glacier_sync.pipeline.by_hand import sync_works
from glacier_sync.pipeline.report import report
from glacier_sync.pipeline.work_sync import WorkResult
from glacier_sync.works import staging_key

RID = "W1TEST01"


def quiet(_done: int, _in_all: int) -> None:
    """Take progress that a test doesn't look at."""


# --- run ------------------------------------------------------------------------


def test_a_restore_from_glacier_becomes_an_archived_work(place: Installation, bag: Bagger) -> None:
    made = bag(RID)
    place.site.client.put_archived(made.zip_path, place.site.bucket, made.key)
    place.site.client.request_restore(place.site.bucket, made.key)
    until = time.monotonic() + 60
    while not messages_left(place.site) and time.monotonic() < until:
        time.sleep(0.01)
    tally = place.run()
    assert [type(outcome) for outcome in tally.outcomes.values()] == [Done]
    assert is_archived(place, made.works[0])
    assert place.kinds(1) == [
        "restored",
        "claimed",
        "downloaded",
        "works_found",
        "debagged",
        "work_updated",
        "note",
        "work_updated",
        "synced",
    ]


def test_each_object_has_its_own_outcome(place: Installation, bag: Bagger) -> None:
    good, gone, late = bag("W1TEST01"), bag("W1TEST02"), bag("W1TEST27")
    for made in (good, gone, late):
        place.restored(made)
    place.site.client.s3.delete_object(Bucket=place.site.bucket, Key=gone.key)
    place.archived("W1TEST27").parent.parent.rmdir()
    told: dict[str, type[Outcome]] = {}

    def note(item: LedgerObject, outcome: Outcome) -> None:
        told[item.key] = type(outcome)

    tally = pipeline_run.run(place.context(last_try=True), note)
    assert told == {good.key: Done, gone.key: Failed, late.key: RetryLater}
    assert {number: type(outcome) for number, outcome in tally.outcomes.items()} == {1: Done, 2: Failed, 3: RetryLater}
    assert [tally.count(kind) for kind in (Done, Failed, RetryLater)] == [1, 1, 1]
    assert {item.claimed_by for item in place.ledger.objects()} == {None}
    assert is_archived(place, good.works[0])


def test_a_run_tells_of_queues_that_cannot_be_read(place: Installation, bag: Bagger) -> None:
    place.read_queues({**queue_entry(place.site), "name": "broken", "queue": "nothing"}, queue_entry(place.site))
    place.restored(bag(RID))
    tally = place.run()
    assert tally.count(Done) == 1
    assert [type(problem).__name__ for problem in tally.problems] == ["QueueUnavailableError"]


def test_more_than_a_run_takes_at_once(place: Installation, bag: Bagger) -> None:
    works = [bag(f"W1TEST0{number}") for number in range(1, 4)]
    for made in works:
        place.restored(made)
    tally = place.run(max_objects_per_run=1, max_downloads=1)
    assert tally.count(Done) == len(tally.outcomes) == 3
    assert all(is_archived(place, made.works[0]) for made in works)
    assert messages_left(place.site) == 0
    assert pipeline_run.Tally() == place.run()


def test_what_has_to_wait_hides_nothing_behind_it(place: Installation, bag: Bagger) -> None:
    """The archive's part that the first works belong to isn't mounted, and a run takes one object at a time."""
    place.archived("W1TEST27").parent.parent.rmdir()
    for rid in ("W1TEST27", "W1TEST28", "W1TEST01"):
        place.restored(bag(rid))
    tally = place.run(max_objects_per_run=1)
    assert [type(outcome) for outcome in tally.outcomes.values()] == [RetryLater, RetryLater, Done]
    assert [(item.phase, item.claimed_by) for item in place.ledger.objects()] == [
        ("debagged", None),
        ("debagged", None),
        ("synced", None),
    ]


def test_an_object_that_is_taken_away_stops_no_other(place: Installation, bag: Bagger) -> None:
    """Another run takes it at the very moment at which it fails."""
    other = Run.of_dag_run("dag", "other")
    for rid in ("W1TEST01", "W1TEST02"):
        place.restored(bag(rid))
    place.site.client.s3.delete_object(Bucket=place.site.bucket, Key=staging_key("W1TEST01"))
    context = place.context(last_try=True)

    def take_away(_stage: str, number: int) -> Callable[[int, int], None]:
        if number == 1:
            context.ledger.release(1, context.run, "given back by hand")
            context.ledger.hold(1, other)
            raise PermanentError("it has failed")
        return quiet

    place.site.put(staging_key("W1TEST01"), bag("W1TEST01").zip_path.read_bytes())
    tally = pipeline_run.run(replace(context, progress=take_away), lambda *_: None)
    assert {number: type(outcome) for number, outcome in tally.outcomes.items()} == {1: RetryLater, 2: Done}
    item = place.ledger.object(1)
    assert (item.phase, item.claimed_by) == ("restored", other.name)


def test_opened_reads_the_environment(place: Installation) -> None:
    with pipeline.opened(Run.of_dag_run("dag", "run"), STAMP, last_try=True) as context:
        assert context.settings == place.settings
        assert (context.run.name, context.logical_date, context.last_try) == ("dag/run", STAMP, True)
        assert context.ledger.objects() == []


def test_the_pipelines_light_part_imports_nothing_heavy() -> None:
    """Airflow reads the DAG file, which imports the pipeline, every few seconds."""
    script = (
        "import sys, glacier_sync.pipeline; "
        "print([name for name in ('boto3', 'botocore', 'PIL', 'moto', 'airflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- report ---------------------------------------------------------------------


def test_a_report_tells_how_far_an_object_has_come(place: Installation, bag: Bagger) -> None:
    place.restored(bag("W1TEST01", "W1TEST02"))
    pipeline.get_restored_object_messages(place.context())
    found = report(place.ledger.object(1))
    assert (found.name, found.phase, [step.phase for step in found.reached]) == (
        "W1TEST01.bag.zip",
        "restored",
        ["restored"],
    )
    assert found.claimed_by == Run.of_this_process().name
    place.run()
    found = report(place.ledger.object(1))
    assert (found.name, found.phase, found.claimed_by) == ("W1TEST01, W1TEST02", "synced", None)
    assert [step.phase for step in found.reached] == ["restored", "downloaded", "debagged", "synced"]
    moments = [step.on for step in found.reached[1:]]
    assert moments == sorted(moments)


def test_a_report_tells_why_an_object_failed(place: Installation, bag: Bagger) -> None:
    made = bag(RID)
    place.restored(made)
    place.site.client.s3.delete_object(Bucket=place.site.bucket, Key=made.key)
    place.run()
    found = report(place.ledger.object(1))
    assert found.phase == "failed"
    assert "there is no such object" in (found.reason or "")
    assert "404" in (found.cause or "")


# --- by hand --------------------------------------------------------------------


def unpacked(place: Installation, made: Bag) -> list[Path]:
    """Unpack a bag into a staging folder."""
    return [work.path for work in bags.unbag(made.zip_path, place.home / "staging", workers=1)]


def test_unpacked_works_are_synced_by_hand(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    results = sync_works(place.settings, unpacked(place, made), STAMP, quiet)
    assert results == [WorkResult(work.name, "Passed", None) for work in made.works]
    assert all(is_archived(place, work) for work in made.works)
    assert sync_works(place.settings, unpacked_at(place), STAMP, quiet) == results


def unpacked_at(place: Installation) -> list[Path]:
    return sorted(path for path in (place.home / "staging").iterdir() if path.suffix != ".bag")


def test_works_by_hand_by_a_relative_path(place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = unpacked(place, bag(RID))
    monkeypatch.chdir(folder.parent)
    assert sync_works(place.settings, [Path(RID)], STAMP, quiet) == [WorkResult(RID, "Passed", None)]


def test_a_damaged_work_is_not_synced_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag("W1TEST01", "W1TEST02"))
    next(folders[0].rglob("*.jpg")).write_bytes(b"damaged")
    first, second = sync_works(place.settings, folders, STAMP, quiet)
    assert first == WorkResult(
        "W1TEST01",
        None,
        "W1TEST01 isn't what its bag's manifest says: 1 changed (archive/W1TEST01-I0001/I00010001.jpg); "
        "unpack its bag again",
    )
    assert second == WorkResult("W1TEST02", "Passed", None)
    assert not place.archived("W1TEST01").exists()


def test_a_different_work_is_refused_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    (place.archived(RID) / "images").mkdir(parents=True)
    (result,) = sync_works(place.settings, folders, STAMP, quiet)
    assert (result.rid, result.audit) == (RID, None)
    assert "the archive has a different copy" in (result.failure or "")
    assert tree(place.archived(RID)) == {}


def test_an_audit_that_fails_by_hand(place: Installation, bag: Bagger) -> None:
    def remove_page(work: Path) -> None:
        for page in work.rglob("*0002.*"):
            page.unlink()

    (result,) = sync_works(place.settings, unpacked(place, bag(RID, change=remove_page, images=3)), STAMP, quiet)
    assert (result.rid, result.audit) == (RID, "Failed")
    assert (result.failure or "").startswith(f"{RID} failed its audit: ")


def test_what_cannot_be_synced_by_hand_changes_nothing(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    no_work = place.home / "staging" / "W1NOTHING"
    no_work.mkdir()
    no_bag = place.home / "staging" / "W1NOBAG"
    (no_bag / "images").mkdir(parents=True)
    for wrong, words in (
        ([*folders, no_work], "W1NOTHING isn't a work: expected a directory that has archive, images, "),
        ([*folders, no_bag], "W1NOBAG has no manifest to verify it by: expected W1NOBAG/W1NOBAG.bag"),
        ([*folders, place.home / "elsewhere" / RID], f"{RID} is named twice: expected each work once"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            sync_works(place.settings, wrong, STAMP, quiet)
    assert not place.archived(RID).exists()
    assert not place.settings.log_dir.exists()


def test_an_archive_that_goes_away_while_works_are_synced_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    root = place.archived(RID).parent.parent
    root.rmdir()
    with pytest.raises(ConfigurationError, match="is it mounted"):
        sync_works(place.settings, folders, STAMP, quiet)
    assert not root.exists()


# --- fixity ---------------------------------------------------------------------


def test_the_fixity_of_an_archived_work(place: Installation, bag: Bagger) -> None:
    place.synced(bag(RID))
    to = place.archived(RID)
    for name in (RID, str(to), os.path.relpath(to)):
        found = fixity.check(place.settings, place.ledger, name)
        assert (found.rid, found.path.resolve(), found.intact) == (RID, to, True)
    next(to.rglob("*.jpg")).write_bytes(b"damaged")
    next(to.rglob("*.tif")).unlink()
    (to / "added.txt").touch()
    found = fixity.check(place.settings, place.ledger, RID)
    assert not found.intact
    assert found.differences.changed == (f"archive/{RID}-I0001/I00010001.jpg",)
    assert found.differences.missing == (f"images/{RID}-I0001/I00010001.tif",)
    assert found.differences.added == ("added.txt",)


def test_fixity_of_what_is_not_known(place: Installation) -> None:
    with pytest.raises(ConfigurationError, match="isn't there: expected an archived work; name it by its RID or its"):
        fixity.check(place.settings, place.ledger, RID)
    (place.archived(RID) / "images").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=f"no manifest of {RID} is known: expected "):
        fixity.check(place.settings, place.ledger, RID)
    with pytest.raises(ConfigurationError, match="can't be a work's RID"):
        fixity.check(place.settings, place.ledger, "..")
