"""The DAGs as Airflow reads them: no database, no services."""

import ast
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, ParamValidationError
from airflow.sdk.execution_time.context import set_current_context

from glacier_sync import pipeline
from glacier_sync.pipeline import dag_tasks

DAGS = Path(__file__).parents[2] / "airflow-docker" / "dags"
DAG_FILES = sorted(DAGS.glob("*.py"))


@dataclass(frozen=True)
class Way:
    """One of the two ways in: its DAG, the task that claims, the group and its tasks with their pools."""

    dag_id: str
    claims: str
    group: str
    pools: dict[str, str]

    @property
    def task_ids(self) -> list[str]:
        return [self.claims, *self.grouped]

    @property
    def grouped(self) -> list[str]:
        return [f"{self.group}.{task}" for task in self.pools]


SHARED = {"debag_downloads": "unbaggings", "sync_debagged": "syncs"}
WAYS = [
    Way(
        "sqs_scheduled_dag",
        "get_restored_object_messages",
        "restored_object",
        {"download_from_messages": "downloads", **SHARED},
    ),
    Way("down_scheduled", "get_watched_files", "watched_file", {"take_in_files": "default_pool", **SHARED}),
]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(DAGS))


@pytest.fixture(params=WAYS, ids=[way.dag_id for way in WAYS])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def dag(bag: DagBag, way: Way) -> Any:
    return bag.dags[way.dag_id]


def test_every_dag_file_is_read_without_error(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == {"feeder", *(way.dag_id for way in WAYS)}


def test_the_feeder_runs_one_at_a_time_and_its_tasks_wait_for_nothing(bag: DagBag) -> None:
    dag = bag.dags["feeder"]
    assert dag.max_active_runs == 1
    assert dag.timetable.expression == "*/7 * * * *"
    assert set(dag.task_ids) == {"feed_watched_folder", "clear_retention_folder"}
    assert not any(dag.get_task(task).upstream_task_ids for task in dag.task_ids)


def test_the_tasks_are_in_their_order(dag: Any, way: Way) -> None:
    assert sorted(dag.task_ids) == sorted(way.task_ids)
    for before, after in itertools.pairwise(way.task_ids):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_each_object_has_a_mapped_group_of_its_own(dag: Any, way: Way) -> None:
    for task in way.grouped:
        assert dag.get_task(task).get_closest_mapped_task_group() is not None


def test_pools_limit_what_runs_at_once(dag: Any, way: Way) -> None:
    assert [dag.get_task(task).pool for task in way.grouped] == list(way.pools.values())


def test_both_ways_share_the_tasks_from_debag_on(bag: DagBag) -> None:
    for task in SHARED:
        functions = {bag.dags[way.dag_id].get_task(f"{way.group}.{task}").python_callable for way in WAYS}
        assert len(functions) == 1


def test_schedule_and_retries_come_from_settings(dag: Any, way: Way) -> None:
    assert dag.timetable.expression == "*/7 * * * *"
    assert dag.catchup is False
    first = dag.get_task(way.claims)
    assert (first.retries, first.retry_delay) == (1, timedelta(seconds=1))
    for task in way.grouped:
        mapped = dag.get_task(task)
        assert (mapped.retries, mapped.retry_delay) == (0, timedelta(seconds=2))


def test_the_bash_task_inherits_nothing(dag: Any, way: Way) -> None:
    task = dag.get_task(f"{way.group}.sync_debagged")
    assert task.env == {"SHLVL": "1"}
    assert task.append_env is False


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.name)
def test_a_dag_file_imports_airflow_and_the_pipeline_alone(file: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
    ours = {name for name in imported if name.startswith("glacier_sync")}
    assert {".".join(name.split(".")[:2]) for name in ours} == {"glacier_sync.pipeline"}


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
for file in sys.argv[1:]:
    runpy.run_path(file, run_name="dag_file")
heavy = {"boto3", "botocore", "moto", "PIL", "rich", "typer"}
print(json.dumps({"heavy": sorted(heavy & (set(sys.modules) - before)), "effects": sorted(files)}))
"""


def test_reading_the_dag_files_has_no_side_effects_and_imports_nothing_heavy(tmp_path: Path) -> None:
    environment = {**os.environ, "GLACIER_SYNC_HOME": str(tmp_path / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run(
        [sys.executable, "-c", _IMPORT_PROBE, *map(str, DAG_FILES)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(probe.stdout.splitlines()[-1]) == {"heavy": [], "effects": []}
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("dag_id", ["sqs_scheduled_dag", "down_scheduled"])
def test_a_run_can_be_told_to_fail_in_a_form_that_explains_itself(bag: DagBag, dag_id: str) -> None:
    parameters = bag.dags[dag_id].params
    found = parameters.get_param("simulate_failures")
    assert found.resolve() is None
    assert "GLACIER_SYNC_ALLOW_SIMULATED_FAILURES" in found.schema["description_md"]
    found.resolve({"stage": "debag_downloads", "rate": 0.5, "outcome": "retry"})
    for wrong in ({"stage": "audit", "rate": 1}, {"stage": "debag_downloads", "rate": 2}, "debag_downloads"):
        with pytest.raises(ParamValidationError):
            found.resolve(wrong)


def test_a_run_that_may_not_fail_on_purpose_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"simulate_failures": {"stage": "debag_downloads", "rate": 1}}
    instance = SimpleNamespace(dag_id="sqs_scheduled_dag", run_id="r", try_number=1, max_tries=3)
    run = SimpleNamespace(logical_date=None, run_after=None)
    monkeypatch.delenv("GLACIER_SYNC_ALLOW_SIMULATED_FAILURES", raising=False)
    with (
        set_current_context({"ti": instance, "dag_run": run, "params": asked}),  # type: ignore[arg-type,typeddict-item]
        pytest.raises(AirflowFailException, match="ALLOW_SIMULATED_FAILURES doesn't allow it here"),
    ):
        dag_tasks.opened_for_task()


def test_an_object_that_waits_is_skipped() -> None:
    with pytest.raises(AirflowSkipException, match="its restore is awaited"):
        dag_tasks._settled(pipeline.Waiting("its restore is awaited"))


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.name)
def test_a_wrong_setting_is_an_import_error_with_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLACIER_SYNC_TASK_RETRIES", "often")
    errors = DagBag(dag_folder=str(file)).import_errors
    assert len(errors) == 1
    assert "GLACIER_SYNC_TASK_RETRIES" in next(iter(errors.values()))
