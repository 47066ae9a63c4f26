"""``sqs_scheduled_dag`` run by Airflow itself (``dag.test()``), against the emulator."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.sdk.execution_time.context import set_current_context
from tests.support.aws import REGION, Site, aws, emulator, emulator_client  # noqa: F401 - fixtures

from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.ledger import Ledger, LedgerObject, Phase
from glacier_sync.settings import load_settings

DAG_FILE = Path(__file__).parents[2] / "airflow-docker" / "dags" / "glacier_staging_to_sync.py"
GROUP = "restored_object"


@pytest.fixture(scope="session", autouse=True)
def _airflow_database() -> None:
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True, env=os.environ)


@pytest.fixture
def site(aws: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:  # noqa: F811
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


@pytest.fixture
def dag_run() -> Iterator[DagRun]:
    """The DAG, run once."""
    dag = DagBag(dag_folder=str(DAG_FILE)).dags["sqs_scheduled_dag"]
    return dag.test()


def restore(site: Site, samples: list[Sample]) -> None:
    for sample in samples:
        site.client.put_archived(sample.zip_path, site.bucket, sample.key)
        site.client.request_restore(site.bucket, sample.key)


@pytest.fixture
def samples(site: Site, tmp_path: Path) -> list[Sample]:
    made = make_samples(tmp_path / "samples")
    restore(site, made)
    return made


def ledger_objects() -> dict[str, LedgerObject]:
    with Ledger.open(load_settings()) as ledger:
        return {item.key: item for item in ledger.objects()}


def states(run: DagRun, task: str) -> dict[int, str]:
    return {found.map_index: str(found.state) for found in run.get_task_instances() if found.task_id == task}


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].endswith(".bag")
    }


def test_good_objects_are_archived_and_bad_ones_are_red_squares_of_their_own(
    site: Site, samples: list[Sample], dag_run: DagRun, tmp_path: Path
) -> None:
    items = ledger_objects()
    index = {item.id: position for position, item in enumerate(sorted(items.values(), key=lambda item: item.id))}
    for sample in samples:
        item = items[sample.key]
        assert item.phase is (Phase.FAILED if sample.fault else Phase.SYNCED), item.failure_reason
        expected = "failed" if sample.fault and item.works else "upstream_failed" if sample.fault else "success"
        assert states(dag_run, f"{GROUP}.sync_debagged")[index[item.id]] == expected
        for work in item.works if not sample.fault else ():
            assert work.destination
            assert content(Path(work.destination)) == content(tmp_path / "samples" / "works" / work.rid)
    assert set(states(dag_run, f"{GROUP}.download_from_messages").values()) == {"success"}
    assert sorted(states(dag_run, f"{GROUP}.debag_downloads").values()) == ["failed", *["success"] * 5]
    assert not list((tmp_path / "state" / "data").rglob("*.zip"))
    assert not site.queue.receive(0)


def test_mapped_tasks_are_named_by_their_object(samples: list[Sample], dag_run: DagRun) -> None:
    names = {
        found.rendered_map_index
        for found in dag_run.get_task_instances()
        if found.task_id == f"{GROUP}.download_from_messages"
    }
    assert names == {sample.key.rpartition("/")[2] for sample in samples}


def test_an_idle_run_tries_again_and_ends_as_skipped(site: Site, dag_run: DagRun) -> None:
    first = dag_run.get_task_instance("get_restored_object_messages")
    assert first is not None
    assert (str(first.state), first.try_number) == ("skipped", 2)
    assert set(states(dag_run, f"{GROUP}.sync_debagged").values()) == {"skipped"}
    assert str(dag_run.state) != "failed"


def test_the_bash_task_reads_nobodys_bashrc(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text(f"touch {home}/was-read\n")
    monkeypatch.setenv("HOME", str(home))
    restore(site, make_samples(tmp_path / "samples")[:1])
    DagBag(dag_folder=str(DAG_FILE)).dags["sqs_scheduled_dag"].test()
    assert [item.phase for item in ledger_objects().values()] == [Phase.SYNCED]
    assert not (home / "was-read").exists()


def test_a_sync_that_was_killed_after_its_end_is_done_when_tried_again(
    site: Site, samples: list[Sample], dag_run: DagRun
) -> None:
    item = ledger_objects()[samples[0].key]
    assert item.phase is Phase.SYNCED
    specification = spec_from_file_location("dag_file", DAG_FILE)
    assert specification
    assert specification.loader
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    instance = SimpleNamespace(dag_id="sqs_scheduled_dag", run_id=dag_run.run_id, try_number=2, max_tries=3)
    with set_current_context({"ti": instance, "dag_run": dag_run}):  # type: ignore[arg-type]
        assert module.sync_debagged.function({"object": item.id, "name": "again"}) == "true"
        assert module.judge("") == ""
    assert ledger_objects()[samples[0].key] == item


def test_the_dag_file_itself_runs_for_a_debugger(site: Site, samples: list[Sample]) -> None:
    subprocess.run([sys.executable, DAG_FILE], check=True, capture_output=True, env=os.environ, timeout=200)
    phases = [item.phase for item in ledger_objects().values()]
    assert phases.count(Phase.SYNCED) == 4
    assert phases.count(Phase.FAILED) == 2
