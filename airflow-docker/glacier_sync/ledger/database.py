"""The connection to the ledger's database: SQLite and PostgreSQL, one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from glacier_sync.ledger.errors import LedgerConfigurationError
from glacier_sync.ledger.faults import told_clearly

Clock = Callable[[], datetime]

_WRITES = "glacier_sync_writes"
_WRITERS_LOCK = crc32(b"glacier_sync ledger")
_LOCK_SECONDS = 30
_BUSY_PAUSE_SECONDS = 0.02
_SQLITE_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")
_POSTGRESQL_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# In the server's own zone the first or last hours of Python's years couldn't be read.
_POSTGRESQL_OPTIONS = (
    f"-c lock_timeout={_LOCK_SECONDS}s -c idle_in_transaction_session_timeout=60s -c synchronous_commit=on "
    "-c timezone=UTC"
)


class Database:
    """Sessions that read, and sessions that write while no other one does.

    Writing transactions follow one another (SQLite: BEGIN IMMEDIATE; PostgreSQL:
    an advisory lock), so that what a transaction has read is still true when it
    commits: no two of them can claim one object or one work.
    """

    def __init__(self, url: str, clock: Clock | None) -> None:
        self.url = _parsed(url)
        self._clock = clock
        self._engine = _engine(self.url)
        self._writing_engine = self._engine.execution_options(**{_WRITES: True})
        one_state = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading_engine = self._engine.execution_options(**one_state)

    @property
    def is_sqlite(self) -> bool:
        """Whether the ledger is a file."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that sees one state of the ledger and changes nothing."""
        with told_clearly(self.url), Session(self._reading_engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that commits at the end of the block, or changes nothing."""
        with told_clearly(self.url), Session(self._writing_engine) as session, session.begin():
            # Connecting begins the transaction, and with SQLite waits for the lock.
            session.connection()
            if not self.is_sqlite:
                session.execute(select(func.pg_advisory_xact_lock(_WRITERS_LOCK)))
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a writing transaction without the tables' classes: for the migrations."""
        with self.writing() as session:
            yield session.connection()

    def now(self, session: Session) -> datetime:
        """Return the time: of the clock given, of PostgreSQL's host, or with SQLite of this one."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            return datetime.now(UTC)
        moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _parsed(text: str) -> URL:
    expected = "expected sqlite:////path/to/file or postgresql://user:password@host/database"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise LedgerConfigurationError(f"GLACIER_SYNC_LEDGER_URL is no database URL: {expected}; correct it") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL names a {backend} database: {expected}; use one of these"
        )
    # What follows the first @ is taken for host and database, which messages name.
    if backend == "postgresql" and text.count("@") > 1:
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL has more than one @: {expected}, in which an @ in user or password is written "
            "%40; correct it"
        )
    if backend == "sqlite" and (url.username or url.password or url.host):
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL names a host or a user of a file: {expected}; correct it"
        )
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL names a database in memory, which would be lost with the process: {expected}"
        )
    if backend == "sqlite" and os.path.isdir(str(url.database)):  # noqa: PTH112 - the other one raises
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL names the folder {url.database}: expected the path of a file in it; correct it"
        )
    return url


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, connect_args=_arguments(url), pool_pre_ping=True)
    except (ArgumentError, ImportError) as error:
        raise LedgerConfigurationError(
            f"GLACIER_SYNC_LEDGER_URL names the driver {url.drivername!r}, which isn't installed: expected sqlite, "
            "postgresql+psycopg or postgresql+psycopg2; correct it",
            cause=str(error),
        ) from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "do_connect", _make_sqlite_file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _arguments(url: URL) -> dict[str, Any]:
    """Return the driver's arguments, those in the URL going first."""
    if url.get_backend_name() == "sqlite":
        return {} if "timeout" in url.query else {"timeout": _LOCK_SECONDS}
    defaults = {name: value for name, value in _POSTGRESQL_CONNECTION.items() if name not in url.query}
    given = url.normalized_query.get("options", ())
    return {**defaults, "options": " ".join((_POSTGRESQL_OPTIONS, *given))}


def _make_sqlite_file(_dialect: Any, _record: Any, arguments: Sequence[Any], parameters: Mapping[str, Any]) -> None:
    """Make a missing file its user's alone, as SQLite wouldn't; SQLite gives the files beside it the same mode."""
    if not parameters.get("uri"):
        # Made without being opened: closing it would take the locks of this process's other connections.
        with suppress(OSError):
            os.mknod(arguments[0], 0o600)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and late: _begin_sqlite does.
    connection.isolation_level = None
    _have_write_ahead_log(connection)
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _have_write_ahead_log(connection: Any) -> None:
    """Switch a new file to write-ahead logging, for which SQLite itself doesn't wait its turn."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
