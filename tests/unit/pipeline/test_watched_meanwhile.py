"""What happens to a watched file, or to its run, between the claim and the archive."""

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import watched
from tests.support.pipeline import Bag, Bagger, Installation, add_page, is_archived, kill, start_run
from tests.support.watched import RUN, SETTLE, claimed, put

from glacier_sync import pipeline
from glacier_sync.ledger import LedgerObject, Phase, Way
from glacier_sync.pipeline import Done, Failed, RetryLater, sync
from glacier_sync.pipeline.intake import take

RANDOM_KILLS = 4

place = watched.place


def debagged(place: Installation) -> LedgerObject:
    """Claim the one file that is there, and bring it as far as its sync."""
    (item,) = claimed(place)
    for stage in (pipeline.take_in_files, pipeline.debag_downloads):
        outcome = stage(place.context(RUN), item.id)
        assert isinstance(outcome, Done), outcome
    return item


def test_a_file_that_is_gone_is_looked_for_again_before_it_fails(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    (item,) = claimed(place)
    kept = path.rename(place.home / "elsewhere")
    outcome = pipeline.take_in_files(place.context(RUN), item.id)
    assert isinstance(outcome, RetryLater)
    assert "isn't there any more" in outcome.reason
    for _ in range(2):
        outcome = pipeline.take_in_files(place.context(RUN), item.id)
    assert isinstance(outcome, Failed)
    kept.rename(path)
    time.sleep(SETTLE)
    place.run()
    assert [found.phase for found in place.ledger.objects()] == [Phase.FAILED, Phase.SYNCED]


def test_a_file_that_was_replaced_fails_and_its_successor_is_taken(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    (item,) = claimed(place)
    successor = bag("W1TEST01", change=add_page)
    put(place, successor)
    outcome = pipeline.take_in_files(place.context(RUN), item.id)
    assert isinstance(outcome, Failed)
    assert "was changed or replaced before it was taken in" in outcome.reason
    place.run()
    assert is_archived(place, successor.works[0])
    assert not path.exists()


def test_a_file_that_is_replaced_while_it_is_unbagged_is_not_judged(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    (item,) = claimed(place)
    assert isinstance(pipeline.take_in_files(place.context(RUN), item.id), Done)
    context = replace(
        place.context(RUN), progress=lambda _stage, _number: lambda _done, _all: write(path, b"the next one")
    )
    outcome = pipeline.debag_downloads(context, item.id)
    assert isinstance(outcome, Failed)
    assert "was changed or replaced" in outcome.reason
    assert path.read_bytes() == b"the next one"
    assert place.working_data() == []


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def test_a_file_that_is_put_there_meanwhile_is_not_removed_with_its_predecessor(
    place: Installation, bag: Bagger
) -> None:
    made = bag("W1TEST01")
    put(place, made)
    item = debagged(place)
    path = put(place, made)
    assert isinstance(sync.sync(place.context(RUN), item.id), Done)
    assert path.exists()
    place.run()
    assert not path.exists()
    assert [found.phase for found in place.ledger.objects()] == [Phase.SYNCED, Phase.SYNCED]


def test_changed_permissions_do_not_make_another_file_of_it(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    assert len(claimed(place)) == 1
    path.chmod(0o600)
    time.sleep(SETTLE)
    assert len(claimed(place)) == 1
    assert len(place.ledger.objects()) == 1


def test_too_little_space_for_its_contents(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    (item,) = claimed(place)
    disk = shutil.disk_usage(place.settings.data_dir)
    more_than_is_free = (disk.free + disk.used // 2) // 2**20
    outcome = pipeline.take_in_files(place.context(RUN, keep_free_mib=more_than_is_free), item.id)
    assert isinstance(outcome, RetryLater)
    assert "make room" in outcome.reason
    assert path.exists()


# --- kills ------------------------------------------------------------------------


@pytest.mark.parametrize("done", range(5))
def test_a_run_that_ends_between_two_steps_is_finished_by_the_next(place: Installation, bag: Bagger, done: int) -> None:
    made = bag("W1TEST01")
    path = put(place, made)
    steps: list[Callable[[], object]] = [
        lambda: take(place.context(RUN), [Way.FOLDER]),
        lambda: pipeline.take_in_files(place.context(RUN), 1),
        lambda: pipeline.debag_downloads(place.context(RUN), 1),
        lambda: pipeline.plan_sync(place.context(RUN), 1),
    ]
    for step in steps[:done]:
        step()
    for item in place.ledger.objects():
        place.ledger.release(item.id, RUN, "its lease has run out")
    place.run()
    assert_done_once(place, made, path)


def test_a_kill_before_the_file_is_removed(place: Installation, bag: Bagger) -> None:
    path = put(place, bag("W1TEST01"))
    item = debagged(place)
    place.ledger.advance(item.id, RUN, Phase.SYNCED, "and then the process was killed")
    assert place.run().outcomes == {}
    assert not path.exists()
    assert place.working_data() == []


def test_killed_at_any_moment(place: Installation, bag: Bagger, dice: random.Random) -> None:
    made = bag("W1TEST01", "W1TEST02")
    path = put(place, made)
    for _ in range(RANDOM_KILLS):
        process = start_run()
        process.join(dice.uniform(0, 2))
        kill(process, with_children=True)
    place.run()
    assert_done_once(place, made, path)


def assert_done_once(place: Installation, made: Bag, path: Path) -> None:
    assert all(is_archived(place, work) for work in made.works)
    assert not path.exists()
    assert place.working_data() == []
    (item,) = place.ledger.objects()
    assert place.kinds(item.id).count("synced") == 1
