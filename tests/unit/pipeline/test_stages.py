"""Stages on one object: claims, downloads, unbagging, and how each outcome is recorded."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from tests.support.aws import noise
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.ledger import announced
from tests.support.pipeline import (
    Bag,
    Bagger,
    Installation,
    Vanishing,
    is_archived,
    kill,
    message,
    record,
    start_run,
)

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError, PermanentError, TransientError
from glacier_sync.ledger import LedgerObject, Run
from glacier_sync.pipeline import Context, Done, Failed, RetryLater, working
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.lease import kept_lease
from glacier_sync.pipeline.stage import Stage, run_stage
from glacier_sync.works import staging_key

FIRST = Run.of_dag_run("dag", "first")
SECOND = Run.of_dag_run("dag", "second")


def stage(work: Callable[[Context, LedgerObject], Done]) -> Stage:
    return Stage("try_out", work)


def raising(error: Exception) -> Stage:
    def work(_context: Context, _item: LedgerObject) -> Done:
        raise error

    return stage(work)


def part_of(place: Installation, number: int) -> Path:
    target = working.zip_path(place.settings, place.ledger.object(number))
    return target.with_name(f"{target.name}.part")


# --- claims ---------------------------------------------------------------------


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
        assert not outcome.unknown
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
    with kept_lease(place.context(FIRST, lease_minutes=0.001)):
        until = time.monotonic() + 60
        while place.ledger.object(number).lease_until == before and time.monotonic() < until:
            time.sleep(0.01)
    after = place.ledger.object(number).lease_until
    assert after
    assert after > before


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


# --- outcomes -------------------------------------------------------------------


def test_a_cause_that_passes_keeps_the_object_for_the_next_try(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    error = TransientError("the disk is busy", cause="EBUSY")
    assert run_stage(place.context(FIRST), raising(error), number) == RetryLater("the disk is busy", "EBUSY")
    event = place.ledger.events(number)[-1]
    assert (event.kind, event.message) == ("note", "try_out is to be tried again: the disk is busy")
    assert event.details == {"cause": "EBUSY"}
    assert place.ledger.object(number).claimed_by == FIRST.name


@pytest.mark.parametrize("kind", [TransientError, ConfigurationError])
def test_the_last_try_gives_the_object_back(place: Installation, bag: Bagger, kind: type[TransientError]) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    outcome = run_stage(place.context(FIRST, last_try=True), raising(kind("the disk is busy")), number)
    assert isinstance(outcome, RetryLater)
    event = place.ledger.events(number)[-1]
    assert (event.kind, event.message) == ("released", "try_out is to be tried again: the disk is busy")
    item = place.ledger.object(number)
    assert (item.claimed_by, item.phase) == (None, "restored")


def test_a_permanent_cause_fails_the_object_and_removes_its_data(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    assert isinstance(pipeline.download_from_messages(place.context(FIRST), number), Done)
    assert place.working_data() != []
    error = PermanentError("the page is torn", cause="page 3")
    assert run_stage(place.context(FIRST), raising(error), number) == Failed("the page is torn", "page 3")
    item = place.ledger.object(number)
    assert (item.phase, item.failure_reason, item.failure_cause) == ("failed", "the page is torn", "page 3")
    assert item.claimed_by is None
    assert place.working_data() == []


def test_unknown_errors_are_counted_and_fail_the_object_in_the_end(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"), FIRST)
    context = place.context(FIRST, max_unknown_errors=2)
    first = run_stage(context, raising(ZeroDivisionError("division by zero")), number)
    what = "try_out met an error that isn't known"
    assert first == RetryLater(what, "ZeroDivisionError: division by zero", unknown=True)
    assert place.ledger.object(number).phase == "restored"
    second = run_stage(context, raising(KeyError("page")), number)
    reason = f"{what}, 2 times; see the cause and the log"
    assert second == Failed(reason, "KeyError: 'page'")
    item = place.ledger.object(number)
    assert (item.phase, item.failure_reason, item.unknown_errors) == ("failed", reason, 2)


def test_a_stage_leaves_what_is_settled_alone(place: Installation, bag: Bagger) -> None:
    failed = place.claimed(bag("W1TEST01"), FIRST)
    run_stage(place.context(FIRST), raising(PermanentError("the page is torn")), failed)
    synced = place.synced(bag("W1TEST02")).id
    before = place.ledger.events()
    untouched = raising(AssertionError("must not be called"))
    assert run_stage(place.context(SECOND), untouched, failed) == Failed("the page is torn", "PermanentError")
    assert run_stage(place.context(SECOND), untouched, synced) == Done(f"{staging_key('W1TEST02')} is synced already")
    assert place.ledger.events() == before


# --- download -------------------------------------------------------------------


def big(bag: Bagger) -> Bag:
    """A bag of more than two MiB, so that it is downloaded in several ranges."""
    return bag("W1TEST03", change=lambda work: (work / "images" / "noise.bin").write_bytes(noise(5 * 2**19)))


def test_a_killed_download_goes_on_where_it_was(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = big(bag)
    place.restored(made)
    monkeypatch.setenv("GLACIER_SYNC_DOWNLOAD_PART_MIB", "1")
    monkeypatch.setenv("GLACIER_SYNC_DOWNLOAD_STREAMS", "1")
    with fault_proxy(place.site.url) as proxy:
        release = Vanishing()
        held = Fault(release=release)
        proxy.faults.extend([Fault(), held])
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = start_run()
        assert held.held.wait(60)
        kill(process, with_children=True)
        release.set()
    target = working.zip_path(place.settings, place.ledger.object(1))
    assert part_of(place, 1).exists()
    assert not target.exists()
    with fault_proxy(place.site.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        context = place.context(FIRST, download_part_mib=1)
        assert take(context).objects
        assert isinstance(pipeline.download_from_messages(context, 1), Done)
        assert proxy.ranges
        assert not [wanted for wanted in proxy.ranges if wanted.startswith("bytes=0-")]
    assert target.read_bytes() == made.zip_path.read_bytes()
    assert not part_of(place, 1).exists()
    assert place.ledger.object(1).phase == "downloaded"


def test_an_incomplete_file_never_has_its_final_name(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = place.claimed(bag("W1TEST01"))
    with fault_proxy(place.site.url) as proxy:
        proxy.faults.append(Fault(flip=100))
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        outcome = pipeline.download_from_messages(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "arrived damaged" in outcome.reason
    assert not [name for name in place.working_data() if name.endswith(".zip")]
    assert place.ledger.object(number).phase == "restored"


def test_space_is_checked_before_a_byte_is_fetched(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = place.claimed(bag("W1TEST01"))
    with fault_proxy(place.site.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        outcome = pipeline.download_from_messages(place.context(keep_free_mib=2**40), number)
        assert [method for method, _, _ in proxy.requests] == ["HEAD"]
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith(f"{staging_key('W1TEST01')} needs 0.0 GiB for its zip and contents, ")
    assert "1099511627776 MiB stay free, but " in outcome.reason
    assert not [name for name in place.working_data() if ".zip" in name]


def test_what_others_still_need_is_not_given_away(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    working.prepare(place.settings)
    other = place.settings.download_dir / "7-of-another-object"
    other.mkdir()
    free = shutil.disk_usage(place.home).free
    with (other / "W1TEST07.bag.zip").open("wb") as sparse:
        sparse.truncate(2 * free)
    outcome = pipeline.download_from_messages(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert f"{2 * free / 2**30:.1f} GiB are promised to others" in outcome.reason


def test_working_data_that_vanishes_meanwhile_is_no_error(place: Installation, bag: Bagger) -> None:
    """Other runs finish and sweep while a run counts what they need."""
    number = place.claimed(bag("W1TEST01"))
    item = place.ledger.object(number)
    working.prepare(place.settings)
    others = [place.settings.download_dir / f"{other}-x" for other in range(100, 104)]
    ended = Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for folder in others:
                folder.mkdir()
                (folder / "W.bag.zip").write_bytes(b"zip")
            for folder in others:
                shutil.rmtree(folder)

    thread = Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            working.require_space(place.settings, item, 1)
    finally:
        ended.set()
        thread.join()


def test_two_runs_may_remove_the_same_data(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    item = place.ledger.object(number)
    errors: list[BaseException] = []

    def remove() -> None:
        try:
            working.remove(place.settings, item)
        except OSError as error:
            errors.append(error)

    for _ in range(5):
        for name in range(200):
            path = working.unbagged_dir(place.settings, item) / f"{name % 10}" / f"{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        threads = [Thread(target=remove) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert place.working_data() == []


def test_an_object_that_is_gone_fails_in_words(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    number = place.claimed(made)
    place.site.client.s3.delete_object(Bucket=place.site.bucket, Key=made.key)
    outcome = pipeline.download_from_messages(place.context(), number)
    assert isinstance(outcome, Failed)
    assert "there is no such object: it was deleted or renamed since it was announced" in outcome.reason
    assert place.working_data() == []


def test_an_object_that_was_replaced_fails_in_words(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    number = place.claimed(made)
    place.site.put(made.key, b"another")
    outcome = pipeline.download_from_messages(place.context(), number)
    assert isinstance(outcome, Failed)
    assert "it was replaced since it was announced" in outcome.reason


def test_a_queue_that_was_taken_out_of_the_configuration(place: Installation, bag: Bagger) -> None:
    (number,) = place.ledger.record("gone", "message", [announced(bag("W1TEST01").key)], [])
    take(place.context())
    outcome = pipeline.download_from_messages(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "has no queue named 'gone', from which " in outcome.reason


@pytest.mark.parametrize("name", ["-rf.bag.zip", ".bag.zip", "W1%0ATEST.bag.zip"])
def test_a_key_that_names_no_work_fails_in_words(place: Installation, bag: Bagger, name: str) -> None:
    found = place.store(bag("W1TEST01"), "Archive0/00/any.zip")
    found["s3"]["object"]["key"] = f"Archive0/00/{name}"
    place.site.send(message(found))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert "can't be a work's RID" in outcome.reason
    assert place.working_data() == []


def test_a_key_with_a_line_break(place: Installation, bag: Bagger) -> None:
    """The emulator has no such objects, so that only what comes before and after is seen."""
    found = place.store(bag("W1TEST01"), "Archive0/00/any.zip")
    found["s3"]["object"]["key"] = "Archive0/00/W1TEST01.new%0Aline.bag.zip"
    place.site.send(message(found))
    (outcome,) = place.run().outcomes.values()
    assert place.ledger.object(1).key == "Archive0/00/W1TEST01.new\nline.bag.zip"
    assert isinstance(outcome, Failed)
    assert "there is no such object" in outcome.reason


# --- unbagging ------------------------------------------------------------------


def test_a_download_that_is_not_on_this_disk(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    assert isinstance(pipeline.download_from_messages(place.context(), number), Done)
    shutil.rmtree(place.settings.download_dir)
    outcome = pipeline.debag_downloads(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "the next run downloads it again" in outcome.reason
    place.run()
    assert place.ledger.object(number).phase == "synced"


def test_works_that_are_not_on_this_disk(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag("W1TEST01"))
    shutil.rmtree(place.settings.data_dir)
    outcome = pipeline.plan_sync(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "the next run downloads and unbags them again" in outcome.reason
    place.run()
    assert place.ledger.object(number).phase == "synced"


def test_an_altered_page_fails_the_bag_and_names_it(place: Installation, bag: Bagger) -> None:
    made = altered(bag("W1TEST01", "W1TEST02"), place.home / "altered.zip")
    number = place.claimed(made)
    pipeline.download_from_messages(place.context(), number)
    outcome = pipeline.debag_downloads(place.context(), number)
    assert isinstance(outcome, Failed)
    listing = working.kept_dir(place.settings, place.ledger.object(number)) / "defects.txt"
    assert outcome.reason == (
        f"{made.key} isn't a valid bag: I00010001.tif isn't the file that was put into the bag (its checksum differs)"
        f"; all is listed in {listing}; replace the bag by a whole one and restore that"
    )
    assert "I00010001.tif" in listing.read_text()
    assert "sha512" in outcome.cause
    assert place.working_data() == []
    assert place.ledger.object(number).works == ()


def altered(made: Bag, to: Path) -> Bag:
    """Return the bag with one byte of its last page changed, behind the manifests' backs."""
    content = bytearray(made.zip_path.read_bytes())
    page = next(made.works[-1].rglob("*.tif")).read_bytes()
    content[content.rindex(page)] ^= 1
    to.write_bytes(content)
    return Bag(to, made.works)


