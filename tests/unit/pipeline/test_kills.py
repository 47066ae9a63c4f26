"""``glacier-sync run`` killed at any moment: the next runs finish it, once, and leave nothing."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import (
    Bagger,
    Installation,
    end_children,
    is_archived,
    kill,
    messages_left,
    show_again,
    start_run,
)

from glacier_sync.ledger import Phase
from glacier_sync.pipeline import fixity, leftovers

RID = "W1TEST01"
SECONDS = 120
RANDOM_KILLS = 6


@pytest.fixture
def runs() -> Iterator[list[Any]]:
    """The runs that a test has started; what they have left running ends with it."""
    started: list[Any] = []
    yield started
    for process in started:
        end_children(process)


def run_until_done(place: Installation) -> None:
    """Run again until everything is settled: what a killed run started may still be working."""
    until = time.monotonic() + SECONDS
    while messages_left(place.site) or any(not item.phase.is_terminal for item in place.ledger.objects()):
        assert time.monotonic() < until, place.ledger.events()[-5:]
        show_again(place.site)
        place.run()


def reached(place: Installation, phase: Phase) -> Callable[[], bool]:
    return lambda: any(item.phase.rank >= phase.rank for item in place.ledger.objects())


def exists(folder: Path, pattern: str) -> Callable[[], bool]:
    def look() -> bool:
        # A folder may vanish between two steps of the look.
        with suppress(FileNotFoundError):
            return next(folder.glob(pattern), None) is not None
        return False

    return look


def moments(place: Installation) -> dict[str, Callable[[], bool]]:
    """Name moments of a run in their order, each with what tells that it has come."""
    settings = place.settings
    place_in_tree = place.archived(RID)
    return {
        "the object is recorded": reached(place, Phase.RESTORED),
        "the download has begun": exists(settings.download_dir, "*/*.part"),
        "the zip is there": exists(settings.download_dir, "*/*.zip"),
        "the object is downloaded": reached(place, Phase.DOWNLOADED),
        "unbagging has begun": exists(settings.work_dir, "*/.unbag-*/content/*"),
        "a work is unpacked": exists(settings.work_dir, f"*/{RID}"),
        "the object is debagged": reached(place, Phase.DEBAGGED),
        "the bash has begun": exists(settings.log_dir, "sync-logs/*/*"),
        "the source is audited": exists(settings.log_dir, f"audit-test-logs/*/*/*-{RID}-*.csv"),
        "the copy has begun": exists(place_in_tree.parent, f".{RID}.partial"),
        "the copy has its name": place_in_tree.exists,
        "the first work is settled": lambda: any(
            work.phase.is_terminal for item in place.ledger.objects() for work in item.works
        ),
        "the object is synced": reached(place, Phase.SYNCED),
    }


def assert_all_is_done(place: Installation, works: tuple[Path, ...]) -> None:
    for work in works:
        assert is_archived(place, work)
        assert fixity.check(place.settings, place.ledger, work.name).intact
    for item in place.ledger.objects():
        kinds = place.kinds(item.id)
        assert {kind: kinds.count(kind) for kind in ("restored", "downloaded", "debagged", "synced")} == {
            "restored": 1,
            "downloaded": 1,
            "debagged": 1,
            "synced": 1,
        }
        assert item.unknown_errors == 0
        assert item.claimed_by is None
    leftovers.sweep(place.context())
    assert place.working_data() == []


def test_killed_at_one_moment_after_the_other(place: Installation, bag: Bagger, runs: list[Any]) -> None:
    """The process is killed at each moment in turn, now alone, now with all that it has started."""
    made = bag("W1TEST01", "W1TEST02")
    place.restored(made)
    met = []
    for number, (moment, has_come) in enumerate(moments(place).items()):
        process = start_run()
        runs.append(process)
        until = time.monotonic() + SECONDS
        while not has_come() and process.is_alive() and time.monotonic() < until:
            time.sleep(0.001)
        if has_come():
            met.append(moment)
        kill(process, with_children=number % 2 == 0)
        show_again(place.site)
    print("met", met)
    # A moment that is shorter than a look may be missed; those that stay can't be.
    assert {"the object is recorded", "the object is downloaded", "the object is debagged"} <= set(met)
    run_until_done(place)
    assert_all_is_done(place, made.works)
    assert len(place.ledger.objects()) == 1


def test_killed_at_any_moment(place: Installation, bag: Bagger, runs: list[Any], dice: random.Random) -> None:
    bagged = [bag("W1TEST01", "W1TEST02"), bag("W1TEST03"), bag("W1TEST04")]
    for made in bagged:
        place.restored(made)
    for _ in range(RANDOM_KILLS):
        process = start_run()
        runs.append(process)
        process.join(dice.uniform(0, 2))
        kill(process, with_children=dice.random() < 0.5)
        show_again(place.site)
    run_until_done(place)
    assert_all_is_done(place, tuple(work for made in bagged for work in made.works))
    assert len(place.ledger.objects()) == len(bagged)
