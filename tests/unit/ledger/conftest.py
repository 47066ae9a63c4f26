from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.ledger import LEASE, HandClock
from tests.support.postgres import postgres_database, postgres_url

from glacier_sync.ledger import Ledger

__all__ = ["postgres_database", "postgres_url"]

OpenLedger = Callable[..., Ledger]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_database")
        return found
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def open_ledger(url: str) -> Iterator[OpenLedger]:
    """Opens the test's ledger, as often as wanted, with any clock and lease."""
    opened: list[Ledger] = []

    def opener(clock: HandClock | None = None, lease: timedelta = LEASE) -> Ledger:
        opened.append(Ledger(url, lease=lease, clock=clock))
        opened[-1].migrate()
        return opened[-1]

    yield opener
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger, clock: HandClock) -> Ledger:
    return open_ledger(clock)
