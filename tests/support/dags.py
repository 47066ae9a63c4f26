"""DAG runs made by Airflow itself (``dag.test()``), and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dagrun import DagRun
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import select

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


def run_what_is_triggered(file: Path, dag_id: str) -> DagRun:
    """Let Airflow's scheduler make the run that assets' events ask for; run its tasks as ``dag.test()`` does."""
    runner = SchedulerJobRunner(Job())
    with create_session() as session, prohibit_commit(session) as guard:
        runner._create_dagruns_for_dags(guard, session)
    dag = DagBag(dag_folder=str(file)).dags[dag_id]
    with create_session() as session:
        asked_for = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_type == DagRunType.ASSET_TRIGGERED)
        run: DagRun = session.scalars(asked_for).one()
        run.dag = runner.scheduler_dag_bag.get_dag_for_run(run, session)
        run.state = DagRunState.RUNNING
        while run.state == DagRunState.RUNNING:
            waiting, _ = run.update_state(session=session)
            session.commit()
            for instance in waiting:
                instance.try_number += 1
                session.commit()
                _run_task(ti=instance, task=dag.task_dict[instance.task_id])
            session.expire_all()
        return run
