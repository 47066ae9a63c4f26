"""Two objects of one work: the one that was announced last stays in the archive, in whatever order they come."""

from __future__ import annotations

from dataclasses import replace

from tests.support.ledger import LEASE, HandClock
from tests.support.pipeline import Bag, Bagger, Installation, change_page, is_archived, message, record

from glacier_sync import pipeline
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline import Done, Failed, RetryLater, sync, work_sync

RID = "W1TEST01"


def announce(place: Installation, bag: Bag, key: str, *, minute: int, day: int) -> None:
    """Announce a restored object at a minute; its copy expires on a day."""
    place.site.put(key, bag.zip_path.read_bytes())
    expiry, moment = f"2026-03-{day:02}T00:00:00.000Z", f"2026-03-02T08:{minute:02}:00.000Z"
    place.site.send(message(record(place.site, key, expiry=expiry, eventTime=moment)))


def test_an_older_object_replaces_no_newer_one(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    older, newer = bag(RID), bag(RID, change=change_page)
    announce(place, newer, f"newer/{RID}.bag.zip", minute=9, day=9)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    announce(place, older, f"older/{RID}.bag.zip", minute=1, day=20)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive's different copy at {place.archived(RID)} is newer, of object 1 (newer/{RID}.bag.zip): "
        f"1 changed (archive/{RID}-I0001/I00010001.jpg); forget this one, or have it restored once more if it is the "
        "right one"
    )
    assert is_archived(place, newer.works[0])
    assert place.working_data() == []


def test_an_older_object_writes_over_no_newer_one_on_the_web(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"archive": False}})
    older, newer = bag(RID), bag(RID, change=change_page)
    announce(place, newer, f"newer/{RID}.bag.zip", minute=9, day=9)
    announce(place, newer, f"same/{RID}.bag.zip", minute=2, day=20)
    web = f"s3://{place.site.bucket}/web"
    assert [type(outcome) for outcome in place.run(web_parent=web).outcomes.values()] == [Done, Done]
    announce(place, older, f"older/{RID}.bag.zip", minute=1, day=20)
    (outcome,) = place.run(web_parent=web).outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: what the web has of it is newer, of object 1 (newer/{RID}.bag.zip); forget this one, or have it "
        "restored once more if it is the right one"
    )


def test_what_is_restored_once_more_is_the_newest_again(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    first, second = bag(RID), bag(RID, change=change_page)
    for minute, made in enumerate([first, second, first]):
        announce(place, made, f"{made.zip_path.parent.name}/{RID}.bag.zip", minute=minute, day=9 + minute)
        assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
        assert is_archived(place, made.works[0])


def test_a_judge_that_wakes_up_late_leaves_a_newer_version_alone(place: Installation, bag: Bagger) -> None:
    """Its sync has made the copy; then it sleeps longer than its lease, while another object of the work is synced."""
    place.say({"sync": {"replace": True}})
    clock, one, two = HandClock(), Run.of_dag_run("dag", "one"), Run.of_dag_run("dag", "two")
    older, newer = bag(RID), bag(RID, change=change_page)
    with Ledger(place.settings.ledger_url.get_secret_value(), lease=LEASE, clock=clock) as ledger:
        slept = replace(place, ledger=ledger)
        number = slept.debagged(older, one)
        planned = sync.plan(slept.context(one), number)
        assert isinstance(planned, Done)
        last_line = work_sync.run_script(planned.facts["script"])
        clock.passes(LEASE)
        announce(place, newer, newer.key, minute=9, day=5)
        taken = pipeline.get_restored_object_messages(slept.context(two, max_objects_per_run=1))[0]
        (later,) = (claim["object"] for claim in taken)
        for stage in (pipeline.download_from_messages, pipeline.debag_downloads, sync.sync):
            assert isinstance(stage(slept.context(two), later), Done)
        outcome = sync.judge(slept.context(one), number, last_line)
        assert isinstance(outcome, RetryLater)
        assert f"{place.archived(RID)} has changed since this sync wrote it" in outcome.reason
        assert is_archived(place, newer.works[0])
        refused = sync.sync(slept.context(one), number)
    assert isinstance(refused, Failed)
    assert "is newer, of object 2" in refused.reason
    assert is_archived(place, newer.works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


def test_a_judge_that_wakes_up_in_the_next_attempt_finds_nothing_to_judge(place: Installation, bag: Bagger) -> None:
    clock, one = HandClock(), Run.of_dag_run("dag", "one")
    with Ledger(place.settings.ledger_url.get_secret_value(), lease=LEASE, clock=clock) as ledger:
        slept = replace(place, ledger=ledger)
        number = slept.debagged(bag(RID), one)
        planned = sync.plan(slept.context(one), number)
        assert isinstance(planned, Done)
        last_line = work_sync.run_script(planned.facts["script"])
        clock.passes(LEASE)
        ledger.forget([number], Run.by_hand(), "hopeless")
        ledger.retry([number], Run.by_hand())
        outcome = sync.judge(slept.context(one), number, last_line)
        assert isinstance(outcome, RetryLater)
        assert outcome.reason.startswith(f"the works of {bag(RID).key} aren't in ")
        assert ledger.object(number).unknown_errors == 0
