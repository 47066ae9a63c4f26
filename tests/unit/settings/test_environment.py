"""Settings: where each value comes from, and what a mistake is told."""

import os
from pathlib import Path

import pytest

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings import load_settings


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
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
    ("name", "value", "expected"),
    [
        ("SQS_WAIT_SECONDS", "21", "20 or less"),
        ("MAX_OBJECTS_PER_RUN", "many", "a whole number"),
        ("MAX_OBJECTS_PER_RUN", "2.5", "a whole number"),
        ("MAX_OBJECTS_PER_RUN", "9" * 5000, "a smaller whole number"),
        ("WORKERS", "0", "1 or more"),
        ("RETENTION_DAYS", "long", "a number"),
        ("LEASE_MINUTES", "0", "more than 0"),
        ("LEASE_MINUTES", "inf", "10080 or less"),
        ("LEASE_MINUTES", "nan", "10080 or less"),
        ("TASK_RETRY_SECONDS", "1e300", "86400 or less"),
        ("ALLOW_SIMULATED_FAILURES", "perhaps", "true or false"),
        ("TIME_ZONE", "Mars/Olympus", "a time zone's name such as America/New_York"),
        ("ARCHIVE_MARKER", "some/file", "the name of a file without its folder"),
        ("DATA_DIR", "~nobody-of-this-name/data", "a path that begins with no user's name, or with one that this"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"GLACIER_SYNC_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = caught.value.message
    assert message.startswith(f"settings: GLACIER_SYNC_{name} is {value!r}, expected {expected}")
    assert message.endswith("; correct it in the environment or in .env")


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLACIER_SYNC_WORKERS", "0")
    monkeypatch.setenv("GLACIER_SYNC_MAX_SYNCS", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message == (
        "settings: GLACIER_SYNC_WORKERS is '0', expected 1 or more; GLACIER_SYNC_MAX_SYNCS is 'x', "
        "expected a whole number; correct it in the environment or in .env"
    )


@pytest.mark.parametrize("where", ["environment", "file", ".env"])
def test_a_state_folder_of_an_unknown_user_is_told(monkeypatch: pytest.MonkeyPatch, home: Path, where: str) -> None:
    if where == "environment":
        monkeypatch.setenv("GLACIER_SYNC_HOME", "~nobody-of-this-name")
    elif where == "file":
        (home / "value").write_text("~nobody-of-this-name")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("GLACIER_SYNC_HOME")
        monkeypatch.setenv("GLACIER_SYNC_HOME_FILE", str(home / "value"))
    else:
        monkeypatch.delenv("GLACIER_SYNC_HOME")
        monkeypatch.setenv("HOME", str(home))
        (home / ".local/state/glacier-sync").mkdir(parents=True)
        (home / ".local/state/glacier-sync/.env").write_text("GLACIER_SYNC_HOME=~nobody-of-this-name\n")
    with pytest.raises(ConfigurationError, match="GLACIER_SYNC_HOME is '~nobody-of-this-name', expected a path"):
        load_settings()


def test_a_dot_env_that_is_no_text_is_told(home: Path) -> None:
    (home / ".env").write_bytes(b"GLACIER_SYNC_WEB_PARENT=\xff\n")
    with pytest.raises(ConfigurationError, match=r"/\.env can't be read .*expected settings in UTF-8"):
        load_settings()


@pytest.mark.parametrize("wrong", ["GLACIER_SYNC_WORKERS: 3", "GLACIER_SYNC_WORKERS", "= 3", "'no end=3"])
def test_a_line_of_dot_env_that_is_no_setting_is_told_by_its_number(home: Path, wrong: str) -> None:
    (home / ".env").write_text(f"# settings\n\nOTHER='two\nlines'\n{wrong}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message == (
        f"{home}/.env, line 5, is no setting: expected NAME=value, or a comment; correct it"
    )


def test_a_value_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL_FILE", str(home / "nowhere"))
    with pytest.raises(ConfigurationError, match=r"GLACIER_SYNC_LEDGER_URL_FILE .*nowhere"):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LOG_DIR", "")
    assert load_settings().log_dir == home / "logs"


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "cn-north-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "cn-north-1"}, "cn-north-1"),
        ({"AWS_REGION": "us-gov-west-1", "AWS_DEFAULT_REGION": "cn-north-1"}, "us-gov-west-1"),
    ],
)
def test_the_web_images_region_is_amazons_own_setting(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().web_region == region


def test_the_state_folder_is_made_for_its_user_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = home / "below" / "state"
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(made))
    before = os.umask(0o022)
    try:
        load_settings().make_home()
    finally:
        os.umask(before)
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o700, 0o755)


def test_a_state_folder_that_is_there_keeps_its_mode(home: Path) -> None:
    home.chmod(0o750)
    load_settings().make_home()
    assert home.stat().st_mode & 0o777 == 0o750


def test_a_state_folder_that_cannot_be_made_is_told_by_who_needs_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(home / "file" / "state"))
    load_settings().make_home()
