"""The database's errors, told as the ledger's own.

What is known to pass is on a list; a wrong URL, missing rights and a missing
schema are configuration; anything else is a fault of this program and is left
as it is. Codes: PostgreSQL, "PostgreSQL Error Codes"; SQLite, "Result and
Extended Result Codes".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glacier_sync.ledger.errors import LedgerConfigurationError, LedgerUnavailableError

MIGRATE = "run the migration: python -m glacier_sync.ledger"

_NO_ANSWER = "doesn't answer"
_PASSING = {
    "08": _NO_ANSWER,
    "25006": "can be read but not written",
    "25P03": "ended the connection for idling",
    "25P04": "ended a transaction that took too long",
    "40": "gave way to another writer",
    "53100": "has no space left",
    "53": "has no resources left",
    "55P03": "is locked by another program",
    "57": _NO_ANSWER,
    "58": "has trouble with its disk",
    "SQLITE_BUSY": "is locked by another program",
    "SQLITE_LOCKED": "is locked by another program",
    "SQLITE_PROTOCOL": "is locked by another program",
    "SQLITE_INTERRUPT": "was interrupted",
    "SQLITE_READONLY": "can be read but not written",
    "SQLITE_CANTOPEN": "can't be opened",
    "SQLITE_IOERR": "has trouble with its disk",
    "SQLITE_FULL": "has no space left",
}
_SCHEMA = f"has no tables of this program's version; {MIGRATE}"
_FOREIGN = "already has tables of these names that this program didn't make; give the ledger a database of its own"
_RIGHTS = "gives this user no right to do this; grant it, or name another user in GLACIER_SYNC_LEDGER_URL"
_LOGIN = "doesn't let this user in; correct user, password and database in GLACIER_SYNC_LEDGER_URL"
_CONFIGURATION = {
    "28": _LOGIN,
    "3D000": "doesn't exist; create it, or correct its name in GLACIER_SYNC_LEDGER_URL",
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42P07": _FOREIGN,
    "42723": _FOREIGN,
    "42501": _RIGHTS,
    "SQLITE_NOTADB": "is no SQLite database; correct GLACIER_SYNC_LEDGER_URL",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
}
_CONFIGURATION_TEXTS = (
    (re.compile(r"no such (table|column)"), _SCHEMA),
    (re.compile(r"(table|index|trigger) \S+ already exists"), _FOREIGN),
    (re.compile(r"password authentication failed|no pg_hba\.conf entry|no password supplied"), _LOGIN),
    (re.compile(r"role .* does not exist"), _LOGIN),
    (re.compile(r"database .* does not exist"), _CONFIGURATION["3D000"]),
    (re.compile(r"invalid (dsn|connection option|URI query parameter)"), "can't be connected to with these options"),
)


def place(url: URL) -> str:
    """Name the database without its password."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite file {url.database}"
    return f"PostgreSQL database {url.database or ''} at {url.host or 'this machine'}:{url.port or 5432}"


@contextmanager
def told_clearly(url: URL) -> Iterator[None]:
    """Turn the database's errors into the ledger's, within the block.

    Raises LedgerUnavailableError and LedgerConfigurationError.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise _unavailable(url, "has no connection left for this program", str(error)) from error
    except MemoryError as error:
        # SQLite's driver says so of SQLITE_NOMEM.
        raise _unavailable(url, "has no memory left", type(error).__name__) from error
    except DBAPIError as error:
        cause = _without_password(url, " ".join(str(error.orig).split()))
        problem = _found(_CONFIGURATION, error) or _by_text(error)
        if problem:
            raise LedgerConfigurationError(f"the ledger ({place(url)}) {problem}", cause=cause) from error
        passing = _found(_PASSING, error)
        if passing or _connection_is_gone(error):
            raise _unavailable(url, passing or _NO_ANSWER, cause) from error
        raise


def _unavailable(url: URL, problem: str, cause: str) -> LedgerUnavailableError:
    return LedgerUnavailableError(
        f"the ledger ({place(url)}) {problem}: expected a database that answers and takes what is written; "
        "see that it does, then try again",
        cause=cause,
    )


def _found(known: dict[str, str], error: DBAPIError) -> str | None:
    code = _code(error)
    matching = [key for key in known if code.startswith(key)]
    return known[max(matching, key=len)] if matching else None


def _code(error: DBAPIError) -> str:
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error.orig, name, None)
        if code:
            return str(code)
    return ""


def _by_text(error: DBAPIError) -> str | None:
    """Read the words of errors that come without a code: SQLite's general one, a refused login."""
    text = str(error.orig)
    return next((problem for pattern, problem in _CONFIGURATION_TEXTS if pattern.search(text)), None)


def _connection_is_gone(error: DBAPIError) -> bool:
    lost = error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
    return lost and not _code(error)


def _without_password(url: URL, text: str) -> str:
    return text.replace(str(url.password), "***") if url.password else text
