"""The whole pipeline in one process, and the fixity of what is archived."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.pipeline import STAMP, Bagger, Installation, is_archived, messages_left, queue_entry

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError, PermanentError
from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import Done, Failed, Outcome, RetryLater, fixity
from glacier_sync.pipeline import run as pipeline_run
from glacier_sync.pipeline.report import report
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
        ("restored", None),
        ("restored", None),
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
