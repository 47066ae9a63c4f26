"""Stages whose ledger goes away, comes back, takes nothing: they are tried again, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from pydantic import SecretStr
from tests.support.disks import disk
from tests.support.ledger import LEASE, announced
from tests.support.pipeline import Bagger, Installation
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.stages import FIRST, stage

from glacier_sync import pipeline
from glacier_sync.errors import PermanentError
from glacier_sync.ledger import Ledger, LedgerObject, LedgerUnavailableError, Phase
from glacier_sync.pipeline import Context, Done, RetryLater
from glacier_sync.pipeline.intake import take
from glacier_sync.pipeline.stage import run_stage

FULL_MIB = 1


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


def execute(server: PostgresServer, *statements: LiteralString) -> None:
    with psycopg.connect(server.url.replace("+psycopg2", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def context(place: Installation, server: PostgresServer) -> Iterator[Context]:
    """A run whose ledger is PostgreSQL's, with one object in hand."""
    execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    settings = place.settings.model_copy(update={"ledger_url": SecretStr(server.url)})
    with Ledger.from_settings(settings) as ledger:
        ledger.migrate()
        yield Context(**{**vars(place.context(FIRST)), "settings": settings, "ledger": ledger})


@pytest.fixture
def number(context: Context, place: Installation, bag: Bagger) -> int:
    place.restored(bag("W1TEST01"))
    (item,) = take(context).objects
    return item.id


def test_a_server_that_goes_away_in_the_middle_of_a_stage_costs_a_try(
    context: Context, number: int, server: PostgresServer
) -> None:
    def interrupted(inner: Context, item: LedgerObject) -> Done:
        server.stop()
        inner.ledger.advance(item.id, inner.run, Phase.DOWNLOADED, "never recorded")
        return Done("never")

    outcome = run_stage(context, stage(interrupted), number)
    assert isinstance(outcome, RetryLater)
    assert "doesn't answer" in outcome.reason
    assert isinstance(pipeline.download_from_messages(context, number), RetryLater)
    server.start()
    item = context.ledger.object(number)
    assert (item.phase, item.claimed_by, item.unknown_errors) == (Phase.RESTORED, FIRST.name, 0)
    assert isinstance(pipeline.download_from_messages(context, number), Done)
    assert context.ledger.object(number).phase is Phase.DOWNLOADED


def test_a_failure_that_could_not_be_recorded_is_met_again(
    context: Context, number: int, server: PostgresServer
) -> None:
    def invalid(_context: Context, _item: LedgerObject) -> Done:
        server.stop()
        raise PermanentError("the bag is torn")

    assert isinstance(run_stage(context, stage(invalid), number), RetryLater)
    server.start()
    assert context.ledger.object(number).phase is Phase.RESTORED


def test_a_restart_in_the_middle_of_a_stage_goes_unnoticed(
    context: Context, number: int, server: PostgresServer
) -> None:
    def restarted(inner: Context, item: LedgerObject) -> Done:
        server.stop()
        server.start()
        inner.ledger.advance(item.id, inner.run, Phase.DOWNLOADED, "recorded")
        return Done("done")

    assert isinstance(run_stage(context, stage(restarted), number), Done)
    assert context.ledger.object(number).phase is Phase.DOWNLOADED


def test_a_server_that_takes_nothing_is_tried_again(context: Context, number: int, server: PostgresServer) -> None:
    execute(server, "ALTER DATABASE postgres SET default_transaction_read_only = on")
    context.ledger.close()
    outcome = pipeline.download_from_messages(context, number)
    execute(
        server,
        "SET default_transaction_read_only = off",
        "ALTER DATABASE postgres SET default_transaction_read_only = off",
    )
    context.ledger.close()
    assert isinstance(outcome, RetryLater)
    assert "can be read but not written" in outcome.reason
    assert isinstance(pipeline.download_from_messages(context, number), Done)


def fill(path: Path) -> None:
    """Write a file until its disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def record_many(ledger: Ledger) -> None:
    """Record more than the room that the database has left from before."""
    for count in range(100):
        ledger.record("test", f"m{count}", [announced(f"{count}/{'long' * 200}/W{count}.zip")], [])


def test_a_file_on_a_full_disk_takes_all_again_when_there_is_room(
    place: Installation, bag: Bagger, empty_ledger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    with disk(folder, f"size={FULL_MIB}M"):
        shutil.copy(empty_ledger, folder)
        with Ledger(f"sqlite:///{folder / empty_ledger.name}", lease=LEASE) as ledger:
            context = Context(**{**vars(place.context(FIRST)), "ledger": ledger})
            place.restored(bag("W1TEST01"))
            (item,) = take(context).objects
            filler = folder / "filler"
            fill(filler)
            with pytest.raises(LedgerUnavailableError, match="has no space left"):
                record_many(ledger)
            before = ledger.events()
            outcome = pipeline.download_from_messages(context, item.id)
            assert isinstance(outcome, RetryLater)
            filler.unlink()
            assert isinstance(pipeline.download_from_messages(context, item.id), Done)
            assert ledger.object(item.id).phase is Phase.DOWNLOADED
            assert ledger.events()[: len(before)] == before
