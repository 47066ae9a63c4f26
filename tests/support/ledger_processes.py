"""What other processes do to a ledger in tests: claim, record, migrate, hang until they are killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text
from tests.support.ledger import LEASE, announced, dag_run, work_key
from tests.support.processes import PROCESSES

from glacier_sync.ledger import Ledger, Run
from glacier_sync.ledger.database import Database
from glacier_sync.settings import Settings


def start(work: Callable[..., None], *arguments: object) -> tuple[Any, Connection]:
    """Start a process that does the work; its results come through the connection."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=work, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    return process, here


def together(count: int, work: Callable[..., None], *arguments: object) -> list[Any]:
    """Let several processes do the work at the same moment; return what each sent."""
    barrier = PROCESSES.Barrier(count)
    started = [start(work, number, barrier, *arguments) for number in range(count)]
    results = [connection.recv() for _, connection in started]
    for process, _ in started:
        process.join()
    return results


def claim_all(results: Connection, number: int, barrier: Any, url: str) -> None:
    """Claim a few objects at a time, until there are none."""
    run, mine = dag_run(str(number)), 0
    with Ledger(url, lease=LEASE) as ledger:
        barrier.wait()
        while len(rows := ledger.claim(run, mine + 10)) > mine:
            mine = len(rows)
        results.send([row.id for row in rows])


def record_all(results: Connection, number: int, barrier: Any, url: str) -> None:
    """Record the same messages as the others do."""
    with Ledger(url, lease=LEASE) as ledger:
        barrier.wait()
        new: list[int] = []
        for message in range(10):
            found = [announced(work_key(f"W{message}")), announced(work_key(f"W{message}-2"))]
            new += ledger.record("nlm", f"m{message}", found, [])
        results.send(new)


def open_new(results: Connection, number: int, barrier: Any, url: str) -> None:
    """Open a ledger that doesn't exist yet."""
    settings = Settings(ledger_url=SecretStr(url))
    barrier.wait()
    with Ledger.open(settings) as ledger:
        results.send(len(ledger.objects()))


def migrate(results: Connection, number: int, barrier: Any, url: str) -> None:
    """Migrate a database."""
    with Ledger(url, lease=LEASE) as ledger:
        barrier.wait()
        ledger.migrate()
        results.send(len(ledger.objects()))


def claim_and_hang(results: Connection, url: str) -> None:
    """Claim as this very process, then do nothing more."""
    with Ledger(url, lease=timedelta(hours=1)) as ledger:
        results.send([row.id for row in ledger.claim(Run.of_this_process(), 10)])
        time.sleep(600)


def write_and_hang(results: Connection, url: str) -> None:
    """Change a row and hang before the commit."""
    with Database(url, None).writing() as session:
        session.execute(text("UPDATE glacier_sync_progress SET phase = 'failed'"))
        results.send("written")
        time.sleep(600)