def test_what_is_no_bag_fails_in_words(place: Installation) -> None:
    key = staging_key("W1TEST01")
    place.site.put(key, b"this is no zip")
    place.site.send(message(record(place.site, key)))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"{key} isn't a valid bag: ")
    assert place.working_data() == []


def test_too_little_space_for_the_contents(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    pipeline.download_from_messages(place.context(), number)
    outcome = pipeline.debag_downloads(place.context(keep_free_mib=2**40), number)
    assert isinstance(outcome, RetryLater)
    assert "space" in outcome.reason or "room" in outcome.reason
    assert not place.ledger.object(number).works
    assert [name for name in place.working_data() if name.endswith(".zip")]


def test_a_work_in_two_hands_is_given_back_on_the_last_try(place: Installation, bag: Bagger) -> None:
    """The zip of one object holds the work that another object stands for."""
    place.claimed(bag("W1TEST02"), FIRST)
    place.restored(bag("W1TEST01", "W1TEST02"))
    number = take(place.context(SECOND)).objects[0].id
    context = place.context(SECOND, last_try=True)
    assert isinstance(pipeline.download_from_messages(context, number), Done)
    outcome = pipeline.debag_downloads(context, number)
    assert isinstance(outcome, RetryLater)
    assert "a work can't be in two hands" in outcome.reason
    assert place.ledger.object(number).claimed_by is None
    assert place.ledger.events(number)[-1].kind == "released"


# --- the working folder ---------------------------------------------------------


def test_what_a_kill_left_of_a_settled_object_is_swept(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag("W1TEST01"))
    place.ledger.fail(number, Run.of_this_process(), "by hand", "")
    assert place.working_data() != []
    take(place.context())
    assert place.working_data() == []


def test_what_is_in_work_is_not_swept(place: Installation, bag: Bagger) -> None:
    place.debagged(bag("W1TEST01"), FIRST)
    before = place.working_data()
    take(place.context(SECOND))
    assert place.working_data() == before


def test_another_ledgers_data_of_the_same_number_is_not_taken(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    number = place.claimed(made)
    item = place.ledger.object(number)
    for folder in (working.zip_path(place.settings, item).parent, working.unbagged_dir(place.settings, item)):
        stranger = folder.with_name(f"{number}-0123456789ab")
        (stranger / "W1TEST01" / "images").mkdir(parents=True)
        (stranger / "W1TEST01.bag.zip").write_bytes(b"another ledger's")
    place.run()
    assert place.ledger.object(number).phase == "synced"
    assert is_archived(place, made.works[0])
    assert {name.split("/")[1] for name in place.working_data()} == {f"{number}-0123456789ab"}


def test_a_working_folder_that_cannot_be_made(place: Installation) -> None:
    place.settings.data_dir.write_text("a file")
    with pytest.raises(ConfigurationError, match=r"can't be made .*correct its permissions, or GLACIER_SYNC_DATA_DIR"):
        take(place.context())
