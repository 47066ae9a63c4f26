"""Claims: who works on an object, and what a run may record of one."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.ledger import announced
from tests.support.pipeline import (
    Bagger,
    Installation,
    Vanishing,
    is_archived,
    kill,
    start_run,
)
from tests.support.stages import FIRST, SECOND, raising, stage

from glacier_sync import pipeline
from glacier_sync.errors import NoRoomError, PermanentError, TransientError
from glacier_sync.ledger import ClaimLostError, LedgerObject
from glacier_sync.pipeline import Context, Done, RetryLater
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.lease import Lease
from glacier_sync.pipeline.stage import run_stage
from glacier_sync.pipeline.sync import sync
from glacier_sync.works import staging_key


def test_two_runs_never_hold_the_same_object(place: Installation, bag: Bagger) -> None:
    for rid in ("W1TEST01", "W1TEST02", "W1TEST03"):
        place.restored(bag(rid))
    first = take(place.context(FIRST, max_objects_per_run=2)).objects
    second = take(place.context(SECOND)).objects
    assert [item.key for item in first] == [staging_key("W1TEST01"), staging_key("W1TEST02")]
    assert [item.key for item in second] == [staging_key("W1TEST03")]
    for item in first:
        outcome = pipeline.download_from_messages(place.context(SECOND), item.id)
        assert isinstance(outcome, RetryLater)
        assert f"is in the hands of {FIRST.name}" in outcome.reason
    assert place.working_data() == []


def test_works_whose_archive_is_away_keep_no_others_waiting(place: Installation, bag: Bagger) -> None:
    away, here = [bag("W1TEST76"), bag("W1TEST77")], bag("W1TEST01")
    shutil.rmtree(place.archived("W1TEST76").parents[1])
    for made in (*away, here):
        place.restored(made)
    for run, expected in ((FIRST, [RetryLater, RetryLater]), (SECOND, [Done, RetryLater])):
        context = place.context(run, last_try=True, max_objects_per_run=2)
        claims, _ = pipeline.get_restored_object_messages(context)
        assert [type(through(context, claim["object"])) for claim in claims] == expected
    assert is_archived(place, here.works[0])


def through(context: Context, number: int) -> pipeline.Outcome:
    """Bring an object through all stages, as far as it comes."""
    outcome = pipeline.download_from_messages(context, number)
    for later in (pipeline.debag_downloads, sync):
        outcome = later(context, number) if isinstance(outcome, Done) else outcome
    return outcome


def test_a_claim_s_name_is_one_line_that_airflow_can_store(place: Installation) -> None:
    place.ledger.record("test", "m1", [announced(f"a/W1TEST01.\x1b[31m\n{'x' * 300}.bag.zip")], [])
    ((claim,), _) = pipeline.get_restored_object_messages(place.context(FIRST))
    assert len(claim["name"]) == 250
    assert claim["name"].startswith(r"W1TEST01.\x1b[31m\nxxx")
    assert claim["name"].endswith("xxx.bag.zip")


@pytest.mark.parametrize(("error", "first"), [(TransientError("away"), 2), (NoRoomError("too little"), 1)])
def test_only_a_lack_of_room_costs_an_object_no_turn(
    place: Installation, bag: Bagger, error: TransientError, first: int
) -> None:
    for rid in ("W1TEST01", "W1TEST02"):
        place.restored(bag(rid))
    (item,) = take(place.context(FIRST, max_objects_per_run=1)).objects
    run_stage(place.context(FIRST, last_try=True), raising(error), item.id)
    assert [item.id for item in take(place.context(SECOND, max_objects_per_run=1)).objects] == [first]


def test_a_dag_run_that_is_tried_again_gets_its_own(place: Installation, bag: Bagger) -> None:
    place.restored(bag("W1TEST01"))
    once = pipeline.get_restored_object_messages(place.context(FIRST))
    assert once == ([{"object": 1, "name": "W1TEST01.bag.zip"}], [])
    assert pipeline.get_restored_object_messages(place.context(FIRST)) == once
    assert pipeline.get_restored_object_messages(place.context(SECOND)) == ([], [])


def test_a_killed_run_on_this_host_frees_its_objects_at_once(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag("W1TEST01")
    place.restored(made)
    with fault_proxy(place.site.url) as proxy:
        release = Vanishing()
        held = Fault(release=release)
        proxy.faults.append(held)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = start_run()
        assert held.held.wait(60)
        assert pipeline.get_restored_object_messages(place.context()) == ([], [])
        kill(process, with_children=True)
        release.set()
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.site.url)
    place.run()
    assert place.kinds(1).count("claimed") == 2
    assert is_archived(place, made.works[0])


def test_what_a_run_that_lost_its_object_does_is_not_recorded(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)

    def taken_away(context: Context, item: LedgerObject) -> None:
        context.ledger.release(item.id, FIRST, "given back by hand")
        context.ledger.hold(item.id, SECOND)

    def permanent(context: Context, item: LedgerObject) -> Done:
        taken_away(context, item)
        raise PermanentError("too late")

    def transient(context: Context, item: LedgerObject) -> Done:
        taken_away(context, item)
        raise TransientError("too late")

    def unknown(context: Context, item: LedgerObject) -> Done:
        taken_away(context, item)
        raise RuntimeError("too late")

    for work in (permanent, transient, unknown):
        outcome = run_stage(place.context(FIRST), stage(work), number)
        assert isinstance(outcome, RetryLater)
        assert f"in the hands of {SECOND.name}" in outcome.reason
        place.ledger.release(number, SECOND, "given back")
    item = place.ledger.object(number)
    assert (item.phase, item.unknown_errors) == ("restored", 0)
    assert not [event for event in place.ledger.events(number) if "too late" in event.message]


def test_a_lease_lost_before_the_sync_leaves_the_archive_alone(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag("W1TEST01"), FIRST)
    place.ledger.release(number, FIRST, "given back by hand")
    place.ledger.hold(number, SECOND)
    outcome = pipeline.plan_sync(place.context(FIRST), number)
    assert isinstance(outcome, RetryLater)
    assert not place.archived("W1TEST01").parent.exists()
    assert place.ledger.object(number).works[0].destination is None


def test_leases_are_renewed_while_a_stage_works(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    before = place.ledger.object(number).lease_until
    assert before
    context = place.context(FIRST, lease_minutes=0.001)
    with Lease(context.settings, context.ledger, FIRST, number):
        until = time.monotonic() + 60
        while place.ledger.object(number).lease_until == before and time.monotonic() < until:
            time.sleep(0.01)
    after = place.ledger.object(number).lease_until
    assert after
    assert after > before


def eventually(is_so: Callable[[], bool]) -> bool:
    """Wait for what another thread or process does."""
    until = time.monotonic() + 60
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    return is_so()


def test_the_ledger_is_told_how_far_a_stage_has_come(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)

    def long_work(context: Context, item: LedgerObject) -> Done:
        progress = context.progress("try_out", item.id)
        for done in (300, 700):
            progress(done, 1000)
            assert eventually(partial(is_told, done))
        context.ledger.note(item.id, context.run, "seen")
        return Done("")

    def is_told(done: int) -> bool:
        found = place.ledger.object(number).progress
        return found is not None and (found.stage, found.pace.done, found.pace.in_all) == ("try_out", done, 1000)

    assert isinstance(run_stage(place.context(FIRST, lease_minutes=0.002), stage(long_work), number), Done)
    assert place.kinds(number)[-1] == "note"


def taken_over(place: Installation, number: int) -> None:
    place.ledger.release(number, FIRST, "given back by hand")
    place.ledger.hold(number, SECOND)


def test_work_on_an_object_that_was_lost_ends_at_the_next_tick(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)

    def endless(context: Context, item: LedgerObject) -> Done:
        progress = context.progress("try_out", item.id)
        taken_over(place, number)
        for done in range(60_000):
            progress(done, 60_000)
            time.sleep(0.001)
        return Done("")

    outcome = run_stage(place.context(FIRST, lease_minutes=0.002), stage(endless), number)
    assert isinstance(outcome, RetryLater)
    assert f"in the hands of {SECOND.name}" in outcome.reason
    assert place.ledger.object(number).claimed_by == SECOND.name


def test_a_process_that_was_stopped_for_longer_than_its_lease_asks_before_it_goes_on(
    place: Installation, bag: Bagger
) -> None:
    """Its thread that renews is stopped as well, so that here it is never begun."""
    number = place.claimed(bag("W1TEST01"), FIRST)
    context = place.context(FIRST, lease_minutes=0.001)
    progress = Lease(context.settings, context.ledger, FIRST, number).watched(context.progress)("try_out", number)
    time.sleep(0.1)
    progress(1, 2)
    taken_over(place, number)
    time.sleep(0.1)
    with pytest.raises(ClaimLostError, match="is no longer in the hands of this process of dag/first"):
        progress(2, 2)


def test_the_lease_lives_on_beside_the_bash_of_a_dag_task(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = place.debagged(bag("W1TEST01"), FIRST)
    monkeypatch.setenv("GLACIER_SYNC_LEASE_MINUTES", "0.02")
    script = f"""
import time
from glacier_sync import pipeline
with pipeline.opened(pipeline.Run.of_dag_run("dag", "first")) as context:
    outcome = pipeline.plan_sync(context, {number})
print("script" in outcome.facts, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as task:
        try:
            assert task.stdout
            assert task.stdout.readline() == "True\n"
            leases = {place.ledger.object(number).lease_until}
            until = time.monotonic() + 60
            while len(leases) < 4 and time.monotonic() < until:
                time.sleep(0.01)
                leases.add(place.ledger.object(number).lease_until)
        finally:
            task.kill()
    assert len(leases) == 4
