"""The ledger's database in trouble while the pipeline runs: nothing is believed that isn't recorded."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from tests.faults import invariants
from tests.faults.cases import Case, happen
from tests.faults.cases import boundaries as reached_boundaries
from tests.faults.conftest import Note
from tests.faults.hooks import boundaries
from tests.faults.invariants import Findings
from tests.faults.scene import SECONDS, Scene, Scenes, Strike
from tests.support.disks import disk, remount
from tests.support.pipeline import Bag, Bagger, show_again
from tests.support.postgres import PostgresServer, postgres_server

from glacier_sync.ledger import Ledger, LedgerUnavailableError

# Boundaries of a run between its first look at the ledger and its bash.
EARLY = range(20, 150)
MANY, MANY_KILLS = 20, 30
NEXT_RUN_SECONDS = 5
# Its own files take some 40 MiB; the rest can be filled.
SERVERS_DISK = "size=80M"


@pytest.fixture
def made(scenes: Scenes, bag: Bagger) -> Bag:
    found = bag("W1TEST01")
    scenes.store(found)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def scene(scenes: Scenes, made: Bag, server: PostgresServer) -> Iterator[Scene]:
    """A bag that is announced to a pipeline whose ledger is PostgreSQL's."""
    execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    with scenes.scene(made, ledger_url=server.url) as made_scene:
        yield made_scene


