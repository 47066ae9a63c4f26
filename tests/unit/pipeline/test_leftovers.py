"""What ended attempts have left: nothing unfinished stays in the archive, and nothing of others is touched."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from tests.support.pipeline import (
    INNERMOST,
    STAMP,
    Bag,
    Bagger,
    Installation,
    change_page,
    is_archived,
    message,
    record,
    tree,
)

from glacier_sync import bags, pipeline
from glacier_sync.errors import PermanentError
from glacier_sync.ledger import LedgerObject, Phase, RefusedError, Run
from glacier_sync.pipeline import Context, Done, Failed, attempts, destination, leftovers, sync, work_sync
from glacier_sync.pipeline.by_hand import ByHand
from glacier_sync.pipeline.stage import Stage, run_stage

pytestmark = pytest.mark.needs("rsync")

RID = "W1TEST01"
ONE = Run.of_dag_run("dag", "one")
TWO = Run.of_dag_run("dag", "two")
ASIDE = f".{RID}.damaged-2026-03-01_07.00.00"

# What a power cut does: the script is gone in the middle, and nobody clears up.
KILLING = '#!/usr/bin/env bash\nPATH=${PATH#*:} %s "$@"\nkill -KILL "$PPID"\n'


def killing(place: Installation, program: str) -> Path:
    """Return a site's scripts, with a program after which the sync of a work is killed."""
    folder = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, folder)
    (folder / program).write_text(KILLING % program)
    (folder / program).chmod(0o755)
    return folder


def killed_at(place: Installation, made: Bag, program: str | None) -> int:
    """Sync a bag until a program of the script has ended, or all of it; nobody judges that. Return its number."""
    number = place.debagged(made, ONE)
    changed = {"bin_dir": killing(place, program)} if program else {}
    outcome = sync.plan(place.context(ONE, **changed), number)
    assert isinstance(outcome, Done)
    work_sync.run_script(outcome.facts["script"])
    place.ledger.release(number, ONE, "killed")
    return number


def forget(place: Installation) -> list[LedgerObject]:
    return attempts.forget(place.ledger, [RID], Run.by_hand(), "hopeless")


def names(place: Installation) -> list[str]:
    """Return what there is beside, and in, a work's place in the archive."""
    return sorted(path.name for path in place.archived(RID).parent.iterdir())


def remarks(place: Installation, number: int) -> list[str]:
    return [event.message for event in place.ledger.events(number) if "nobody had compared" in event.message]


def newer(place: Installation, made: Bag) -> None:
    """Announce another version of a work, after the first."""
    place.site.put(made.key, made.zip_path.read_bytes())
    place.site.send(message(record(place.site, made.key, eventTime="2026-03-03T08:00:00.000Z")))


def test_a_half_copy_and_its_lock_go_with_the_working_data(place: Installation, bag: Bagger) -> None:
    killed_at(place, bag(RID), "cp")
    assert names(place) == [f".{RID}.lock", f".{RID}.partial"]
    forget(place)
    place.run()
    assert (names(place), place.working_data()) == ([], [])


def test_a_copy_that_nobody_has_compared_loses_its_name_if_it_is_damaged(place: Installation, bag: Bagger) -> None:
    number = killed_at(place, bag(RID), None)
    change_page(place.archived(RID))
    forget(place)
    place.run()
    assert (names(place), place.working_data()) == ([ASIDE], [])
    to = place.archived(RID)
    assert remarks(place, number) == [
        f"{RID}: a sync that was stopped had left a copy at {to} that nobody had compared: it isn't what the bag "
        f"holds: 1 changed (archive/{RID}-I0001/I00010001.jpg); it was moved to {to.with_name(ASIDE)}, to be removed "
        "when the disk has been looked at"
    ]


