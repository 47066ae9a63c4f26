"""Processes that tests start: each begins without the test's connections, and with all imported."""

import multiprocessing
import time
from threading import Lock
from typing import Any

PROCESSES = multiprocessing.get_context("forkserver")
# One server forks for all tests, so what any of them needs is named here.
PROCESSES.set_forkserver_preload(
    ["tests.support.ledger_processes", "tests.support.pipeline", "tests.support.preloaded"],
)

_PAUSE_SECONDS = 0.02

# A process's status can be read once. Whoever starts one reads those of all that have ended,
# and two threads that come to one at once find no status for the second.
_statuses = Lock()


def start(process: Any) -> None:
    """Start a process in one of several threads."""
    with _statuses:
        process.start()


def wait_for_end(process: Any, seconds: float) -> None:
    """Wait, at most so long, in one of several threads, until a process has ended."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        with _statuses:
            if not process.is_alive():
                return
        time.sleep(min(left, _PAUSE_SECONDS))
