from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.support.ledger import LEASE, announced, record_works

from glacier_sync.errors import ConfigurationError, TransientError
from glacier_sync.ledger import Ledger, LedgerConfigurationError, LedgerUnavailableError
from glacier_sync.ledger.database import Database
from glacier_sync.ledger.faults import told_clearly

PASSWORD = "secret-word"
DRIVERS = ["postgresql+psycopg2", "postgresql+psycopg"]


def message_of(url: str, kind: type[Exception]) -> str:
    """What is said about a ledger that can't be used; checked for what no message may say."""
    with pytest.raises(kind) as caught, Ledger(url, lease=LEASE) as ledger:
        ledger.reject("nlm", "m1", "body", "reason")
    error = caught.value
    assert isinstance(error, (LedgerUnavailableError, LedgerConfigurationError))
    assert "\n" not in error.message
    assert PASSWORD not in f"{error.message} {error.cause}"
    return error.message


def execute(database: Database, *statements: str) -> None:
    with database.writing() as session:
        for statement in statements:
            session.execute(sa.text(statement))


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """A migrated SQLite ledger that waits for locks no longer than a moment."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}?timeout=0.1"
    with Ledger(url, lease=LEASE) as ledger:
        ledger.migrate()
    return url


@pytest.fixture
def postgresql(postgres_database: str) -> str:
    with Ledger(postgres_database, lease=LEASE) as ledger:
        ledger.migrate()
    return postgres_database


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is no database URL"),
        (f"not a url {PASSWORD}", "is no database URL"),
        (f"postgresql://user:{PASSWORD}@host:{PASSWORD}/ledger", "is no database URL"),
        (f"mysql://user:{PASSWORD}@host/ledger", "names a mysql database"),
        (f"postgres://user:{PASSWORD}@host/ledger", "names a postgres database"),
        (
            f"postgresql+asyncpg9://user:{PASSWORD}@host/ledger",
            "the driver 'postgresql+asyncpg9', which isn't installed",
        ),
        (f"postgresql+pg8000://user:{PASSWORD}@host/ledger", "the driver 'postgresql+pg8000', which isn't installed"),
        (f"postgresql://user:top@{PASSWORD}@host:1/ledger", "has more than one @"),
        (
            f"postgresql+psycopg://user:top@a/{PASSWORD}@host:1/ledger",
            "in which an @ in user or password is written %40",
        ),
        (f"sqlite://user:{PASSWORD}@host/ledger.sqlite", "names a host or a user of a file"),
        ("sqlite://ledger.sqlite", "names a host or a user of a file"),
        ("sqlite://", "names a database in memory"),
        ("sqlite:///:memory:", "names a database in memory"),
    ],
)
def test_a_wrong_url_is_a_wrong_setting(url: str, said: str) -> None:
    message = message_of(url, ConfigurationError)
    assert message.startswith("GLACIER_SYNC_LEDGER_URL ")
    assert said in message
    assert "expected sqlite" in message


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_is_away_is_told_without_the_password(driver: str) -> None:
    message = message_of(f"{driver}://user:{PASSWORD}@127.0.0.1:1/ledger", TransientError)
    assert message == (
        "the ledger (PostgreSQL database ledger at 127.0.0.1:1) doesn't answer: expected a database that answers "
        "and takes what is written; see that it does, then try again"
    )


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": PASSWORD}, "doesn't let this user in"),
        ({"username": "stranger", "password": PASSWORD}, "doesn't let this user in"),
        ({"database": "no such"}, "doesn't exist; create it"),
        ({"query": {"colour": "red"}}, "can't be connected to with these options"),
    ],
    ids=["password", "user", "database", "option"],
)
def test_a_login_that_is_refused_is_a_wrong_setting(
    postgres_database: str, driver: str, changes: dict[str, str], said: str
) -> None:
    url = sa.make_url(postgres_database).set(drivername=driver, **changes)
    assert said in message_of(url.render_as_string(hide_password=False), ConfigurationError)


@pytest.mark.parametrize("driver", DRIVERS)
def test_both_drivers_do_the_same(postgresql: str, driver: str) -> None:
    url = sa.make_url(postgresql).set(drivername=driver).render_as_string(hide_password=False)
    with Ledger(url, lease=LEASE) as ledger:
        (number,) = ledger.record("nlm", "m1", [announced("📜\x00/W1.zip")], [])
        assert ledger.object(number).key == "📜\x00/W1.zip"
        assert ledger.object(number).create_time.utcoffset() == timedelta()


@pytest.fixture
def powerless(postgresql: str) -> Iterator[str]:
    """The URL of a user who may not write."""
    with psycopg.connect(postgresql.replace("+psycopg2", ""), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE powerless LOGIN PASSWORD '{PASSWORD}'".encode())
        yield sa.make_url(postgresql).set(username="powerless", password=PASSWORD).render_as_string(hide_password=False)
        connection.execute("DROP ROLE powerless")


def test_a_user_without_rights_is_a_wrong_setting(powerless: str) -> None:
    assert "gives this user no right to do this" in message_of(powerless, ConfigurationError)


def test_a_read_only_server_is_told(postgresql: str) -> None:
    message = message_of(f"{postgresql}?options=-c%20default_transaction_read_only%3Don", TransientError)
    assert "can be read but not written" in message


def test_a_read_only_file_is_told(sqlite: str, tmp_path: Path) -> None:
    message = message_of(f"sqlite:///file:{tmp_path / 'ledger.sqlite'}?mode=ro&uri=true", TransientError)
    assert "can be read but not written" in message


def test_a_locked_server_is_told(postgresql: str) -> None:
    with Database(postgresql, None).writing():
        message = message_of(f"{postgresql}?options=-c%20lock_timeout%3D50", TransientError)
    assert "is locked by another program" in message


def test_a_locked_file_is_told(sqlite: str, tmp_path: Path) -> None:
    with Database(sqlite, None).writing():
        message = message_of(sqlite, TransientError)
    assert message == (
        f"the ledger (SQLite file {tmp_path / 'ledger.sqlite'}) is locked by another program: expected a database "
        "that answers and takes what is written; see that it does, then try again"
    )


def test_reading_goes_on_while_somebody_writes(sqlite: str, postgresql: str) -> None:
    for url in (sqlite, postgresql):
        with Database(url, None).writing(), Ledger(url, lease=LEASE) as ledger:
            assert ledger.objects() == []


def test_a_full_disk_is_told_and_nothing_is_recorded(sqlite: str) -> None:
    database = Database(sqlite, None)
    filler = (
        "PRAGMA max_page_count = 1",
        "CREATE TABLE filler (text)",
        "INSERT INTO filler VALUES (zeroblob(1000000))",
    )
    with pytest.raises(LedgerUnavailableError, match="has no space left"):
        execute(database, *filler)
    database.close()


@pytest.mark.parametrize(
    ("attribute", "code", "said"),
    [
        ("sqlite_errorname", "SQLITE_PROTOCOL", "is locked by another program"),
        ("sqlite_errorname", "SQLITE_INTERRUPT", "was interrupted"),
        ("sqlstate", "25P04", "ended a transaction that took too long"),
    ],
)
def test_what_needs_a_race_or_a_newer_server_is_told(attribute: str, code: str, said: str) -> None:
    original = sqlite3.OperationalError("in a driver's words")
    setattr(original, attribute, code)
    with pytest.raises(LedgerUnavailableError, match=said), told_clearly(sa.make_url("sqlite:///ledger.sqlite")):
        raise sa.exc.OperationalError("BEGIN", None, original)


def test_a_lack_of_memory_is_told() -> None:
    """SQLite's own limit would hold for the tests to come, too."""
    with (
        pytest.raises(LedgerUnavailableError, match="has no memory left"),
        told_clearly(sa.make_url("sqlite:///ledger.sqlite")),
    ):
        raise MemoryError


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    # Its write-ahead log has a longer name than a file may have.
    message = message_of(f"sqlite:///{path}", TransientError)
    assert f"(SQLite file {path}) can't be opened" in message


