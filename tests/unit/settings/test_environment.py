"""Settings: where each value comes from, and what a mistake is told."""

from pathlib import Path

import pytest

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings import load_settings


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    import os

    for name in [name for name in os.environ if name.startswith("GLACIER_SYNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(tmp_path))
    return tmp_path


def test_everything_is_below_the_state_folder_by_default(home: Path) -> None:
    settings = load_settings()
    assert settings.ledger_url.get_secret_value() == f"sqlite:///{home}/ledger.sqlite"
    assert settings.data_dir == home / "data"
    assert settings.archive_parent == home / "archive" / "Archive"
    assert settings.log_dir == home / "logs"
    assert settings.intake.name == "intake.yml"
    assert settings.web_parent == ""
    assert (settings.max_objects_per_run, settings.sqs_wait_seconds) == (10, 20)


def test_without_a_home_it_is_below_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLACIER_SYNC_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert load_settings().data_dir == tmp_path / "user/.local/state/glacier-sync/data"


def test_the_environment_goes_before_the_file_and_the_file_before_dot_env(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text("GLACIER_SYNC_WEB_PARENT=s3://dotenv/x\nGLACIER_SYNC_MAX_SYNCS=3\nOTHER=1\n")
    assert load_settings().web_parent == "s3://dotenv/x"
    (home / "web").write_text("s3://file/x\n")
    monkeypatch.setenv("GLACIER_SYNC_WEB_PARENT_FILE", str(home / "web"))
    assert load_settings().web_parent == "s3://file/x"
    monkeypatch.setenv("GLACIER_SYNC_WEB_PARENT", "s3://environment/x")
    assert load_settings().web_parent == "s3://environment/x"
    assert load_settings().max_syncs == 3


def test_a_secret_is_never_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "url").write_text("postgresql+psycopg2://u:very-secret@db/x")
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL_FILE", str(home / "url"))
    settings = load_settings()
    assert "very-secret" not in repr(settings)
    assert settings.ledger_url.get_secret_value().endswith("@db/x")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SQS_WAIT_SECONDS", "21", "less than or equal to 20"),
        ("MAX_OBJECTS_PER_RUN", "many", "valid integer"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("TIME_ZONE", "Mars/Olympus", "America/New_York"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"GLACIER_SYNC_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = str(caught.value)
    assert f"GLACIER_SYNC_{name}" in message
    assert repr(value) in message
    assert allowed in message
    assert "\n" not in message


def test_a_value_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL_FILE", str(home / "nowhere"))
    with pytest.raises(ConfigurationError, match=r"GLACIER_SYNC_LEDGER_URL_FILE .*nowhere"):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LOG_DIR", "")
    assert load_settings().log_dir == home / "logs"
