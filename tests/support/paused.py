"""Runs that are stopped: never in the middle of a transaction, which nobody could end while they sleep."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing

from sqlalchemy.engine import make_url

from glacier_sync.settings import Settings

_PAUSE = 0.02


def leave_ledger(pid: int, settings: Settings) -> None:
    """Let a process that is stopped go on until it has no lock on the ledger, where that is SQLite's."""
    while _ledger_is_locked(settings):
        os.kill(pid, signal.SIGCONT)
        time.sleep(_PAUSE)
        os.kill(pid, signal.SIGSTOP)


def _ledger_is_locked(settings: Settings) -> bool:
    url = make_url(settings.ledger_url.get_secret_value())
    if url.database is None or not url.drivername.startswith("sqlite"):
        return False
    with closing(sqlite3.connect(url.database, timeout=_PAUSE, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False