def test_a_copy_that_nobody_has_compared_stays_if_it_is_whole(place: Installation, bag: Bagger) -> None:
    made = bag(RID)
    number = killed_at(place, made, None)
    forget(place)
    place.run()
    assert is_archived(place, made.works[0])
    assert (names(place), place.working_data()) == ([RID], [])
    (remark,) = remarks(place, number)
    assert remark.endswith("it is what the bag holds, and stays")


def test_a_copy_that_can_no_longer_be_compared_loses_its_name(place: Installation, bag: Bagger) -> None:
    number = killed_at(place, bag(RID), None)
    forget(place)
    (unpacked,) = place.settings.work_dir.glob(f"*/{RID}")
    shutil.rmtree(unpacked)
    place.run()
    assert (names(place), place.working_data()) == ([ASIDE], [])
    assert "it can't be compared, as its bag's manifests are gone" in remarks(place, number)[0]


def test_a_half_copy_of_a_thousand_folders_one_in_the_other_goes_too(place: Installation, deep_bag: Bag) -> None:
    killed_at(place, deep_bag, "cp")
    (half,) = place.archived(RID).parent.glob("*.partial")
    assert (half / INNERMOST).is_file()
    forget(place)
    place.run()
    assert (names(place), place.working_data()) == ([], [])


def test_what_fails_for_good_after_a_kill_leaves_nothing_either(place: Installation, bag: Bagger) -> None:
    number = killed_at(place, bag(RID), "cp")
    place.site.put(bag(RID).key, b"another object")
    (unpacked,) = place.settings.work_dir.glob(f"*/{RID}")
    for folder in (unpacked, place.settings.download_dir):
        shutil.rmtree(folder)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert place.ledger.object(number).phase is Phase.FAILED
    assert (names(place), place.working_data()) == ([], [])


def test_the_working_data_stays_while_the_archive_is_away(
    place: Installation, bag: Bagger, caplog: pytest.LogCaptureFixture
) -> None:
    killed_at(place, bag(RID), "cp")
    forget(place)
    root = place.archived(RID).parents[1]
    root.rename(root.with_name("away"))
    with caplog.at_level(logging.WARNING):
        assert place.run().problems == []
    assert (
        f"stays for now, as its sync may have left something in the archive: the archive's root {root}" in caplog.text
    )
    assert place.working_data() != []
    root.with_name("away").rename(root)
    place.run()
    assert (names(place), place.working_data()) == ([], [])


def test_the_working_data_goes_if_there_is_no_folder_any_more(place: Installation, bag: Bagger) -> None:
    """Where the marker tells that this is the archive."""
    killed_at(place, bag(RID), None)
    forget(place)
    folder = place.archived(RID).parent
    shutil.rmtree(folder)
    leftovers.sweep(place.context())
    assert place.working_data() != []
    (folder.parent / ".archive").touch()
    leftovers.sweep(place.context(archive_marker=".archive"))
    assert (place.working_data(), folder.exists()) == ([], False)


def test_a_half_copy_goes_though_somebody_has_brought_the_work_meanwhile(place: Installation, bag: Bagger) -> None:
    killed_at(place, bag(RID), "cp")
    other = bag(RID, change=change_page).works[0]
    shutil.copytree(other, place.archived(RID))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert names(place) == [RID]
    assert is_archived(place, other)


def test_the_working_data_stays_while_another_sync_has_the_place(place: Installation, bag: Bagger) -> None:
    killed_at(place, bag(RID), "cp")
    forget(place)
    with destination.locked(place.archived(RID)):
        leftovers.sweep(place.context())
        assert names(place) == [f".{RID}.lock", f".{RID}.partial"]
    assert place.working_data() != []
    leftovers.sweep(place.context())
    assert (names(place), place.working_data()) == ([], [])


def test_what_a_run_has_in_hand_is_left_to_it(place: Installation, bag: Bagger) -> None:
    killed_at(place, bag(RID), None)
    change_page(place.archived(RID))
    forget(place)
    number = place.debagged(bag(RID, change=lambda work: (work / "images" / "more.txt").write_text("more")), TWO)
    before = tree(place.archived(RID))
    leftovers.sweep(place.context())
    assert tree(place.archived(RID)) == before
    place.ledger.release(number, TWO, "put off")
    leftovers.sweep(place.context())
    assert names(place) == [ASIDE]