def test_a_folder_in_the_place_of_the_file_is_a_wrong_setting(tmp_path: Path) -> None:
    message = message_of(f"sqlite:///{tmp_path}", ConfigurationError)
    assert message == (
        f"GLACIER_SYNC_LEDGER_URL names the folder {tmp_path}: expected the path of a file in it; correct it"
    )


def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("a letter of more than a hundred characters " * 100, encoding="ascii")
    assert "is no SQLite database" in message_of(f"sqlite:///{path}", ConfigurationError)


def test_a_ledger_without_tables_says_how_to_make_them(url: str) -> None:
    message = message_of(url, ConfigurationError)
    assert "has no tables of this program's version; run the migration: python -m glacier_sync.ledger" in message


def test_a_connection_that_ends_in_the_middle_changes_nothing(postgresql: str) -> None:
    with Ledger(postgresql, lease=LEASE) as ledger:
        record_works(ledger, "W1")
        database = Database(postgresql, None)
        change = "UPDATE glacier_sync_progress SET phase = 'failed'"
        with pytest.raises(LedgerUnavailableError, match="doesn't answer"):
            execute(database, change, "SELECT pg_terminate_backend(pg_backend_pid())")
        database.close()
        assert [row.phase for row in ledger.objects()] == ["restored"]


def test_a_restart_of_the_server_between_two_calls_goes_unnoticed(postgresql: str) -> None:
    with Ledger(postgresql, lease=LEASE) as ledger:
        record_works(ledger, "W1")
        with psycopg.connect(postgresql.replace("+psycopg2", ""), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        record_works(ledger, "W2")
        assert len(ledger.objects()) == 2


def test_a_fault_of_the_program_is_not_taken_for_one_of_the_database(url: str) -> None:
    database = Database(url, None)
    with pytest.raises(sa.exc.DBAPIError):
        execute(database, "SELEKT")
    database.close()
