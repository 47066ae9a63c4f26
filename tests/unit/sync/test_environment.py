"""The variables of the bash task."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glacier_sync.settings import Settings
from glacier_sync.sync import bash_environment

# Early on the third in London, it is still the second in New York.
STAMP = datetime(2025, 1, 3, 3, 15, 9, tzinfo=UTC)

KNOWN = {
    "PATH", "HOME", "LANG", "TZ", "hostName", "userName", "jobDateTime", "jobDate", "jobTime",
    "syncLogDateTimeDir", "syncLogDateTimeFile", "syncLogTempDir", "auditToolLogDateTimeDir",
    "logDipVersion", "auditToolVersion", "DB_CONFIG", "DEBUG_SYNC",
    "archiveParent", "archiveMarker", "webParent", "successWorkList",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, db_config="prod:db.conf", web_parent="s3://web/x")


def test_it_is_the_list_that_sites_know(settings: Settings, tmp_path: Path) -> None:
    found = bash_environment(settings, STAMP, {})
    logs = tmp_path / "logs"
    assert set(found) == KNOWN
    assert found["jobDateTime"] == "2025-01-02_22.15.09"
    assert (found["jobDate"], found["jobTime"]) == ("2025-01-02", "22.15.09")
    assert found["syncLogDateTimeDir"] == f"{logs}/sync-logs/2025-01-02/2025-01-02_22.15.09"
    assert found["syncLogDateTimeFile"] == f"{found['syncLogDateTimeDir']}/sync-2025-01-02_22.15.09.log"
    assert found["auditToolLogDateTimeDir"] == f"{logs}/audit-test-logs/2025-01-02/2025-01-02_22.15.09"
    assert found["DB_CONFIG"] == "prod:db.conf"
    assert found["archiveParent"] == f"{tmp_path}/archive/Archive"
    assert found["webParent"] == "s3://web/x"
    assert all(found[name] for name in KNOWN - {"DEBUG_SYNC", "archiveMarker"})


def test_the_stamp_is_in_the_sites_time_zone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, time_zone="Asia/Kathmandu")
    assert bash_environment(settings, STAMP, {})["jobDateTime"] == "2025-01-03_09.00.09"


def test_the_projects_commands_go_first_on_the_path(settings: Settings) -> None:
    path = bash_environment(settings, STAMP, {"PATH": "/somewhere/else"})["PATH"].split(":")
    assert path[:2] == [str(settings.bin_dir), str(Path(sys.executable).parent)]
    assert path[2:] == ["/usr/local/bin", "/usr/bin", "/bin"]


def test_only_what_is_known_is_taken_over_and_no_secret(settings: Settings, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    inherited = {
        "HOME": "/home/someone",
        "DEBUG_SYNC": "1",
        "logDipVersion": "2.0",
        "auditToolVersion": "1.0",
        "AWS_PROFILE": "p",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ACCESS_KEY_ID": "secret",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "GLACIER_SYNC_LEDGER_URL": "secret",
        "RANDOM": "x",
    }
    found = bash_environment(settings, STAMP, inherited)
    assert set(found) - KNOWN == {"AWS_PROFILE", "AWS_ENDPOINT_URL"}
    assert "secret" not in found.values()
    taken = ("HOME", "DEBUG_SYNC", "logDipVersion", "auditToolVersion")
    assert {name: found[name] for name in taken} == {name: inherited[name] for name in taken}
    credentials.touch()
    assert bash_environment(settings, STAMP, inherited)["AWS_SHARED_CREDENTIALS_FILE"] == str(credentials)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "proxy:3128"),
        ("http://a-user:secret@proxy:3128", "http://proxy:3128"),
        ("https://a-user:se/cr@et@proxy:3128/", "https://proxy:3128/"),
        ("a-user:secret@proxy:3128", "proxy:3128"),
    ],
)
def test_a_proxy_is_taken_over_without_its_password(settings: Settings, given: str, shown: str) -> None:
    names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]
    found = bash_environment(settings, STAMP, {**dict.fromkeys(names, given), "NO_PROXY": ".here,127.0.0.1"})
    assert {name: found[name] for name in names} == dict.fromkeys(names, shown)
    assert (found["NO_PROXY"], "no_proxy" in found) == (".here,127.0.0.1", False)


def test_a_user_without_a_name_has_a_number(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)
    assert bash_environment(settings, STAMP, {})["userName"] == "2000000001"
