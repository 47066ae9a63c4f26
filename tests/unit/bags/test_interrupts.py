"""Ctrl-C at every line that makes or removes something: all is there, or nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.support.bag_builder import BagBuilder, make_work

from glacier_sync import bags
from glacier_sync.bags.interrupts import interrupts_held_back

MOST_LINES = 2_000


@contextmanager
def interrupted_at_line(number: int, file: str) -> Iterator[list[str]]:
    """Send this process SIGINT before the so-manieth line of a file that it executes; gives the lines."""
    lines: list[str] = []

    def local(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            lines.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
            if len(lines) == number:
                sys.settrace(before)
                os.kill(os.getpid(), signal.SIGINT)
        return local

    def called(frame: FrameType, _: str, __: Any) -> Callable[..., Any] | None:
        return local if frame.f_code.co_filename.endswith(file) else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield lines
    finally:
        sys.settrace(before)


def interrupted_everywhere(action: Callable[[], Any], file: str, check: Callable[[str], None]) -> int:
    """Do an action again and again, interrupted one line later each time; return how many lines there were."""
    for number in range(1, MOST_LINES):
        with interrupted_at_line(number, file) as lines:
            try:
                action()
            except KeyboardInterrupt:
                pass
            else:
                assert len(lines) < number, f"the interrupt before {lines[-1]} got lost"
        check(lines[-1])
        if len(lines) < number:
            return len(lines)
    raise AssertionError(f"more than {MOST_LINES} lines")


@pytest.mark.parametrize("made", [False, True], ids=["new folder", "folder"])
def test_unpacking_leaves_all_or_nothing(tmp_path: Path, made: bool) -> None:
    path, to = BagBuilder().zip(tmp_path), tmp_path / "new" / "to"
    seen: list[set[str]] = []
    if made:
        to.mkdir(parents=True)

    def check(line: str) -> None:
        left = {str(entry.relative_to(to)) for entry in to.rglob("*")}
        seen.append(left)
        assert not left or "W1/W1.bag/bagit.txt" in left, line
        assert not [name for name in left if name.startswith(".")], line
        assert made or left or not to.parent.exists(), line

    def unbag() -> None:
        bags.unbag(path, to, workers=1, replace=True)

    assert interrupted_everywhere(unbag, "bags/workspace.py", check) > 50
    assert set() in seen
    assert len({frozenset(left) for left in seen if left}) == 1


def test_making_a_bag_leaves_the_zip_or_nothing(tmp_path: Path) -> None:
    work, to = make_work(tmp_path, "W1TEST01"), tmp_path / "to"
    to.mkdir()

    def check(line: str) -> None:
        assert [entry.name for entry in to.iterdir()] in ([], ["W1TEST01.bag.zip"]), line

    def make() -> None:
        bags.make_bag_zip([work], to / "W1TEST01.bag.zip")

    assert interrupted_everywhere(make, "bags/making.py", check) > 50


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held_back():  # noqa: PT012 - what follows in the block is the test
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        done.append("all of the block")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_and_where_interrupts_are_ignored_nothing_changes() -> None:
    handlers = []

    def look() -> None:
        with interrupts_held_back():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        look()
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [before, signal.SIG_IGN]
