"""How progress is worded, and how often."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from glacier_sync.progress import Meter, Pace, ProgressLines

MIB = 2**20


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    return found


@pytest.mark.parametrize(
    ("pace", "text"),
    [
        (Pace(512 * MIB, 2048 * MIB, 100 * MIB, seconds=1), "512 of 2,048 MiB (25 %), 100 MiB/s, 0:00:15 left"),
        (Pace(1, 7200 * MIB, 10 * MIB, seconds=10), "0 of 7,200 MiB (0 %), 1 MiB/s, 2:00:00 left"),
        (Pace(5 * MIB, 10 * MIB, 0, seconds=1), "5 of 10 MiB (50 %), 0 MiB/s"),
        (Pace(10 * MIB, 10 * MIB, 3 * MIB, seconds=1), "10 of 10 MiB (100 %), 3 MiB/s"),
        (Pace(12 * MIB, 10 * MIB, 3 * MIB, seconds=1), "12 of 10 MiB (120 %), 3 MiB/s"),
        (Pace(0, 0, 0, seconds=0), "0 of 0 MiB (100 %), 0 MiB/s"),
    ],
)
def test_progress_is_worded_with_rate_and_time_left(pace: Pace, text: str) -> None:
    assert str(pace) == text


def test_a_meter_measures_from_the_first_call(clock: Clock) -> None:
    meter = Meter()
    assert meter.pace is None
    meter(300, 1000)
    clock.now += 5
    meter(400, 1000)
    assert meter.pace == Pace(400, 1000, gained=100, seconds=5)


@pytest.mark.parametrize("another", [(0, 1000), (400, 2000)], ids=["begun again", "another total"])
def test_a_meter_begins_anew_with_something_else(clock: Clock, another: tuple[int, int]) -> None:
    meter = Meter()
    meter(300, 1000)
    clock.now += 5
    meter(*another)
    assert meter.pace == Pace(*another, gained=0, seconds=0)


def test_short_work_shows_nothing() -> None:
    shown: list[str] = []
    progress = ProgressLines(shown.append, timedelta(hours=1))
    progress(1, 2)
    progress(2, 2)
    assert shown == []


def test_a_line_is_shown_each_time_the_interval_is_over() -> None:
    shown: list[str] = []
    progress = ProgressLines(shown.append, timedelta(0))
    progress(1 * MIB, 2 * MIB)
    progress(2 * MIB, 2 * MIB)
    assert [line.partition(" (")[0] for line in shown] == ["1 of 2 MiB", "2 of 2 MiB"]


def test_what_was_there_already_is_no_part_of_the_rate() -> None:
    shown: list[str] = []
    progress = ProgressLines(shown.append, timedelta(0))
    progress(1000 * MIB, 2000 * MIB)
    progress(1000 * MIB, 2000 * MIB)
    assert [line.partition("%), ")[2] for line in shown] == ["0 MiB/s", "0 MiB/s"]
