"""The last stage: the destination rule, the audits, the copy's fixity, and the bash between the halves."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import Bag, Bagger, Installation, is_archived, tree

from glacier_sync import pipeline
from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import Done, Failed, Outcome, RetryLater, fixity, sync, work_sync
from glacier_sync.pipeline.report import report
from glacier_sync.works import staging_key

RID = "W1TEST01"


def planned(place: Installation, number: int) -> str:
    """Return the bash of an object's sync."""
    outcome = pipeline.plan_sync(place.context(), number)
    assert isinstance(outcome, Done), outcome
    return str(outcome.facts["script"])


def settled(place: Installation, made: Bag) -> tuple[Outcome, LedgerObject]:
    """Bring a bag to its end; return the last outcome and what the ledger says."""
    number = place.debagged(made)
    outcome = sync.sync(place.context(), number)
    return outcome, place.ledger.object(number)


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def put_there(place: Installation, made: Bag) -> Path:
    """Put a work into the archive by hand; return its place."""
    to = place.archived(made.works[0].name)
    shutil.copytree(made.works[0], to)
    return to


def change_page(folder: Path) -> None:
    page = next(folder.rglob("*.jpg"))
    page.write_bytes(page.read_bytes() + b"\0")


# --- the destination rule -------------------------------------------------------


def test_what_is_absent_is_copied(place: Installation, bag: Bagger) -> None:
    outcome, item = settled(place, bag(RID))
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
    outcome, item = settled(place, bag(RID))
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


def add_page(folder: Path) -> None:
    (folder / "images" / "added.txt").write_text("only the archive has it")


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
    outcome, item = settled(place, bag(RID))
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive has a different copy at {to}: {words}; "
        "compare the two, and set sync.replace if the restored one is to replace it"
    )
    assert stamps(to) == before
    assert (item.phase, item.failure_reason) == ("failed", outcome.reason)
    assert item.works[0].reason == outcome.reason
    assert place.working_data() == []


def test_what_is_different_is_replaced_if_the_site_says_so(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    to = put_there(place, bag(RID))
    for differ in (change_page, add_page):
        differ(to)
    outcome, item = settled(place, bag(RID))
    assert isinstance(outcome, Done), outcome
    assert is_archived(place, bag(RID).works[0])
    assert item.phase == "synced"


def test_a_work_does_not_decide_that_it_replaces_another(place: Installation, bag: Bagger) -> None:
    def ask(work: Path) -> None:
        (work / "config").mkdir()
        (work / "config" / "sync.yml").write_text("sync: {replace: true}")

    to = put_there(place, bag(RID))
    change_page(to)
    before = stamps(to)
    outcome, _ = settled(place, bag(RID, change=ask))
    assert isinstance(outcome, Failed)
    assert "a work may not set sync.replace" in outcome.reason
    assert stamps(to) == before


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
    script = planned(place, number)
    root = place.archived(RID).parent.parent
    root.rmdir()
    outcome = pipeline.judge_sync(place.context(), number, work_sync.run_script(script))
    assert isinstance(outcome, RetryLater)
    assert f"archive root {root} isn't there: is it mounted?" in outcome.reason
    assert outcome.cause == "exit status 75"
    assert not root.exists()
    assert place.ledger.object(number).phase == "debagged"


def test_a_site_that_wants_nothing_in_its_archive(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"archive": False}})
    outcome, item = settled(place, bag(RID))
    assert isinstance(outcome, Done)
    assert item.works[0].destination is None
    assert not place.archived(RID).exists()


# --- fixity after the copy ------------------------------------------------------


def test_a_copy_that_is_damaged_after_the_audit_fails_and_is_named(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(planned(place, number))
    change_page(place.archived(RID))
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive's copy at {place.archived(RID)} isn't what the bag holds: "
        f"1 changed (archive/{RID}-I0001/I00010001.jpg)"
    )
    item = place.ledger.object(number)
    assert (item.phase, item.works[0].phase) == ("failed", "failed")
    assert outcome.cause.startswith(f"logs: {place.settings.log_dir}/sync-logs/2026-03-01/")


