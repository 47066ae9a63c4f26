"""Ctrl-C, and what must not be cut in two by it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, however often it comes.

    Python raises it between any two steps: also between making a file and the ``try``
    that would remove it. Only the main thread is interrupted; in any other one, and
    where Ctrl-C is ignored or ends the process at once, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def closed_whole() -> Iterator[ExitStack]:
    """Give a stack of what is to be closed at the end, all of it, however often Ctrl-C comes then."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        with interrupts_held_back():
            stack.close()
