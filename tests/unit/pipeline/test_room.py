"""Room in the working folder: no more is claimed, and nothing is begun, that doesn't fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest
from tests.support.aws import noise
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.ledger import START, announced, work_key
from tests.support.pipeline import Bag, Bagger, Installation

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import LedgerObject, Phase, Run
from glacier_sync.pipeline import Done, Failed, RetryLater, working
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.room import NoSpaceError, NoSpaceYetError, require_space

FIRST = Run.of_dag_run("dag", "first")
SECOND = Run.of_dag_run("dag", "second")
MIB = 2**20


def usage(place: Installation) -> tuple[int, int]:
    """Bytes that the disk has free, and in all."""
    found = shutil.disk_usage(place.home)
    return found.free, found.used + found.free


def restored(place: Installation, *sizes: int) -> list[int]:
    """Announce objects of these sizes, which nobody ever sees, in the order in which they expire."""
    found = [
        announced(work_key(f"W{number}"), size=size, expiry=START + timedelta(days=number))
        for number, size in enumerate(sizes, 1)
    ]
    return list(place.ledger.record("test", f"sizes {sizes}", found, []))


@contextmanager
def requests_of(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(place.site.url) as proxy, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def large(bag: Bagger) -> Bag:
    """A bag of more than two and a half MiB."""
    return bag("W1TEST04", change=lambda work: (work / "images" / "noise.bin").write_bytes(noise(5 * 2**19)))


# --- what is claimed ------------------------------------------------------------


def test_a_run_claims_what_fits_beside_what_others_have_claimed(place: Installation) -> None:
    free, _ = usage(place)
    numbers = restored(place, *[free // 7] * 6)
    first = take(place.context(FIRST))
    assert [item.id for item in first.objects] == numbers[:3]
    assert isinstance(first.waiting, NoSpaceYetError)
    assert str(first.waiting).startswith(f"{work_key('W4')} needs ")
    second = take(place.context(SECOND))
    assert second.objects == ()
    assert str(second.waiting).endswith(": it and what is behind it wait until what is in hand is done")
    assert pipeline.get_restored_object_messages(place.context(SECOND)) == ([], [])
    place.ledger.fail(numbers[0], FIRST, "it has ended", "")
    assert [item.id for item in take(place.context(SECOND)).objects] == numbers[3:4]


def test_foreign_data_on_the_disk_is_a_problem_that_somebody_has_to_solve(place: Installation) -> None:
    _, capacity = usage(place)
    numbers = restored(place, 4 * MIB, 0)
    context = place.context(FIRST, keep_free_mib=capacity // MIB - 10)
    taken = take(context)
    assert [item.id for item in taken.objects] == numbers[1:]
    assert type(taken.waiting) is NoSpaceError
    place.ledger.fail(numbers[1], FIRST, "it has ended", "")
    claims, (problem,) = pipeline.get_restored_object_messages(context)
    assert claims == []
    assert problem.startswith(f"{work_key('W1')} needs 0.0 GiB for its zip and contents, 0.0 GiB are promised to ")
    assert problem.endswith("it waits until there is room; make some if it stays so")


def test_what_lies_on_the_disk_already_needs_no_room(place: Installation, bag: Bagger) -> None:
    """A disk that is full holds two objects, one of them whole, the other as a zip."""
    _, capacity = usage(place)
    whole, zipped = place.debagged(bag("W1TEST01"), FIRST), place.claimed(bag("W1TEST02"), FIRST)
    assert isinstance(pipeline.download_from_messages(place.context(FIRST), zipped), Done)
    for number in (whole, zipped):
        place.ledger.release(number, FIRST, "tried later")
    taken = take(place.context(SECOND, keep_free_mib=capacity // MIB - 10))
    assert [item.id for item in taken.objects] == [whole]


# --- what is begun --------------------------------------------------------------


def test_space_is_checked_before_a_byte_is_fetched(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag("W1TEST01")
    number, (_, capacity) = place.claimed(made), usage(place)
    kept = capacity // MIB - 10
    with requests_of(place, monkeypatch) as proxy:
        outcome = pipeline.download_from_messages(place.context(keep_free_mib=kept), number)
        assert [method for method, _, _ in proxy.requests] == ["HEAD"]
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith(f"{made.key} needs 0.0 GiB for its zip and contents, ")
    assert f"{kept} MiB stay free, but " in outcome.reason
    assert outcome.reason.endswith(": it is tried again later; make room if it stays so")
    assert not [name for name in place.working_data() if ".zip" in name]


def test_what_can_never_fit_fails_with_the_sum(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, (_, capacity) = large(bag), usage(place)
    place.restored(made)
    context = place.context(FIRST, keep_free_mib=capacity // MIB - 3)
    ((claim,), problems) = pipeline.get_restored_object_messages(context)
    assert problems == []
    with requests_of(place, monkeypatch) as proxy:
        outcome = pipeline.download_from_messages(context, claim["object"])
        assert [method for method, _, _ in proxy.requests] == ["HEAD"]
    assert outcome == Failed(
        f"{made.key} needs 0.0 GiB for its zip and contents, but {place.settings.data_dir} has 0.0 GiB in all, beside "
        f"{capacity // MIB - 3} MiB that stay free: move GLACIER_SYNC_DATA_DIR to a larger disk, then retry it",
        "TooLargeError",
    )


def test_more_that_stays_free_than_there_is_is_wrong_configuration(place: Installation, bag: Bagger) -> None:
    number = place.claimed(bag("W1TEST01"))
    context = place.context(keep_free_mib=2**40)
    with pytest.raises(ConfigurationError, match=r"GLACIER_SYNC_KEEP_FREE_MIB is 1099511627776, but .* nothing ever"):
        take(context)
    assert isinstance(pipeline.download_from_messages(context, number), RetryLater)
    assert place.ledger.object(number).phase is Phase.RESTORED


def test_what_others_still_need_is_not_given_away(place: Installation, bag: Bagger) -> None:
    number, (_, whole) = place.claimed(bag("W1TEST01"), FIRST), usage(place)
    # With its contents it has room on an empty disk, and more than all of this one's.
    size = whole // 2 - MIB
    (other,) = restored(place, size)
    place.ledger.hold(other, SECOND)
    outcome = pipeline.download_from_messages(place.context(FIRST), number)
    assert isinstance(outcome, RetryLater)
    assert f"{2 * size / 2**30:.1f} GiB are promised to others" in outcome.reason


def test_what_nobody_has_in_hand_is_promised_nothing(place: Installation, bag: Bagger) -> None:
    """Else a few half-done objects, each given back for the others, would keep all of them waiting."""
    number, (free, _) = place.claimed(bag("W1TEST01"), FIRST), usage(place)
    (other,) = restored(place, free)
    part = working.zip_path(place.settings, place.ledger.object(other)).with_suffix(".zip.part")
    part.parent.mkdir()
    with part.open("wb") as sparse:
        sparse.truncate(free)
    assert isinstance(pipeline.download_from_messages(place.context(FIRST), number), Done)


def test_working_data_that_vanishes_meanwhile_is_no_error(place: Installation, bag: Bagger) -> None:
    """Other runs finish and sweep while a run counts what they need."""
    item = place.ledger.object(place.claimed(bag("W1TEST01")))
    others = [place.ledger.object(number) for number in restored(place, 1, 1, 1, 1)]
    ended = Event()

    def come_and_go(other: LedgerObject) -> None:
        folders = working.folders_of(place.settings, other)
        for folder in folders:
            (folder / "W1" / "images").mkdir(parents=True)
            (folder / "W1" / "images" / "page").write_bytes(b"page")
        for folder in folders:
            shutil.rmtree(folder)

    def work() -> None:
        while not ended.is_set():
            for other in others:
                come_and_go(other)

    thread = Thread(target=work)
    thread.start()
    try:
        for _ in range(100):
            require_space(place.context(), item, 1)
    finally:
        ended.set()
        thread.join()
