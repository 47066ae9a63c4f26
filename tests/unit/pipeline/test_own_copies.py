"""Copies in the archive that nobody has compared yet: one's own lose their name if damaged, and no others do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import LEASE, HandClock
from tests.support.pipeline import STAMP, Bag, Bagger, Installation, change_page, is_archived, message, record

from glacier_sync import bags, pipeline
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline import Done, Failed, RetryLater, sync, work_sync
from glacier_sync.pipeline.by_hand import ByHand
from glacier_sync.pipeline.own_copy import ChangedMeanwhileError
from glacier_sync.progress import Progress

pytestmark = pytest.mark.needs("rsync")

RID = "W1TEST01"
ONE = Run.of_dag_run("dag", "one")
TWO = Run.of_dag_run("dag", "two")


def test_a_damaged_copy_that_a_killed_try_has_left_is_set_aside_and_made_again(
    place: Installation, bag: Bagger
) -> None:
    """As if each run had been killed between the copy and its comparison with the bag."""
    number = place.debagged(bag(RID))
    to = place.archived(RID)
    for _ in range(2):
        work_sync.run_script(place.planned(number))
        change_page(to)
    assert isinstance(sync.sync(place.context(), number), Done)
    assert is_archived(place, bag(RID).works[0])
    first = f".{RID}.damaged-2026-03-01_07.00.00"
    assert sorted(path.name for path in to.parent.iterdir()) == [first, f"{first}-2", RID]
    told = [event.message for event in place.ledger.events(number) if "isn't what the bag holds" in event.message]
    assert told == [
        f"{RID}: the copy that an earlier try made at {to} isn't what the bag holds: 1 changed "
        f"(archive/{RID}-I0001/I00010001.jpg); it was moved to {to.with_name(name)}, to be removed when the "
        "disk has been looked at, and the work is copied again"
        for name in (first, f"{first}-2")
    ]


def test_a_copy_that_somebody_has_brought_after_a_kill_is_not_set_aside(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    work_sync.run_script(place.planned(number))
    to = place.archived(RID)
    shutil.copytree(to.rename(to.with_name("away")), to)
    change_page(to)
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID}: the archive has a different copy at {to}: 1 changed ")
    assert to.is_dir()


def test_a_copy_that_another_object_was_synced_to_after_a_kill_is_not_set_aside(
    place: Installation, bag: Bagger
) -> None:
    number, other = place.debagged(bag(RID)), Run.of_dag_run("dag", "other")
    work_sync.run_script(place.planned(number))
    newer = bag(RID, change=change_page)
    place.restored(newer, key=f"newer/{RID}.bag.zip")
    assert pipeline.get_restored_object_messages(place.context(other)) == ([], [])
    place.ledger.release(number, Run.of_this_process(), "its run was killed")
    place.say({"sync": {"replace": True}})
    for stage in (pipeline.download_from_messages, pipeline.debag_downloads, sync.sync):
        assert isinstance(stage(place.context(other), number + 1), Done)
    place.say({})
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Failed)
    assert f"the archive's different copy at {place.archived(RID)} is newer, of object {number + 1} " in outcome.reason
    assert is_archived(place, newer.works[0])


def test_a_copy_that_somebody_has_brought_in_its_place_is_not_set_aside(place: Installation, bag: Bagger) -> None:
    """A new folder gets the number of the inode that was set free."""
    number = place.debagged(bag(RID))
    work_sync.run_script(place.planned(number))
    to = place.archived(RID)
    inode = to.stat().st_ino
    other = shutil.copytree(to, place.home / "other")
    for _ in range(20):
        shutil.rmtree(to)
        shutil.copytree(other, to)
        if to.stat().st_ino == inode:
            break
    change_page(to)
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Failed)
    assert "the archive has a different copy" in outcome.reason
    assert [path.name for path in to.parent.iterdir()] == [RID]


@pytest.mark.parametrize("compared", ["by the judge", "by the next plan"])
def test_a_copy_that_was_compared_is_not_set_aside_if_somebody_changes_it(
    place: Installation, bag: Bagger, compared: str
) -> None:
    """While another work of the bag keeps the object from its end."""
    number = place.debagged(bag(RID, "W1TEST02"))
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    (commands / "cp").write_text(
        '#!/usr/bin/env bash\n[[ "$*" != *W1TEST02* ]] || exit 1\nPATH=${PATH#*:} exec cp "$@"\n'
    )
    (commands / "cp").chmod(0o755)
    context = place.context(bin_dir=commands)
    if compared == "by the judge":
        assert isinstance(sync.sync(context, number), RetryLater)
    else:
        for _ in range(2):
            planned = sync.plan(context, number)
            assert isinstance(planned, Done)
            work_sync.run_script(planned.facts["script"])
    change_page(place.archived(RID))
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID}: the archive has a different copy at {place.archived(RID)}: 1 changed ")
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


def test_a_newer_version_stays_though_the_clock_was_set_back(place: Installation, bag: Bagger) -> None:
    """It was written into the very folder that the first one's copy had made."""
    place.say({"sync": {"replace": True}})
    clock, older, newer = HandClock(), bag(RID), bag(RID, change=change_page)
    with Ledger(place.settings.ledger_url.get_secret_value(), lease=LEASE, clock=clock) as ledger:
        first = replace(place, ledger=ledger)
        number = first.debagged(older, ONE)
        planned = sync.plan(first.context(ONE), number)
        assert isinstance(planned, Done)
        work_sync.run_script(planned.facts["script"])
        ledger.release(number, ONE, "killed")
        clock.passes(timedelta(days=-1))
        place.site.put(newer.key, newer.zip_path.read_bytes())
        sooner: dict[str, Any] = {"expiry": "2026-03-05T00:00:00.000Z", "eventTime": "2026-03-03T08:00:00.000Z"}
        place.site.send(message(record(place.site, newer.key, **sooner)))
        claims, _ = pipeline.get_restored_object_messages(first.context(TWO, max_objects_per_run=1))
        assert [claim["object"] for claim in claims] == [number + 1]
        for stage in (pipeline.download_from_messages, pipeline.debag_downloads, sync.sync):
            assert isinstance(stage(first.context(TWO), number + 1), Done)
        outcome = sync.sync(first.context(ONE), number)
    assert isinstance(outcome, Failed)
    assert f"is newer, of object {number + 1} " in outcome.reason
    assert is_archived(place, newer.works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_copy_is_compared_though_the_site_wants_none_any_more(
    place: Installation, bag: Bagger, damaged: bool
) -> None:
    number = place.debagged(bag(RID))
    work_sync.run_script(place.planned(number))
    to = place.archived(RID)
    if damaged:
        change_page(to)
    place.say({"sync": {"archive": False}})
    assert isinstance(sync.sync(place.context(), number), Done)
    stamp = work_sync.job_time(place.settings, STAMP)
    assert [path.name for path in to.parent.iterdir()] == [f".{RID}.damaged-{stamp}" if damaged else RID]
    (told,) = [event.message for event in place.ledger.events(number) if "nobody had compared" in event.message]
    assert ("isn't what the bag holds" in told) == damaged


# --- by hand -------------------------------------------------------------------------


Meanwhile = Callable[[], object]


def by_hand(place: Installation, before_fixity: Meanwhile) -> ByHand:
    """Return an operator, who is kept for a while between a sync and its judgement."""

    def progress(title: str) -> Progress:
        if title == "fixity":
            before_fixity()
        return lambda _done, _in_all: None

    return ByHand(place.settings, place.ledger, STAMP, progress)


def unbagged(place: Installation, made: Bag) -> Path:
    (work,) = bags.unbag(made.zip_path, place.home / "staging", workers=1)
    return work.path


def test_what_a_run_has_synced_since_is_not_set_aside_by_hand(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    ours, newer = bag(RID), bag(RID, change=change_page)
    (result,) = by_hand(place, lambda: place.synced(newer)).sync([unbagged(place, ours)])
    assert isinstance(result.unsettled, ChangedMeanwhileError)
    assert is_archived(place, newer.works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


def test_what_was_changed_by_hand_since_is_not_set_aside(place: Installation, bag: Bagger) -> None:
    """By a sync that nobody has judged: it was killed."""
    place.say({"sync": {"replace": True}})
    other = bag(RID, change=change_page)
    number = place.debagged(bag(RID))

    def killed() -> None:
        raise KeyboardInterrupt

    def progress(stage: str, _number: int) -> Progress:
        if stage == "fixity":
            with pytest.raises(KeyboardInterrupt):
                by_hand(place, killed).sync([unbagged(place, other)])
        return lambda _done, _in_all: None

    outcome = sync.sync(replace(place.context(), progress=progress), number)
    assert isinstance(outcome, RetryLater)
    assert f"{place.archived(RID)} has changed since this sync wrote it" in outcome.reason
    assert is_archived(place, other.works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]