def test_a_newer_version_that_was_synced_since_is_left_alone(place: Installation, bag: Bagger) -> None:
    """It was written into the very folder that the first one's copy had made."""
    place.say({"sync": {"replace": True}})
    killed_at(place, bag(RID), None)
    forget(place)
    other = bag(RID, change=change_page)
    newer(place, other)
    # Another host has none of this one's working data.
    outcomes = place.run(data_dir=place.home / "data-of-another-host").outcomes
    assert [type(outcome) for outcome in outcomes.values()] == [Done]
    assert is_archived(place, other.works[0])
    place.run()
    assert is_archived(place, other.works[0])
    assert (names(place), place.working_data()) == ([RID], [])


def test_what_was_synced_by_hand_since_is_left_alone(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    killed_at(place, bag(RID), None)
    forget(place)
    other = bag(RID, change=change_page)
    (work,) = bags.unbag(other.zip_path, place.home / "staging", workers=1)
    hand = ByHand(place.settings, place.ledger, STAMP, lambda _: lambda _done, _in_all: None)
    (result,) = hand.sync([work.path])
    assert (result.failure, result.unsettled) == (None, None)
    place.run()
    assert is_archived(place, other.works[0])
    assert (names(place), place.working_data()) == ([RID], [])


# --- updates of what the archive has -------------------------------------------------


@pytest.fixture
def half_updated(place: Installation, bag: Bagger) -> None:
    """An update of the archive's copy, by the second object, was killed."""
    place.say({"sync": {"replace": True}})
    place.synced(bag(RID))
    newer(place, bag(RID, change=change_page))
    folder = killing(place, "rsync")
    (number,) = (item["object"] for item in pipeline.get_restored_object_messages(place.context(ONE))[0])
    for stage in (pipeline.download_from_messages, pipeline.debag_downloads):
        assert isinstance(stage(place.context(ONE), number), Done)
    outcome = sync.plan(place.context(ONE, bin_dir=folder), number)
    assert isinstance(outcome, Done)
    work_sync.run_script(outcome.facts["script"])
    place.ledger.release(number, ONE, "killed")
    assert f".{RID}.partial" in names(place)


@pytest.mark.usefixtures("half_updated")
def test_an_update_that_was_stopped_is_not_forgotten(place: Installation) -> None:
    before = (place.ledger.objects(), place.ledger.events())
    with pytest.raises(RefusedError, match=r"object 2 .* an update of .*W1TEST01 was stopped, .*files of both"):
        forget(place)
    assert (place.ledger.objects(), place.ledger.events()) == before
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert (names(place), place.working_data()) == ([RID], [])


@pytest.mark.usefixtures("half_updated")
def test_what_may_be_an_update_that_was_stopped_is_not_forgotten(place: Installation) -> None:
    """While the archive is away nobody can tell."""
    root = place.archived(RID).parents[1]
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(RefusedError, match=r"whether an update of .*W1TEST01 was stopped can't be seen: mount the"):
        forget(place)
    root.rmdir()
    root.with_name("away").rename(root)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]


@pytest.mark.usefixtures("half_updated")
def test_a_failure_says_that_an_update_was_stopped(place: Installation) -> None:
    def fail(_context: Context, _item: LedgerObject) -> Done:
        raise PermanentError("the disc is lost")

    outcome = run_stage(place.context(ONE), Stage("try_out", fail), 2)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(
        f"the disc is lost; an update of {place.archived(RID)} was stopped, so that it may "
    )
    assert place.ledger.object(2).failure_reason == outcome.reason
    with pytest.raises(RefusedError):
        forget(place)
    attempts.retry(place.ledger, [RID], Run.by_hand())
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert (names(place), place.working_data()) == ([RID], [])
