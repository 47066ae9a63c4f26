"""The ledger's schema: is it this program's, and bringing it there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from sqlalchemy import Column, String, inspect, select, table, text
from sqlalchemy.orm import Session

from glacier_sync.ledger.database import Database
from glacier_sync.ledger.errors import LedgerConfigurationError
from glacier_sync.ledger.faults import MIGRATE, place

# The database may be shared with another program that Alembic migrates.
VERSION_TABLE = "glacier_sync_schema"

_STEPS = Path(__file__).parent / "migrations" / "versions"


def migrate(database: Database) -> None:
    """Bring the schema to this program's version, in one transaction; nothing if it is there.

    Raises LedgerConfigurationError if it is newer, if the tables' names are
    taken or the database doesn't store UTF-8; LedgerUnavailableError.
    """
    with database.writing() as session:
        if not database.is_sqlite:
            _check_encoding(database, session)
        steps = _steps()
        if not _is_behind(steps, _found(session)):
            _check_found(database, session, steps)
            return
        # Alembic takes longer to import than a command that finds all in order takes in all.
        import_module("glacier_sync.ledger.migrating").upgrade(session.connection())


def check(database: Database) -> None:
    """Raise LedgerConfigurationError unless the schema is this program's version."""
    with database.reading() as session:
        _check_found(database, session, _steps())


def is_empty(database: Database) -> bool:
    """Tell whether the database has never been migrated."""
    with database.reading() as session:
        return _found(session) is None


def _check_found(database: Database, session: Session, steps: list[str]) -> None:
    found, expected = _found(session), steps[0]
    if found == expected:
        return
    where = f"the ledger ({place(database.url)}) has schema {found or 'none'}, expected {expected}"
    if _is_behind(steps, found):
        raise LedgerConfigurationError(f"{where}: {MIGRATE}")
    raise LedgerConfigurationError(f"{where}: a newer program made it; install that version")


def _is_behind(steps: list[str], found: str | None) -> bool:
    return found is None or found in steps[1:]


def _found(session: Session) -> str | None:
    if not inspect(session.connection()).has_table(VERSION_TABLE):
        return None
    version: Column[str] = Column("version_num", String)
    return session.execute(select(version).select_from(table(VERSION_TABLE))).scalar_one_or_none()


def _steps() -> list[str]:
    """Return the versions that this program knows, newest first: of ``v0002_in_hand.py`` it is 0002."""
    steps = (re.fullmatch(r"v(\d{4})_\w+\.py", path.name) for path in _STEPS.iterdir())
    return sorted((step[1] for step in steps if step), reverse=True)


def _check_encoding(database: Database, session: Session) -> None:
    encoding = session.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise LedgerConfigurationError(
            f"the ledger ({place(database.url)}) stores text as {encoding}, expected UTF8: "
            "create it with ENCODING 'UTF8'"
        )
