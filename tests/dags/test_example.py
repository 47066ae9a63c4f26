"""The example of a site's own DAG: it runs when works were synced, and learns of each of them."""

import json
import shutil
import time
from pathlib import Path

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select, update
from tests.support.aws import Site
from tests.support.dags import DAGS, PROJECT, ledger_objects, run_dag, run_what_is_triggered, states

from glacier_sync.demo.samples import make_samples

EXAMPLE = PROJECT / "airflow-docker" / "examples" / "on_synced_works.py"


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A site's folder of DAGs: the product's, and the example."""
    folder = tmp_path / "dags"
    shutil.copytree(DAGS, folder)
    shutil.copy(EXAMPLE, folder)
    bundles = [
        {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
    ]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
    return folder


def test_a_run_of_it_follows_a_sync_and_has_a_task_for_each_work(
    site: Site, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow gets to know it, and it deals with what other tests have synced.
    run_dag(bundle / EXAMPLE.name, "on_synced_works")
    unpause("on_synced_works")
    watched = tmp_path / "watched"
    watched.mkdir()
    monkeypatch.setenv("GLACIER_SYNC_WATCHED_DIR", str(watched))
    monkeypatch.setenv("GLACIER_SYNC_SETTLE_SECONDS", "0.2")
    samples = {sample.works[0].name: sample for sample in make_samples(tmp_path / "samples")}
    shutil.copy(samples["W1GS0077"].zip_path, watched)
    time.sleep(0.2)
    run_dag(bundle / "FileWatcherDebagSync.py", "down_scheduled")

    run = run_what_is_triggered(bundle / EXAMPLE.name, "on_synced_works")
    assert str(run.state) == "success"
    assert states(run, "tell") == {0: "success", 1: "success"}
    (item,) = ledger_objects().values()
    assert told_by(run) == {f"{work.rid} is in the archive at {work.destination}" for work in item.works}

    again = run_dag(bundle / EXAMPLE.name, "on_synced_works")
    assert states(again, "tell") == {-1: "skipped"}, "nothing is told of twice"


def unpause(dag_id: str) -> None:
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=False))


def told_by(run: DagRun) -> set[str]:
    said = select(XComModel).where(XComModel.run_id == run.run_id, XComModel.task_id == "tell")
    with create_session() as session:
        return {XComModel.deserialize_value(found) for found in session.scalars(said)}
