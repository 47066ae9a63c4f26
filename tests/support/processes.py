"""Processes that tests start: each begins without the test's connections, and with all imported."""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
# One server forks for all tests, so what any of them needs is named here.
PROCESSES.set_forkserver_preload(
    ["tests.support.ledger_processes", "tests.support.pipeline", "tests.support.preloaded"],
)