# --- audits ---------------------------------------------------------------------


def test_an_audit_that_fails_before_the_copy(place: Installation, bag: Bagger) -> None:
    outcome, item = settled(place, without_second_page(bag))
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
    outcome, item = settled(place, without_second_page(bag))
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{RID} failed its audit: File Sequence Test: ")
    assert item.works[0].audit == "Failed"


def test_one_work_that_fails_leaves_the_other_of_its_bag(place: Installation, bag: Bagger) -> None:
    made = without_second_page(bag, "W1TEST01", "W1TEST02")
    outcome, item = settled(place, made)
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
    outcome, item = settled(place, made)
    assert isinstance(outcome, Failed)
    assert "W1TEST01: the archive has a different copy" in outcome.reason
    assert {work.rid: str(work.phase) for work in item.works} == {"W1TEST01": "failed", "W1TEST02": "synced"}
    assert is_archived(place, made.works[1])


# --- the bash between the halves ------------------------------------------------


def test_two_works_of_a_run_have_their_own_logs(place: Installation, bag: Bagger) -> None:
    outcome, _ = settled(place, bag("W1TEST01", "W1TEST02"))
    assert isinstance(outcome, Done)
    folder = Path(work_sync.log_folder(place.settings, place.context().logical_date))
    assert folder == place.settings.log_dir / "sync-logs" / "2026-03-01" / "2026-03-01_07.00.00"
    logs = sorted(folder.glob("*.log"))
    assert [log.name for log in logs] == [f"sync-2026-03-01_07.00.00-W1TEST0{number}.log" for number in (1, 2)]
    for number, log in enumerate(logs, 1):
        assert log.read_text().splitlines()[-1] == f"syncOneWork: W1TEST0{number}: done"
        assert f"W1TEST0{3 - number}" not in log.read_text()
    assert (folder / "success-works.txt").read_text().split() == ["W1TEST01", "W1TEST02"]


@pytest.mark.parametrize("last_line", ["", "{}", "[1]", "Killed", '{"works": ["W1TEST01"]}'])
def test_bash_that_ends_without_its_result(place: Installation, bag: Bagger, last_line: str) -> None:
    number = place.debagged(bag(RID))
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert outcome == RetryLater(
        "the sync's bash ended without its result",
        f"ScriptFailedError: the sync's bash ended without its result ({last_line})",
        unknown=True,
    )
    assert place.ledger.object(number).unknown_errors == 1


