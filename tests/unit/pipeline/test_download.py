"""Downloads into the working folder, its space, and what is swept out of it."""

from pathlib import Path
from threading import Thread

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
    start_run,
)

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Run
from glacier_sync.pipeline import Done, Failed, RetryLater, working
from glacier_sync.pipeline.intake import take

FIRST = Run.of_dag_run("dag", "first")
SECOND = Run.of_dag_run("dag", "second")


def part_of(place: Installation, number: int) -> Path:
    target = working.zip_path(place.settings, place.ledger.object(number))
    return target.with_name(f"{target.name}.part")


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


def test_a_request_that_cannot_be_sent_ends_in_words(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    strange = announced(bucket=place.site.bucket, etag="an etag\r\nof two lines")
    (number,) = place.ledger.record("test", "m1", [strange], [])
    first, last = (place.run(max_unknown_errors=2).outcomes[number] for _ in range(2))
    assert isinstance(first, RetryLater)
    assert isinstance(last, Failed)
    assert "boto3 failed with the request itself; look for what is strange in the names, 2 times" in last.reason
    assert "Invalid header value" in last.cause


def test_an_object_that_always_arrives_damaged_is_not_brought_for_ever(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.restored(bag("W1TEST01"))
    with fault_proxy(place.site.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.faults.extend(Fault(on="GET", flip=100) for _ in range(2))
        first, last = (place.run(max_unknown_errors=2).outcomes[1] for _ in range(2))
        assert not proxy.faults
    assert isinstance(first, RetryLater)
    assert isinstance(last, Failed)
    assert "arrived damaged: " in last.reason
    assert place.working_data() == []
