from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from tests.support.ledger import LEASE, announced, dag_run, record_works

from glacier_sync.ledger import Ledger, LedgerConfigurationError
from glacier_sync.ledger.database import Database
from glacier_sync.ledger.migrating import scripts
from glacier_sync.ledger.models import Base
from glacier_sync.settings import Settings

ROOT = Path(__file__).parents[3]
SITES_COLUMNS = {
    "id",
    "object_name",
    "restore_requested_on",
    "restore_complete_on",
    "download_complete_on",
    "debag_complete_on",
    "sync_complete_on",
    "user_data",
    "create_time",
    "update_time",
}

ROWS_OF_THE_FIRST_SCHEMA = (
    "INSERT INTO glacier_sync_progress (id, object_name, user_data, create_time, update_time, queue, bucket, "
    "object_key, etag, event_name, content, identity, rid, phase, attempt, unknown_errors, claim_run, claim_host, "
    "claim_until, claim_count) VALUES (1, 'a/W1.zip', '[]', '2026-03-01 12:00', '2026-03-01 12:00', 'nlm', "
    "'staging', 'a/W1.zip', 'e', 'ObjectRestore:Completed', 'c', 'i', 'W1', 'downloaded', 1, 0, 'run', 'host', "
    "'2026-03-01 12:15', 1)",
    "INSERT INTO glacier_sync_work (id, object_id, rid, files, bytes, phase) VALUES (1, 1, 'W1', 2, 3, 'debagged')",
    "INSERT INTO glacier_sync_event (id, object_id, time, kind, message, details) "
    "VALUES (1000, 1, '2026-03-01 12:00', 'downloaded', 'downloaded', '{}')",
)


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def opened(url: str) -> Ledger:
    return Ledger.open(Settings(ledger_url=SecretStr(url)))


@pytest.fixture
def new(url: str) -> str:
    """A database that is migrated."""
    with Ledger(url, lease=LEASE) as ledger:
        ledger.migrate()
    return url


def test_migrating_twice_keeps_what_is_there(url: str) -> None:
    with Ledger(url, lease=LEASE) as ledger:
        ledger.migrate()
        record_works(ledger, "W1")
        ledger.migrate()
        assert len(ledger.objects()) == 1
    with opened(url) as ledger:
        assert len(ledger.objects()) == 1


def test_an_earlier_schema_is_brought_here_with_all_it_holds(url: str) -> None:
    database = Database(url, None)
    config = Config()
    config.set_main_option("script_location", "glacier_sync.ledger:migrations")
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0001")
    database.close()
    execute(url, *ROWS_OF_THE_FIRST_SCHEMA)
    with pytest.raises(LedgerConfigurationError, match=r"has schema 0001, expected \d+: run the migration"):
        opened(url)
    with Ledger(url, lease=LEASE) as ledger:
        ledger.migrate()
        (item,) = ledger.objects()
        assert (item.key, item.phase, item.claimed_by, item.progress) == ("a/W1.zip", "downloaded", "run", None)
        assert [work.rid for work in item.works] == ["W1"]
        assert [event.message for event in ledger.events(item.id)] == ["downloaded"]
        assert ledger.hold(item.id, dag_run("next")).claim_count == 2


def test_the_migrations_make_what_the_models_say(new: str) -> None:
    engine = sa.create_engine(new)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "glacier_sync_schema"})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_columns_of_the_sites_are_there(new: str) -> None:
    engine = sa.create_engine(new)
    columns = {column["name"]: column for column in sa.inspect(engine).get_columns("glacier_sync_progress")}
    engine.dispose()
    assert columns.keys() >= SITES_COLUMNS
    assert isinstance(columns["object_name"]["type"], sa.VARCHAR)
    assert columns["object_name"]["type"].length == 255
    assert all(columns[name]["nullable"] for name in SITES_COLUMNS if name.endswith("_on"))


def test_no_phase_but_the_known_ones_can_be_stored(new: str) -> None:
    with Ledger(new, lease=LEASE) as ledger:
        record_works(ledger, "W1")
    with pytest.raises(sa.exc.IntegrityError):
        execute(new, "UPDATE glacier_sync_progress SET phase = 'lost'")


def test_a_missing_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "state" / "of it" / "ledger.sqlite"
    with opened(f"sqlite:///{path}") as ledger:
        assert ledger.objects() == []
    assert path.exists()


def test_a_file_left_empty_by_a_killed_process_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    with opened(f"sqlite:///{path}") as ledger:
        assert ledger.objects() == []