def test_a_step_that_keeps_failing_fails_the_object(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a finding about the work nor a cause that passes: the site's scripts aren't there."""
    place.restored(bag(RID))
    (place.home / "bin").mkdir()
    (outcome,) = place.run(bin_dir=place.home / "bin", max_unknown_errors=2).outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "syncOneWork.sh ended with exit status 127, 2 times; see the cause and the log"
    assert not place.archived(RID).exists()


def test_another_sync_of_the_work_is_waited_for(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    lock = place.archived(RID).parent / f".{RID}.lock"
    lock.parent.mkdir()
    holder = subprocess.Popen(
        ["flock", "--no-fork", lock, "sh", "-c", "echo locked; exec sleep 600"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        outcome = sync.sync(place.context(), number)
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout
        holder.stdout.close()
    assert isinstance(outcome, RetryLater)
    assert "another sync of this work is running; try again when it is done" in outcome.reason
    assert isinstance(sync.sync(place.context(), number), Done)


# --- a kill between what is recorded --------------------------------------------


@pytest.mark.parametrize("phase", ["synced", "failed"])
def test_a_work_that_was_settled_before_a_kill_is_judged_anew(place: Installation, bag: Bagger, phase: Any) -> None:
    """As if the run had been killed after the first work's result was recorded, before the second's."""
    made = bag("W1TEST01", "W1TEST02")
    number = place.debagged(made)
    last_line = work_sync.run_script(planned(place, number))
    assert json.loads(last_line)["statuses"] == [0, 0]
    place.ledger.update_work(number, Run.of_this_process(), "W1TEST01", phase=phase, reason="of the killed try")
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Done), outcome
    works = place.ledger.object(number).works
    assert [(work.phase, work.reason) for work in works] == [("synced", None), ("synced", None)]
    assert all(is_archived(place, work) for work in made.works)


def test_a_judge_that_is_killed_judges_again(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(planned(place, number))
    for _ in range(2):
        assert isinstance(pipeline.judge_sync(place.context(), number, last_line), Done)
    assert place.kinds(number).count("synced") == 1


# --- manifests of several works -------------------------------------------------


def test_manifests_of_a_bag_of_several_works_are_kept(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    settled(place, made)
    for work in made.works:
        to = place.archived(work.name)
        assert not (to / f"{work.name}.bag").exists()
        checked = fixity.check(place.settings, place.ledger, work.name)
        assert (checked.rid, checked.path, checked.intact) == (work.name, to, True)
        assert checked.bag_dir.is_relative_to(place.settings.log_dir / "bags")
    change_page(place.archived("W1TEST02"))
    found = fixity.check(place.settings, place.ledger, "W1TEST02").differences
    assert found.changed == ("archive/W1TEST02-I0001/I00010001.jpg",)


def test_kept_manifests_of_another_ledger_are_not_taken(place: Installation, bag: Bagger) -> None:
    """The ledger was made anew, and numbers begin at 1 again."""
    strange = place.settings.log_dir / "bags" / "1" / "W1TEST01.bag"
    strange.mkdir(parents=True)
    (strange / "manifest-md5.txt").write_text(f"{'0' * 32}  data/W1TEST01/images/other.tif\n")
    settled(place, bag("W1TEST01", "W1TEST02"))
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact


def test_manifests_of_a_work_that_was_refused_do_not_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.synced(bag("W1TEST02"))
    outcome, _ = settled(place, bag("W1TEST01", "W1TEST02", change=add_page))
    assert isinstance(outcome, Failed)
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


def test_the_manifests_that_came_last_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    settled(place, bag("W1TEST01", "W1TEST02"))
    place.say({"sync": {"replace": True}})
    settled(place, bag("W1TEST02", change=add_page))
    assert (place.archived("W1TEST02") / "images" / "added.txt").exists()
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


# --- the web --------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone isn't installed")
def test_images_go_to_the_web(place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
    made = bag(RID)
    place.restored(made)
    (outcome,) = place.run(web_parent=f"s3://{place.site.bucket}/web").outcomes.values()
    assert isinstance(outcome, Done), outcome
    listed = place.site.client.s3.list_objects_v2(Bucket=place.site.bucket, Prefix="web/")["Contents"]
    images = made.works[0] / "images"
    on_web = {
        item["Key"]: place.site.client.s3.get_object(Bucket=place.site.bucket, Key=item["Key"])["Body"].read()
        for item in listed
    }
    assert on_web == {f"web/{RID}/images/{name}": (images / name).read_bytes() for name in tree(images)}
    assert is_archived(place, made.works[0])


# --- names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "W1TEST01 དེབ་ + Übersicht.bag.zip",
        "W1TEST01.a%20b&c=d?e#f.bag.zip",
        "W1TEST01.'$(touch x)' {{ 1 }}.bag.zip",
    ],
)
def test_keys_of_any_kind(place: Installation, bag: Bagger, name: str) -> None:
    made = bag(RID)
    key = place.restored(made, key=f"{Path(staging_key(RID)).parent}/{name}")
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Done), outcome
    assert [item.key for item in place.ledger.objects()] == [key]
    assert is_archived(place, made.works[0])


def test_file_names_of_any_kind(place: Installation, bag: Bagger) -> None:
    def change(work: Path) -> None:
        for name in ("with space.txt", "དེབ་.txt", "new\nline.txt", "'$(x)' {{ 1 }} %41 +.txt", "latin-\udce9.txt"):
            (work / "sources").mkdir(exist_ok=True)
            (work / "sources" / name).write_bytes(name.encode("utf-8", "surrogateescape"))

    made = bag("W1TEST09", change=change)
    outcome, _ = settled(place, made)
    assert isinstance(outcome, Done), outcome
    assert is_archived(place, made.works[0])
