"""Ctrl-C on a command: one line, and its own exit status. What is slow to import isn't needed for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and SIGINT's number."""

_SHOW_CURSOR = "\x1b[?25h"


def tell_interrupted() -> None:
    """Say that Ctrl-C has ended the command, and leave the terminal as it was."""
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    sys.stderr.write(f"{cursor}glacier-sync: interrupted; run it again to go on\n")
    sys.stderr.flush()


def interrupts_are_ignored() -> bool:
    """Tell whether whoever started the command has it ignore Ctrl-C."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End the process at once at Ctrl-C, within the block, where an exception could get lost.

    Python ignores one that is raised while an object is deleted, as happens
    when modules are imported. Where Ctrl-C is ignored, as in the background of a
    script, it stays so.
    """
    if interrupts_are_ignored():
        yield
        return

    def end(*_: object) -> None:
        tell_interrupted()
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
