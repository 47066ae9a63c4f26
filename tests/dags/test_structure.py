"""``sqs_scheduled_dag`` as Airflow reads it: no database, no services."""

import ast
import itertools
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

DAGS = Path(__file__).parents[2] / "airflow-docker" / "dags"
DAG_FILE = DAGS / "glacier_staging_to_sync.py"

GROUP = "restored_object"
TASKS = ["download_from_messages", "debag_downloads", "sync_debagged"]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(DAGS))


def test_every_dag_file_is_read_without_error(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert "sqs_scheduled_dag" in bag.dags


def test_the_tasks_are_in_their_order(bag: DagBag) -> None:
    dag = bag.dags["sqs_scheduled_dag"]
    ids = ["get_restored_object_messages", *(f"{GROUP}.{task}" for task in TASKS)]
    assert sorted(dag.task_ids) == sorted(ids)
    for before, after in itertools.pairwise(ids):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_each_object_has_a_mapped_group_of_its_own(bag: DagBag) -> None:
    dag = bag.dags["sqs_scheduled_dag"]
    for task in TASKS:
        assert dag.get_task(f"{GROUP}.{task}").get_closest_mapped_task_group() is not None


def test_pools_limit_what_runs_at_once(bag: DagBag) -> None:
    dag = bag.dags["sqs_scheduled_dag"]
    pools = [dag.get_task(f"{GROUP}.{task}").pool for task in TASKS]
    assert pools == ["downloads", "unbaggings", "syncs"]


def test_schedule_and_retries_come_from_settings(bag: DagBag) -> None:
    dag = bag.dags["sqs_scheduled_dag"]
    assert dag.timetable.expression == "*/7 * * * *"
    assert dag.catchup is False
    first = dag.get_task("get_restored_object_messages")
    assert (first.retries, first.retry_delay) == (1, timedelta(seconds=1))
    for task in TASKS:
        mapped = dag.get_task(f"{GROUP}.{task}")
        assert (mapped.retries, mapped.retry_delay) == (0, timedelta(seconds=2))


def test_the_bash_task_inherits_nothing(bag: DagBag) -> None:
    task = bag.dags["sqs_scheduled_dag"].get_task(f"{GROUP}.sync_debagged")
    assert task.env == {"SHLVL": "1"}
    assert task.append_env is False


def test_the_dag_file_imports_airflow_and_the_pipeline_alone() -> None:
    imported = set()
    for node in ast.walk(ast.parse(DAG_FILE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
    ours = {name for name in imported if name.startswith("glacier_sync")}
    assert ours == {"glacier_sync.pipeline"}


_IMPORT_PROBE = """
import json, sys
import airflow.dag_processing.dagbag, airflow.sdk
before = set(sys.modules)
files = set()
def note(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        files.add(str(arguments[0]))
    elif event in {"socket.connect", "sqlite3.connect", "subprocess.Popen"}:
        files.add(f"{event} {arguments}")
sys.addaudithook(note)
import runpy
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="dag_file")
heavy = {"boto3", "botocore", "moto", "PIL", "rich", "typer"}
print(json.dumps({"heavy": sorted(heavy & (set(sys.modules) - before)), "effects": sorted(files)}))
"""


def test_reading_the_dag_file_has_no_side_effects_and_imports_nothing_heavy(tmp_path: Path) -> None:
    environment = {**os.environ, "GLACIER_SYNC_HOME": str(tmp_path / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run(
        [sys.executable, "-c", _IMPORT_PROBE, str(DAG_FILE)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(probe.stdout.splitlines()[-1]) == {"heavy": [], "effects": []}
    assert not (tmp_path / "state").exists()


def test_a_wrong_setting_is_an_import_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLACIER_SYNC_TASK_RETRIES", "often")
    errors = DagBag(dag_folder=str(DAG_FILE)).import_errors
    assert len(errors) == 1
    assert "GLACIER_SYNC_TASK_RETRIES" in next(iter(errors.values()))