def execute(server: PostgresServer, *statements: LiteralString) -> None:
    with psycopg.connect(server.url.replace("+psycopg2", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def settle(scene: Scene) -> Findings:
    """Judge what a run has left, then let the next ones finish it."""
    found = invariants.at_any_time(scene)
    scene.recover()
    found.add(invariants.in_the_end(scene))
    return found


def test_a_server_that_goes_away(scene: Scene, server: PostgresServer, note: Note, dice: random.Random) -> None:
    goes_away(scene, server, dice, note)


@pytest.mark.slow_faults
def test_a_server_that_goes_away_for_a_minute(
    scene: Scene, server: PostgresServer, note: Note, dice: random.Random
) -> None:
    goes_away(scene, server, dice, note, seconds=60)


def goes_away(scene: Scene, server: PostgresServer, dice: random.Random, note: Note, *, seconds: float = 0) -> None:
    """Killed at a boundary of a run, in which it doesn't come back; nor does it in the next ones."""
    assert scene.struck(Strike(str(server.number), at=dice.choice(EARLY)))
    began = time.monotonic()
    while True:
        scene.place.ledger.close()
        with pytest.raises(LedgerUnavailableError):
            scene.place.run()
        if time.monotonic() - began >= seconds:
            break
        time.sleep(NEXT_RUN_SECONDS)
    server.stop()
    server.start()
    note("ledger: the server goes away", settle(scene))


def test_a_server_that_is_restarted(scene: Scene, server: PostgresServer, note: Note, dice: random.Random) -> None:
    """In the middle of a run, which goes on or ends, as it comes."""
    running = scene.stopped(dice.choice(EARLY))
    server.stop()
    server.start()
    go_on(running)
    note("ledger: the server is restarted", settle(scene))


def go_on(running: Any) -> None:
    """Let a run go on that was stopped, to its end."""
    os.killpg(running.pid, signal.SIGCONT)
    running.join(SECONDS)
    assert not running.is_alive()


def test_connections_that_are_ended(scene: Scene, server: PostgresServer, note: Note) -> None:
    """Again and again, all that the run has."""
    scene.place.ledger.close()
    times = 0
    with ThreadPoolExecutor(1) as pool:
        while not times:
            running = pool.submit(scene.boundaries)
            while not running.done():
                times += end_connections(server)
                time.sleep(0.1)
            running.result()
    note("ledger: its connections are ended", settle(scene), times)


def end_connections(server: PostgresServer) -> int:
    """End all connections; return how many there were."""
    with psycopg.connect(server.url.replace("+psycopg2", ""), autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return ended.rowcount


def test_a_server_that_is_read_only(scene: Scene, server: PostgresServer, note: Note) -> None:
    execute(server, "ALTER DATABASE postgres SET default_transaction_read_only = on")
    scene.place.ledger.close()
    with pytest.raises(LedgerUnavailableError, match="can be read but not written"):
        scene.place.run()
    execute(
        server,
        "SET default_transaction_read_only = off",
        "ALTER DATABASE postgres SET default_transaction_read_only = off",
    )
    scene.place.ledger.close()
    note("ledger: the server is read-only", settle(scene))


@pytest.fixture
def small_server() -> Iterator[tuple[PostgresServer, Path]]:
    """A server on a small disk of its own, and where that is mounted."""
    # The server's user must be able to enter the folder.
    folder = Path(tempfile.mkdtemp(prefix="glacier-sync-postgres-"))
    try:
        with disk(folder, SERVERS_DISK), postgres_server(folder) as running:
            yield running, folder
    finally:
        folder.rmdir()


def test_a_server_whose_disk_is_full(
    scenes: Scenes, made: Bag, small_server: tuple[PostgresServer, Path], note: Note, dice: random.Random
) -> None:
    """Before a run, and at a boundary of one."""
    filled(scenes, made, small_server, note, dice, times=1)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_a_server_whose_disk_is_full_anywhere(
    scenes: Scenes, made: Bag, small_server: tuple[PostgresServer, Path], note: Note, dice: random.Random
) -> None:
    filled(scenes, made, small_server, note, dice, times=MANY)


def filled(
    scenes: Scenes,
    made: Bag,
    small_server: tuple[PostgresServer, Path],
    note: Note,
    dice: random.Random,
    *,
    times: int,
) -> None:
    server, folder = small_server
    for at in [dice.choice(EARLY) for _ in range(times)]:
        execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        with scenes.scene(made, ledger_url=server.url) as scene:
            boundaries.fill(str(folder))
            (problem,) = scene.place.run().problems
            assert "has no space left" in str(problem)
            found = invariants.at_any_time(scene)
            (folder / boundaries.FILLER).unlink()
            show_again(scene.place.site)
            struck = scene.struck(Strike(str(folder), at=at))
            (folder / boundaries.FILLER).unlink(missing_ok=True)
            found.add(settle(scene))
            note("ledger: the server's disk is full", found, 1 + struck)


def test_a_file_on_a_disk_that_is_read_only(scenes: Scenes, made: Bag, note: Note) -> None:
    with scenes.scene(made, small="ledger") as scene:
        scene.place.ledger.close()
        remount(scene.place.home / "ledger", "ro")
        with pytest.raises(LedgerUnavailableError):
            scene.place.run()
        scene.place.ledger.close()
        remount(scene.place.home / "ledger", "rw")
        note("ledger: the file's disk is read-only", settle(scene))


def test_a_file_that_is_locked(scenes: Scenes, made: Bag, note: Note, dice: random.Random) -> None:
    """By a program that begins to write and doesn't end for longer than a run waits."""
    with scenes.scene(made) as scene:
        other = sqlite3.connect(scene.place.home / "ledger" / "ledger.sqlite", isolation_level=None)
        running = scene.stopped(dice.choice(["aws.ranges:_write", "hashing.writing:write"]))
        other.execute("BEGIN IMMEDIATE")
        go_on(running)
        other.close()
        assert not any(item.phase.is_terminal for item in scene.place.ledger.objects())
        note("ledger: another program locks the file", settle(scene))


def test_killed_at_boundaries_with_postgresql(
    scenes: Scenes, made: Bag, server: PostgresServer, note: Note, dice: random.Random
) -> None:
    killed(scenes, made, server, note, dice, times=2)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_killed_at_many_boundaries_with_postgresql(
    scenes: Scenes, made: Bag, server: PostgresServer, note: Note, dice: random.Random
) -> None:
    killed(scenes, made, server, note, dice, times=MANY_KILLS)


def killed(scenes: Scenes, made: Bag, server: PostgresServer, note: Note, dice: random.Random, *, times: int) -> None:
    """The run at statements and commits, and somewhere in the run that goes on; each case has a database."""
    with databases(server, times + 1) as urls:
        reached = reached_boundaries(scenes, made, ledger_url=urls[0])
        chosen = dice.sample([at for at, place in enumerate(reached, 1) if place.startswith("ledger.")], times)
        cases = [
            Case([made], [Strike(dice.choice(["run", "group"]), at=at), again(dice)], {"ledger_url": url})
            for at, url in zip(chosen, urls[1:], strict=True)
        ]
        outcome = happen(scenes, cases)
    note.cases("killed at a boundary: with PostgreSQL", outcome)
    assert outcome.strikes >= times


def again(dice: random.Random) -> Strike:
    return Strike("group", at=dice.randint(1, EARLY.stop))


@contextmanager
def databases(server: PostgresServer, times: int) -> Iterator[list[str]]:
    """Make databases that have the ledger's tables, and yield their URLs."""
    execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    with Ledger(server.url, lease=timedelta(minutes=1)) as ledger:
        ledger.migrate()
    names = [f"case{number}" for number in range(times)]
    try:
        for name in names:
            make = sql.SQL("CREATE DATABASE {} TEMPLATE postgres").format(sql.Identifier(name))
            administer(server, make)
        yield [f"{server.url.removesuffix('postgres')}{name}" for name in names]
    finally:
        for name in names:
            administer(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def administer(server: PostgresServer, statement: sql.Composed) -> None:
    """Do what touches another database, from one that nobody makes copies of."""
    url = f"{server.url.replace('+psycopg2', '').removesuffix('postgres')}template1"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