@pytest.mark.parametrize(
    ("folder", "why"),
    [("state", "File exists"), ("state/below", "Not a directory"), ("n" * 300, "File name too long")],
)
def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path, folder: str, why: str) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(LedgerConfigurationError, match=rf"the ledger's folder .* can't be made: {why}"):
        opened(f"sqlite:///{tmp_path / folder / 'ledger.sqlite'}")


def test_a_new_file_is_its_users_alone_and_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    before = os.umask(0o022)
    try:
        with opened(f"sqlite:///{path}") as ledger:
            ledger.record("nlm", "m1", [announced()], [])
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
            path.chmod(0o640)
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}
    opened(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_server_without_tables_is_not_migrated_in_passing(postgres_database: str) -> None:
    with pytest.raises(LedgerConfigurationError, match=r"has schema none, expected \d+: run the migration: python -m"):
        opened(postgres_database)


def test_a_newer_schema_is_told_and_left_alone(new: str) -> None:
    execute(new, "UPDATE glacier_sync_schema SET version_num = 'tomorrow'")
    with pytest.raises(LedgerConfigurationError, match=r"has schema tomorrow, expected .*: a newer program made it"):
        opened(new)
    with (
        Ledger(new, lease=LEASE) as ledger,
        pytest.raises(LedgerConfigurationError, match="a newer program made it"),
    ):
        ledger.migrate()


def test_tables_of_another_program_are_told_and_left_alone(url: str) -> None:
    execute(url, "CREATE TABLE glacier_sync_progress (id INTEGER)", "INSERT INTO glacier_sync_progress VALUES (7)")
    with Ledger(url, lease=LEASE) as ledger, pytest.raises(LedgerConfigurationError, match="didn't make"):
        ledger.migrate()
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == ["glacier_sync_progress"]
    engine.dispose()


def test_another_program_may_keep_its_own_migrations_beside(url: str) -> None:
    execute(url, "CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('x')")
    with Ledger(url, lease=LEASE) as ledger:
        ledger.migrate()
        assert ledger.objects() == []


def test_a_server_that_does_not_store_utf8_is_told(postgres_url: str) -> None:
    execute_outside(postgres_url, "CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0")
    narrow = sa.make_url(postgres_url).set(database="narrow").render_as_string(hide_password=False)
    with Ledger(narrow, lease=LEASE) as ledger, pytest.raises(LedgerConfigurationError, match="stores text as LATIN1"):
        ledger.migrate()
    execute_outside(postgres_url, "DROP DATABASE narrow WITH (FORCE)")


@pytest.mark.parametrize(
    ("zone", "expiry"),
    [("America/New_York", datetime.min.replace(tzinfo=UTC)), ("Asia/Tokyo", datetime.max.replace(tzinfo=UTC))],
)
def test_a_server_in_another_zone_reads_every_time(postgres_database: str, zone: str, expiry: datetime) -> None:
    execute_outside(postgres_database, f"ALTER ROLE tester SET timezone TO '{zone}'")
    try:
        with Ledger(postgres_database, lease=LEASE) as ledger:
            ledger.migrate()
            ledger.record("nlm", "m1", [announced(expiry=expiry)], [])
            assert [item.restore_expiry for item in ledger.claim(dag_run("one"), 5)] == [expiry]
    finally:
        execute_outside(postgres_database, "ALTER ROLE tester RESET timezone")


def execute_outside(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def run_migration(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glacier_sync.ledger"],
        env={**os.environ, **environment},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_migrates_from_an_installed_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {"PYTHONPATH": str(tmp_path / "site"), "GLACIER_SYNC_HOME": str(tmp_path / "home")}
    for _ in range(2):
        done = run_migration(tmp_path, environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "the ledger's tables are of this program's version\n"
    with opened(f"sqlite:///{tmp_path / 'home' / 'ledger.sqlite'}") as ledger:
        assert ledger.objects() == []


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    done = run_migration(tmp_path, {"GLACIER_SYNC_LEDGER_URL": "mysql://user:secret-word@host/ledger"})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "names a mysql database" in done.stderr
    assert "secret-word" not in done.stderr


def test_the_migrations_files_are_named_by_their_versions_in_order() -> None:
    steps = list(ScriptDirectory.from_config(scripts()).walk_revisions())
    assert [Path(step.path).name[:6] for step in steps] == [f"v{step.revision}_" for step in steps]
    assert [step.revision for step in steps] == sorted((step.revision for step in steps), reverse=True)
