"""``sqs_scheduled_dag`` run by Airflow itself (``dag.test()``), against the emulator."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk.execution_time.context import OutletEventAccessors, set_current_context
from tests.support.aws import Site
from tests.support.dags import DAGS, content, ledger_objects, run_dag, states

from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.ledger import Phase
from glacier_sync.pipeline import dag_tasks

DAG_FILE = DAGS / "glacier_staging_to_sync.py"
DAG_ID = "sqs_scheduled_dag"
GROUP = "restored_object"


@pytest.fixture
def dag_run() -> DagRun:
    """The DAG, run once."""
    return run_dag(DAG_FILE, DAG_ID)


def restore(site: Site, samples: list[Sample]) -> None:
    for sample in samples:
        site.client.put_archived(sample.zip_path, site.bucket, sample.key)
        site.client.request_restore(site.bucket, sample.key)


@pytest.fixture
def samples(site: Site, tmp_path: Path) -> list[Sample]:
    made = make_samples(tmp_path / "samples")
    restore(site, made)
    return made


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
    run_dag(DAG_FILE, DAG_ID)
    assert [item.phase for item in ledger_objects().values()] == [Phase.SYNCED]
    assert not (home / "was-read").exists()


def test_a_sync_that_was_killed_after_its_end_is_done_when_tried_again(site: Site, tmp_path: Path) -> None:
    sample = make_samples(tmp_path / "samples")[0]
    restore(site, [sample])
    dag_run = run_dag(DAG_FILE, DAG_ID)
    item = ledger_objects()[sample.key]
    assert item.phase is Phase.SYNCED
    told = OutletEventAccessors()
    instance = SimpleNamespace(dag_id=DAG_ID, run_id=dag_run.run_id, try_number=2, max_tries=3)
    with set_current_context({"ti": instance, "dag_run": dag_run, "outlet_events": told, "params": {}}):  # type: ignore[arg-type]
        assert dag_tasks.sync_debagged.function({"object": item.id, "name": "again"}) == "true"
        assert dag_tasks.judge("") == ""
    assert ledger_objects()[sample.key] == item
    (events,) = [accessor.asset_alias_events for accessor in told.values()]
    assert [event.extra["work"] for event in events] == [item.works[0].rid], "the killed try has told of nothing"


def test_the_dag_file_itself_runs_for_a_debugger(site: Site, samples: list[Sample]) -> None:
    subprocess.run([sys.executable, DAG_FILE], check=True, capture_output=True, env=os.environ, timeout=280)
    phases = [item.phase for item in ledger_objects().values()]
    assert phases.count(Phase.SYNCED) == 4
    assert phases.count(Phase.FAILED) == 2
