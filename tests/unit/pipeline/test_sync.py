"""The last stage: the destination rule, the audits, the copy's fixity, and the bash between the halves."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import Bag, Bagger, Installation, add_page, change_page, is_archived

from glacier_sync import pipeline
from glacier_sync.ledger import Run
from glacier_sync.pipeline import Done, Failed, RetryLater, destination, fixity, sync, work_sync
from glacier_sync.pipeline.report import report

RID = "W1TEST01"


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def put_there(place: Installation, made: Bag) -> Path:
    """Put a work into the archive by hand; return its place."""
    to = place.archived(made.works[0].name)
    shutil.copytree(made.works[0], to)
    return to


def listing(place: Installation) -> Path:
    """Return where all differences of the work are listed."""
    logs = Path(work_sync.log_folder(place.settings, place.context().logical_date))
    return logs / f"sync-{logs.name}-{RID}.differences.txt"


# --- the destination rule ----------------------------------------------------------


def test_what_is_absent_is_copied(place: Installation, bag: Bagger) -> None:
    outcome, item = place.settled(bag(RID))
    assert isinstance(outcome, Done)
    assert is_archived(place, bag(RID).works[0])
    assert (place.archived(RID) / f"{RID}.bag" / "manifest-sha512.txt").is_file()
    (work,) = item.works
    assert (item.phase, work.phase, work.audit) == ("synced", "synced", "Passed")
    assert work.destination == str(place.archived(RID))
    assert item.sync_complete_on
    assert item.claimed_by is None
    assert place.working_data() == []


def test_what_is_equal_is_left_as_it_is(place: Installation, bag: Bagger) -> None:
    to = put_there(place, bag(RID))
    before = stamps(to)
    outcome, item = place.settled(bag(RID))
    assert isinstance(outcome, Done)
    assert stamps(to) == before
    assert (item.phase, item.works[0].phase, item.works[0].audit) == ("synced", "synced", "Passed")


def test_a_second_restore_of_an_archived_work_changes_nothing(place: Installation, bag: Bagger) -> None:
    place.synced(bag(RID))
    before = stamps(place.archived(RID))
    place.site.send(json.dumps({"Records": [restored_again(place, bag(RID))]}))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Done)
    assert [item.phase for item in place.ledger.objects()] == ["synced", "synced"]
    assert stamps(place.archived(RID)) == before


def restored_again(place: Installation, made: Bag) -> dict[str, Any]:
    found = place.store(made, made.key)
    found["glacierEventData"]["restoreEventData"]["lifecycleRestorationExpiryTime"] = "2026-05-01T00:00:00.000Z"
    return found


def remove_page(folder: Path) -> None:
    next(folder.rglob("*.jpg")).unlink()


@pytest.mark.parametrize(
    ("differ", "words"),
    [
        (change_page, f"1 changed (archive/{RID}-I0001/I00010001.jpg)"),
        (add_page, "1 added (images/added.txt)"),
        (remove_page, f"1 missing (archive/{RID}-I0001/I00010001.jpg)"),
    ],
)
def test_what_is_different_fails_and_stays(
    place: Installation, bag: Bagger, differ: Callable[[Path], None], words: str
) -> None:
    to = put_there(place, bag(RID))
    differ(to)
    before = stamps(to)
    outcome, item = place.settled(bag(RID))
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive has a different copy at {to}: {words}; all is listed in {listing(place)}; "
        "compare the two, and set sync.replace if the restored one is to replace it"
    )
    kind, name = words.removeprefix("1 ").removesuffix(")").split(" (")
    assert listing(place).read_text() == f"{kind}: {name}\n"
    assert stamps(to) == before
    assert (item.phase, item.failure_reason) == ("failed", outcome.reason)
    assert item.works[0].reason == outcome.reason
    assert place.working_data() == []


def test_what_is_different_is_replaced_if_the_site_says_so(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    to = put_there(place, bag(RID))
    for differ in (change_page, add_page):
        differ(to)
    outcome, item = place.settled(bag(RID))
    assert isinstance(outcome, Done), outcome
    assert is_archived(place, bag(RID).works[0])
    assert item.phase == "synced"
    said = [event.message for event in place.ledger.events(item.id)]
    assert (
        f"updating the archive's copy of {RID} at {to}: 1 added (images/added.txt); "
        f"1 changed (archive/{RID}-I0001/I00010001.jpg)"
    ) in said


def test_a_work_does_not_decide_that_it_replaces_another(place: Installation, bag: Bagger) -> None:
    def ask(work: Path) -> None:
        (work / "config").mkdir()
        (work / "config" / "sync.yml").write_text("sync: {replace: true}")

    to = put_there(place, bag(RID))
    change_page(to)
    before = stamps(to)
    outcome, _ = place.settled(bag(RID, change=ask))
    assert isinstance(outcome, Failed)
    assert "a work may not set sync.replace" in outcome.reason
    assert stamps(to) == before


def test_a_works_own_bad_options_fail_that_work_only(place: Installation, bag: Bagger) -> None:
    def ask(work: Path) -> None:
        (work / "config").mkdir()
        (work / "config" / "sync.yml").write_text("sync: {arkive: true}")

    made = bag("W1TEST01", "W1TEST02", change=ask)
    outcome, item = place.settled(made)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("W1TEST02: ")
    assert "config/sync.yml: unknown key 'sync.arkive'" in outcome.reason
    assert {work.rid: str(work.phase) for work in item.works} == {"W1TEST01": "synced", "W1TEST02": "failed"}
    assert is_archived(place, made.works[0])


def test_a_work_that_is_refused_no_longer_has_its_place_told(place: Installation, bag: Bagger) -> None:
    """The site has changed its mind while another work of the bag waited."""

    def change(work: Path) -> None:
        (work / "config").mkdir()
        (work / "config" / "sync.yml").write_text("sync: {replace: true}")

    made = bag("W1TEST01", "W1TEST02", change=change)
    number = place.debagged(made)
    place.archived("W1TEST01").parent.mkdir()
    with destination.locked(place.archived("W1TEST01")):
        assert isinstance(sync.sync(place.context(), number), RetryLater)
    assert place.ledger.object(number).works[1].phase == "failed"
    place.say({"work_may_set": ["sync.replace"]})
    assert isinstance(sync.sync(place.context(), number), Done)
    told = pipeline.synced_works(place.context(), number)
    assert [work["path"] for work in told] == [str(place.archived(work.name)) for work in made.works]


def test_a_copy_that_appears_after_the_plan_is_compared_and_not_updated(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    script = place.planned(number)
    to = put_there(place, bag(RID))
    change_page(to)
    before = stamps(to)
    outcome = pipeline.judge_sync(place.context(), number, work_sync.run_script(script))
    assert isinstance(outcome, RetryLater)
    assert f"{to} is there, and wasn't when this sync was planned" in outcome.reason
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Failed)
    assert f"the archive has a different copy at {to}: 1 changed" in outcome.reason
    assert stamps(to) == before


def test_a_work_that_cannot_be_copied_as_it_is_fails_for_good(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    script = place.planned(number)
    link = next(place.settings.work_dir.glob(f"*/{RID}/images")) / "link"
    link.symlink_to("/etc/passwd")
    outcome = pipeline.judge_sync(place.context(), number, work_sync.run_script(script))
    assert isinstance(outcome, Failed)
    assert f"{link} is a link or a device" in outcome.reason
    assert not place.archived(RID).exists()


def test_one_postponed_work_does_not_hide_the_others(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    number = place.debagged(made)
    place.archived("W1TEST01").parent.mkdir()
    with destination.locked(place.archived("W1TEST01")):
        outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "another sync of this work is running" in outcome.reason
    phases = {work.rid: str(work.phase) for work in place.ledger.object(number).works}
    assert phases == {"W1TEST01": "debagged", "W1TEST02": "synced"}
    assert isinstance(sync.sync(place.context(), number), Done)
    assert all(is_archived(place, work) for work in made.works)


def test_an_archive_that_is_not_mounted(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    root = place.archived(RID).parent.parent
    root.rmdir()
    outcome = pipeline.plan_sync(place.context(last_try=True), number)
    assert isinstance(outcome, RetryLater)
    assert f"the archive's root {root} isn't there: is it mounted?" in outcome.reason
    assert not root.exists()
    assert place.ledger.object(number).claimed_by is None
    root.mkdir()
    place.run()
    assert place.ledger.object(number).phase == "synced"


def test_an_archive_that_goes_away_before_the_copy(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    script = place.planned(number)
    root = place.archived(RID).parent.parent
    root.rmdir()
    outcome = pipeline.judge_sync(place.context(), number, work_sync.run_script(script))
    assert isinstance(outcome, RetryLater)
    assert f"archive root {root} isn't there: is it mounted?" in outcome.reason
    assert outcome.cause == "exit status 75"
    assert not root.exists()
    assert place.ledger.object(number).phase == "debagged"


def test_an_archive_that_goes_away_while_its_copy_is_compared(place: Installation, bag: Bagger) -> None:
    """Everything is missing then, and that is no difference."""
    put_there(place, bag(RID))
    number = place.debagged(bag(RID))
    root = place.archived(RID).parent.parent

    def go_away(_done: int, _in_all: int) -> None:
        if root.exists():
            root.rename(root.with_name("elsewhere"))

    outcome = pipeline.plan_sync(replace(place.context(), progress=lambda _stage, _number: go_away), number)
    assert isinstance(outcome, RetryLater)
    assert f"the archive's root {root} isn't there: is it mounted?" in outcome.reason


def test_a_site_that_wants_nothing_in_its_archive(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"archive": False}})
    outcome, item = place.settled(bag(RID))
    assert isinstance(outcome, Done)
    assert item.works[0].destination is None
    assert not place.archived(RID).exists()


# --- fixity after the copy ---------------------------------------------------------


def test_a_new_copy_that_is_damaged_fails_and_loses_its_name(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(place.planned(number))
    to = place.archived(RID)
    change_page(to)
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    aside = to.with_name(f".{RID}.damaged-2026-03-01_07.00.00")
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive's copy at {to} isn't what the bag holds: 1 changed (archive/{RID}-I0001/I00010001.jpg); "
        f"all is listed in {listing(place)}; it was moved to {aside}, to be removed when the disk has been looked at; "
        "check the archive's disk, and sync again"
    )
    item = place.ledger.object(number)
    assert (item.phase, item.works[0].phase) == ("failed", "failed")
    assert outcome.cause.startswith(f"logs: {place.settings.log_dir}/sync-logs/2026-03-01/")
    assert sorted(path.name for path in to.parent.iterdir()) == [aside.name]
    assert (aside / "images").is_dir()
    place.ledger.retry([number], Run.by_hand())
    place.run()
    assert is_archived(place, bag(RID).works[0])


def test_a_replaced_copy_that_is_damaged_keeps_its_name(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    to = put_there(place, bag(RID))
    add_page(to)
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(place.planned(number))
    change_page(to)
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, Failed)
    assert f"the archive's copy at {to} isn't what the bag holds: 1 changed" in outcome.reason
    assert "moved" not in outcome.reason
    assert [path.name for path in to.parent.iterdir()] == [RID]


def test_a_copy_that_somebody_syncs_is_not_judged_meanwhile(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(place.planned(number))
    change_page(place.archived(RID))
    with destination.locked(place.archived(RID)):
        outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, RetryLater)
    assert "another sync of this work is running" in outcome.reason
    assert place.archived(RID).exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(place: Installation, bag: Bagger) -> None:
    copy = place.archived(RID)
    copy.parent.mkdir()
    copy.with_name(f".{RID}.lock").symlink_to(place.home / "made")
    with pytest.raises(destination.ArchiveUnwritableError), destination.locked(copy):
        raise AssertionError
    assert not (place.home / "made").exists()


def test_a_copy_that_is_gone_is_made_again(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(place.planned(number))
    shutil.rmtree(place.archived(RID))
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, RetryLater)
    assert "isn't there any more" in outcome.reason
    assert isinstance(sync.sync(place.context(), number), Done)
    assert is_archived(place, bag(RID).works[0])


# --- audits ------------------------------------------------------------------------


def test_an_audit_that_fails_before_the_copy(place: Installation, bag: Bagger) -> None:
    outcome, item = place.settled(without_second_page(bag))
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID} failed its audit: File Sequence Test: ")
    assert (item.works[0].phase, item.works[0].audit) == ("failed", "Failed")
    assert not place.archived(RID).exists()
    assert place.working_data() == []


def without_second_page(bag: Bagger, *rids: str) -> Bag:
    """A bag whose last work lacks a page: it is valid, and fails its audit."""

    def change(work: Path) -> None:
        for page in work.rglob("*0002.*"):
            page.unlink()

    return bag(*(rids or (RID,)), change=change, images=3)


def test_an_audit_that_fails_after_the_copy(place: Installation, bag: Bagger) -> None:
    place.say({"audit": {"pre": ["-T", "NoFilesInFolder"], "post": ["-T", "FileSequence"]}})
    outcome, item = place.settled(without_second_page(bag))
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID} failed its audit: File Sequence Test: ")
    assert item.works[0].audit == "Failed"


def test_an_equal_copy_has_to_pass_the_audit_after_the_copy_too(place: Installation, bag: Bagger) -> None:
    """As a try finds it that follows one which was killed between the copy and its audit."""
    place.say({"audit": {"pre": ["-T", "NoFilesInFolder"], "post": ["-T", "FileSequence"]}})
    made = without_second_page(bag)
    to = put_there(place, made)
    before = stamps(to)
    outcome, item = place.settled(made)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID} failed its audit: File Sequence Test: ")
    assert item.works[0].phase == "failed"
    assert stamps(to) == before


def test_one_work_that_fails_leaves_the_other_of_its_bag(place: Installation, bag: Bagger) -> None:
    made = without_second_page(bag, "W1TEST01", "W1TEST02")
    outcome, item = place.settled(made)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("W1TEST02 failed its audit: ")
    assert {work.rid: str(work.phase) for work in item.works} == {"W1TEST01": "synced", "W1TEST02": "failed"}
    assert is_archived(place, made.works[0])
    assert not place.archived("W1TEST02").exists()
    assert place.working_data() == []
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact
    assert report(item).name == "W1TEST01, W1TEST02"


def test_one_work_that_is_refused_leaves_the_other_of_its_bag(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    change_page(put_there(place, made))
    outcome, item = place.settled(made)
    assert isinstance(outcome, Failed)
    assert "W1TEST01: the archive has a different copy" in outcome.reason
    assert {work.rid: str(work.phase) for work in item.works} == {"W1TEST01": "failed", "W1TEST02": "synced"}
    assert is_archived(place, made.works[1])
