"""DAG runs made by Airflow itself (``dag.test()``), and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun

from glacier_sync.ledger import Ledger, LedgerObject
from glacier_sync.settings import load_settings

PROJECT = Path(__file__).parents[2]
DAGS = PROJECT / "airflow-docker" / "dags"


def run_dag(file: Path, dag_id: str, **options: Any) -> DagRun:
    """Run a DAG once, with the settings as they are now."""
    run: DagRun = DagBag(dag_folder=str(file)).dags[dag_id].test(**options)
    return run


def states(run: DagRun, task: str) -> dict[int, str]:
    """Return the states of a task's mapped instances, by their index."""
    return {found.map_index: str(found.state) for found in run.get_task_instances() if found.task_id == task}


def ledger_objects() -> dict[str, LedgerObject]:
    """Return what the ledger holds, by key."""
    with Ledger.open(load_settings()) as ledger:
        return {item.key: item for item in ledger.objects()}


def content(folder: Path) -> dict[str, bytes]:
    """Return a work's files, without the tag files of its bag."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].endswith(".bag")
    }
