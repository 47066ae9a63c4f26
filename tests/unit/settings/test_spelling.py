"""Variables that look like settings and are none."""

import re
import subprocess
from pathlib import Path

import pytest

from glacier_sync.settings import unknown_variables

PROJECT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GLACIER_SYNC_WORKER", "GLACIER_SYNC_WORKERS"),
        ("GLACIER_SYNC_ARCHIV_PARENT", "GLACIER_SYNC_ARCHIVE_PARENT"),
        ("GLACIER_SYNC_LEDGER_URL_FIEL", "GLACIER_SYNC_LEDGER_URL_FILE"),
        ("GLACIER_SYNC_QQZZJJ", "one that docs/settings.md lists"),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_one_is_told_with_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch, home: Path, name: str, expected: str, where: str
) -> None:
    if where == ".env":
        (home / ".env").write_text(f"{name}=x\nOTHER_VARIABLE=y\n")
    else:
        monkeypatch.setenv(name, "x")
    assert unknown_variables() == [
        f"{name} is no setting and changes nothing: expected {expected}; correct its name, or unset it"
    ]


def test_what_a_script_or_a_deployment_sets_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    files = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "*.sh",
            "bin",
            "Dockerfile-bdrc",
            "bdrc-docker-compose.yml",
            "docs",
            "airflow-docker",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
    text = "".join((PROJECT / file).read_text("utf-8", "replace") for file in files if (PROJECT / file).is_file())
    names = set(re.findall(r"(?<![A-Z_])GLACIER_SYNC_[A-Z_]*[A-Z](?!_)\b", text))
    assert len(names) > 30
    for name in names - {"GLACIER_SYNC_HOME"}:
        monkeypatch.setenv(name, "x")
    assert unknown_variables() == []
