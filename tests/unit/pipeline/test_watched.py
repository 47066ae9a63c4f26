"""The watched folder: its zips take the same way as restored ones, and none is lost."""

import os
import time
import zipfile
from pathlib import Path

import pytest
from tests.support import watched
from tests.support.bag_builder import ZipEntry, write_zip
from tests.support.clocks import look_after
from tests.support.pipeline import Bag, Bagger, Installation, add_page, is_archived
from tests.support.watched import RUN, SETTLE, claimed, put, watched_dir

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline import Done, Failed, fixity
from glacier_sync.settings import WATCHED_FOLDER

place = watched.place


def rejections(place: Installation) -> list[str]:
    return [event.message for event in place.ledger.events() if event.kind == "message_rejected"]


def test_a_zip_becomes_an_archived_work_and_leaves_the_folder(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    path = put(place, made)
    tally = place.run()
    assert [type(outcome) for outcome in tally.outcomes.values()] == [Done]
    assert all(is_archived(place, work) for work in made.works)
    assert not path.exists()
    assert place.working_data() == []
    assert place.kinds(1) == [
        "restored",
        "claimed",
        "downloaded",
        "works_found",
        "debagged",
        *["work_updated"] * 2,
        "note",
        *["work_updated"] * 2,
        "synced",
    ]
    (item,) = place.ledger.objects()
    assert (item.queue, item.bucket, item.key) == (WATCHED_FOLDER, str(path.parent), path.name)


def plain_zip(made: Bag, path: Path) -> Bag:
    """Zip a bag's works as they are."""
    with zipfile.ZipFile(path, "w") as file:
        for work in made.works:
            for page in sorted(found for found in work.rglob("*") if found.is_file()):
                file.write(page, str(page.relative_to(work.parent)))
    return Bag(path, made.works)


def test_a_zip_of_works_without_a_bag_is_recorded_as_not_proven(place: Installation, bag: Bagger) -> None:
    made = plain_zip(bag("W1TEST01", "W1TEST02"), place.home / "W1TEST01.zip")
    put(place, made)
    tally = place.run()
    assert [type(outcome) for outcome in tally.outcomes.values()] == [Done]
    assert all(is_archived(place, work) for work in made.works)
    (debagged,) = [event for event in place.ledger.events(1) if event.kind == "debagged"]
    assert debagged.message == (
        "unzipped: W1TEST01, W1TEST02; not proven: there is no bag, only the zip's own checksums"
    )
    assert debagged.details["proven"] is False
    assert all(fixity.check(place.settings, place.ledger, work.name).intact for work in made.works)


def test_what_is_called_a_bag_has_to_be_one(place: Installation, bag: Bagger) -> None:
    put(place, plain_zip(bag("W1TEST01"), place.home / "W1TEST01.bag.zip"))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("W1TEST01.bag.zip isn't a valid bag: ")


def test_a_zip_without_a_work_fails(place: Installation) -> None:
    write_zip(watched_dir(place) / "W1TEST01.zip", [ZipEntry(b"notes.txt", b"x")])
    time.sleep(SETTLE)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("W1TEST01.zip isn't a valid zip of works: ")


def test_a_restored_zip_without_a_bag_is_taken_as_well(place: Installation, bag: Bagger) -> None:
    made = plain_zip(bag("W1TEST01"), place.home / "W1TEST01.zip")
    place.restored(made, "Archive0/01/W1TEST01/W1TEST01.zip")
    place.run()
    (item,) = place.ledger.objects()
    assert item.phase is Phase.SYNCED, item.failure_reason
    assert is_archived(place, made.works[0])


def test_a_file_that_is_still_being_written_is_not_taken(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(place, bag("W1TEST01"))
    with path.open("ab") as file:
        file.write(b"more")
    look_after(monkeypatch, path, SETTLE / 2)
    assert claimed(place) == []
    assert path.exists()


def test_a_half_copied_file_is_waited_for_and_taken_when_it_is_whole(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag("W1TEST01")
    path = put(place, made)
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    with monkeypatch.context() as patched:
        look_after(patched, path, 2 * SETTLE)
        assert claimed(place) == []
    path.write_bytes(content)
    time.sleep(SETTLE)
    place.run()
    assert is_archived(place, made.works[0])
    assert [item.phase for item in place.ledger.objects()] == [Phase.SYNCED]


@pytest.mark.parametrize("content", [b"", b"PK\3\4 half of a zip"], ids=["empty", "half-copied"])
def test_a_file_that_stays_half_copied_fails_and_stays_where_it_is(place: Installation, content: bytes) -> None:
    path = watched_dir(place) / "W1TEST01.bag.zip"
    path.write_bytes(content)
    time.sleep(10 * SETTLE)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("W1TEST01.bag.zip isn't a valid bag: ")
    assert f"replace the bag by a whole one and put that into {path.parent}" in outcome.reason
    assert path.read_bytes() == content
    assert place.run().outcomes == {}, "it isn't taken again as long as nothing is done to it"


def test_a_whole_one_in_the_place_of_one_that_failed_is_taken(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    path = watched_dir(place) / made.zip_path.name
    path.write_bytes(b"no zip")
    time.sleep(10 * SETTLE)
    place.run()
    put(place, made)
    place.run()
    assert [item.phase for item in place.ledger.objects()] == [Phase.FAILED, Phase.SYNCED]
    assert is_archived(place, made.works[0])
    assert not path.exists()


def test_the_same_file_again_is_taken_again_and_found_equal(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    for _ in range(2):
        path = put(place, made)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        time.sleep(SETTLE)
        place.run()
        assert not path.exists()
    assert [item.phase for item in place.ledger.objects()] == [Phase.SYNCED, Phase.SYNCED]
    notes = [event.details for event in place.ledger.events(2) if event.kind == "note"]
    assert notes[-1]["standing in the archive"] == {"W1TEST01": "equal"}


def test_the_same_work_under_two_names_is_never_in_two_hands(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    put(place, made, "W1TEST01.bag.zip")
    put(place, made, "W1TEST01.again.bag.zip")
    assert [item.key for item in claimed(place)] == ["W1TEST01.bag.zip"]
    for item in place.ledger.objects():
        place.ledger.release(item.id, RUN, "given back")
    place.run()
    assert [item.phase for item in place.ledger.objects()] == [Phase.SYNCED, Phase.SYNCED]
    assert list(watched_dir(place).iterdir()) == []


def test_a_different_work_is_refused_and_its_file_kept(place: Installation, bag: Bagger) -> None:
    place.synced(bag("W1TEST01"))
    path = put(place, bag("W1TEST01", change=add_page))
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert "the archive has a different copy" in outcome.reason
    assert path.exists()


def test_what_does_not_belong_there_is_recorded_once_and_left_alone(place: Installation) -> None:
    stray = watched_dir(place) / "Thumbs\n.db"
    stray.write_bytes(b"x")
    os.mkfifo(watched_dir(place) / "W1.bag.zip")
    time.sleep(SETTLE)
    for _ in range(2):
        assert claimed(place) == []
    told = rejections(place)
    assert len(told) == 2
    assert any("isn't called *.bag.zip or *.zip" in reason for reason in told)
    assert any("is a named pipe" in reason for reason in told)
    assert all(reason.isprintable() for reason in told)
    assert stray.read_bytes() == b"x"


def test_a_name_that_is_not_utf_8_reaches_the_archive_of_its_bag(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    path = put(place, made, os.fsdecode(b"W1TEST01.\xff\n.bag.zip"))
    claims, problems = pipeline.get_watched_files(place.context(RUN))
    assert (problems, [claim["name"] for claim in claims]) == ([], [r"W1TEST01.\udcff\n.bag.zip"])
    place.ledger.release(claims[0]["object"], RUN, "given back")
    place.run()
    assert is_archived(place, made.works[0])
    assert not path.exists()


def test_each_way_claims_what_came_in_by_it(place: Installation, bag: Bagger) -> None:
    put(place, bag("W1TEST01"))
    place.restored(bag("W1TEST02"))
    other = Run.of_dag_run("sqs_scheduled_dag", "one")
    queued, problems = pipeline.get_restored_object_messages(place.context(other))
    files, more = pipeline.get_watched_files(place.context(RUN))
    assert [claim["name"] for claim in queued] == ["W1TEST02.bag.zip"]
    assert [claim["name"] for claim in files] == ["W1TEST01.bag.zip"]
    assert problems == more == []


def test_a_folder_that_is_away_is_a_problem_of_its_own(place: Installation, bag: Bagger) -> None:
    watched_dir(place).rmdir()
    place.restored(bag("W1TEST02"))
    tally = place.run()
    assert [type(outcome) for outcome in tally.outcomes.values()] == [Done]
    (problem,) = tally.problems
    assert isinstance(problem, ConfigurationError)
    assert "watched can't be read" in problem.message
