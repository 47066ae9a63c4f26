"""Airflow's surroundings: set before anything imports Airflow."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support import aws as support
from tests.support.aws import REGION, Site

_HOME = Path(tempfile.mkdtemp(prefix="glacier-sync-airflow-"))
_PROJECT = Path(__file__).parents[2]

os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_PROJECT / "airflow-docker" / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(_PROJECT / "airflow-docker" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "GLACIER_SYNC_HOME": str(_HOME / "glacier-sync"),
        "GLACIER_SYNC_SCHEDULE": "*/7 * * * *",
        "GLACIER_SYNC_INTAKE_RETRIES": "1",
        "GLACIER_SYNC_INTAKE_RETRY_SECONDS": "1",
        "GLACIER_SYNC_TASK_RETRIES": "0",
        "GLACIER_SYNC_TASK_RETRY_SECONDS": "2",
        "GLACIER_SYNC_SQS_WAIT_SECONDS": "1",
    }
)

emulator = support.emulator
emulator_client = support.emulator_client
aws = support.aws


def pytest_unconfigure() -> None:
    """Leave nothing of Airflow's behind."""
    shutil.rmtree(_HOME)


@pytest.fixture(autouse=True)
def _tests_end_when_they_are_asked_to() -> Iterator[None]:
    """Airflow's tasks leave their own answer to SIGTERM behind: they fail, and the process goes on."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own database, empty."""
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True, env=os.environ)


@pytest.fixture
def site(airflow_database: None, aws: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A state folder of the test's own, with an archive's empty tree and the test's queue."""
    intake = {
        "name": "test",
        "queue": aws.queue_name,
        "region": REGION,
        "buckets": [aws.bucket],
        "events": ["ObjectRestore:Completed"],
    }
    (tmp_path / "intake.yml").write_text(yaml.safe_dump({"queues": [intake]}))
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GLACIER_SYNC_INTAKE", str(tmp_path / "intake.yml"))
    for part in range(4):
        (tmp_path / "state" / "archive" / f"Archive{part}").mkdir(parents=True)
    return aws
