"""Unbagging: a download becomes verified works, or fails in words."""

import json
import shutil
from pathlib import Path

from tests.support.bag_builder import BagBuilder
from tests.support.pipeline import Bag, Bagger, Installation, message, record

from glacier_sync import pipeline
from glacier_sync.ledger import Run
from glacier_sync.pipeline import Context, Done, Failed, RetryLater, working
from glacier_sync.pipeline.intake import take
from glacier_sync.works import staging_key

FIRST = Run.of_dag_run("dag", "first")
SECOND = Run.of_dag_run("dag", "second")


def test_a_download_that_is_not_on_this_disk(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    assert isinstance(pipeline.download_from_messages(place.context(), number), Done)
    shutil.rmtree(place.settings.download_dir)
    outcome = pipeline.debag_downloads(place.context(), number)
    assert isinstance(outcome, RetryLater)
    assert "the next run fetches it again" in outcome.reason
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
    defects = json.loads(listing.with_suffix(".json").read_text())["defects"]
    assert {(defect["kind"], defect["algorithm"]) for defect in defects} == {
        ("ChecksumMismatch", "sha256"),
        ("ChecksumMismatch", "sha512"),
    }
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
    number, (context, _) = place.claimed(bag("W1TEST01")), with_10_mib(place)
    pipeline.download_from_messages(place.context(), number)
    outcome = pipeline.debag_downloads(context, number)
    assert isinstance(outcome, RetryLater)
    assert "of space, but unpacking needs " in outcome.reason
    assert not place.ledger.object(number).works
    assert [name for name in place.working_data() if name.endswith(".zip")]


def test_contents_that_can_never_fit_fail_with_the_sum(place: Installation, tmp_path: Path) -> None:
    """A small zip tells its download nothing of them."""
    contents = {"W1TEST01/images/zero.bin": bytes(20 * working.MIB)}
    made = Bag(BagBuilder(payload=contents).zip(tmp_path, compress=True), (Path("W1TEST01"),))
    number, (context, kept) = place.claimed(made), with_10_mib(place)
    pipeline.download_from_messages(place.context(), number)
    assert pipeline.debag_downloads(context, number) == Failed(
        f"{made.key} needs 0.0 GiB for its zip and contents, but {place.settings.data_dir} has 0.0 GiB in all, beside "
        f"{kept} MiB that stay free: move GLACIER_SYNC_DATA_DIR to a larger disk, then retry it",
        "TooLargeError",
    )
    assert place.working_data() == []


def with_10_mib(place: Installation) -> tuple[Context, int]:
    """Return a run's view that has 10 MiB in all of a disk that holds more already, and what stays free."""
    found = shutil.disk_usage(place.home)
    kept = (found.used + found.free) // working.MIB - 10
    return place.context(keep_free_mib=kept), kept


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
