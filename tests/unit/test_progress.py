"""How progress is worded, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from glacier_sync.progress import ProgressLines, worded

MIB = 2**20


@pytest.mark.parametrize(
    ("done", "in_all", "rate", "text"),
    [
        (512 * MIB, 2048 * MIB, 100 * MIB, "512 of 2,048 MiB (25 %), 100 MiB/s, 0:00:15 left"),
        (1, 7200 * MIB, MIB, "0 of 7,200 MiB (0 %), 1 MiB/s, 2:00:00 left"),
        (5 * MIB, 10 * MIB, 0, "5 of 10 MiB (50 %), 0 MiB/s"),
        (10 * MIB, 10 * MIB, 3 * MIB, "10 of 10 MiB (100 %), 3 MiB/s"),
        (0, 0, 0, "0 of 0 MiB (100 %), 0 MiB/s"),
    ],
)
def test_progress_is_worded_with_rate_and_time_left(done: int, in_all: int, rate: float, text: str) -> None:
    assert worded(done, in_all, rate) == text


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
