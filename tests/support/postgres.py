"""A real PostgreSQL for the tests: private, on a free port, gone when they end.

Import the fixtures into a ``conftest.py``: ``postgres_url`` is a database
for all tests, ``postgres_database`` the same one, emptied for the test at hand.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from tests.support.needs import lacking
from tests.support.ports import free_port

_BINARIES = Path("/usr/lib/postgresql")
_SECONDS_TO_START = 60
_PASSWORD = "word-of-the-tests"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
}


class PostgresServer:
    """A server of the tests' own, with its data below ``folder``; it can be stopped and started again."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._log = folder / "log"
        password = folder / "password"
        password.write_text(_PASSWORD, encoding="ascii")
        self._unprivileged = _as_unprivileged(folder, password)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        data = ["-D", folder / "data", "-U", "tester", "--auth=scram-sha-256", f"--pwfile={password}"]
        options = ["--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [*self._unprivileged, binaries / "initdb", *data, *options]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its database."""
        return f"postgresql+psycopg2://tester:{_PASSWORD}@127.0.0.1:{self._port}/postgres"

    @property
    def number(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        where = ["-D", self._folder / "data", "-h", "127.0.0.1", "-p", str(self._port), "-k", ""]
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [*self._unprivileged, self._binaries / "postgres", *where, *settings]
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            with self._log.open("ab") as output:
                self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self._folder)
            if _answers(self._process, _plain(self.url), deadline):
                return
            if time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL didn't start:\n{self._log.read_text(errors='replace')}")
            # What a killed server has left may still be ending, and keeps the next one from its memory.
            time.sleep(0.2)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: with SIGINT its connections are ended first, SIGKILL leaves them to find out."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=60)


@contextmanager
def postgres_server(folder: Path | None = None) -> Iterator[PostgresServer]:
    """Start a server, with its data in a folder that it makes unless one is given."""
    binaries = _newest_binaries()
    if binaries is None:
        lacking("PostgreSQL isn't installed: apt-get install postgresql")
    # The server's user must be able to enter the folder, which pytest's own doesn't allow.
    place = folder or Path(tempfile.mkdtemp(prefix="glacier-sync-postgres-"))
    try:
        server = PostgresServer(binaries, place)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        if folder is None:
            shutil.rmtree(place)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Start a server and return the SQLAlchemy URL of its database."""
    with postgres_server() as server:
        yield server.url


@pytest.fixture
def postgres_database(postgres_url: str) -> str:
    """Empty the database for one test and return its SQLAlchemy URL."""
    with psycopg.connect(_plain(postgres_url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    return postgres_url


def _plain(url: str) -> str:
    return re.sub(r"^postgresql\+\w+", "postgresql", url)


def _newest_binaries() -> Path | None:
    found = [path.parent for path in _BINARIES.glob("*/bin/initdb") if path.parts[-3].isdigit()]
    return max(found, key=lambda path: int(path.parts[-2]), default=None)


def _as_unprivileged(*owned: Path) -> list[str]:
    """PostgreSQL refuses to run as root: return the words that make another user run it, who gets these paths."""
    if os.geteuid() != 0:
        return []
    for path in owned:
        shutil.chown(path, "nobody")
    # Dies with the tests, even if they are killed.
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=INT"]


def _answers(server: subprocess.Popen[bytes], url: str, deadline: float) -> bool:
    """Wait until a server answers, or has ended."""
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(url).close()
            return True
        time.sleep(0.05)
    server.kill()
    server.wait()
    return False
