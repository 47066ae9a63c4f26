"""``sqs_scheduled_dag`` run by Airflow itself (``dag.test()``), against the emulator."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.execution_time.context import OutletEventAccessors, set_current_context
from tests.support.aws import Site
from tests.support.dags import DAGS, content, ledger_objects, run_dag, states

from glacier_sync import pipeline
from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.ledger import Ledger, LedgerEvent, LedgerObject, Phase
from glacier_sync.pipeline import dag_tasks
from glacier_sync.settings import load_settings

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


@pytest.fixture
def bash_gets(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Restores an object, and has the bash of each sync get a signal in its first work."""

    def prepare(signal: str) -> None:
        restore(site, make_samples(tmp_path / "samples")[:1])
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "syncOneWork.sh").write_text(f"#!/bin/sh\nkill -{signal} $PPID; sleep 60\n")
        (folder / "syncOneWork.sh").chmod(0o755)
        monkeypatch.setenv("GLACIER_SYNC_BIN_DIR", str(folder))

    return prepare


def the_object() -> tuple[LedgerObject, list[LedgerEvent]]:
    """Return the ledger's only object and its events."""
    with Ledger.open(load_settings()) as ledger:
        (item,) = ledger.objects()
        return item, ledger.events(item.id)


def test_a_bash_that_is_killed_is_counted_and_given_back(
    bash_gets: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As glacier-sync run does it; a task that bash has failed is told to nobody by Airflow."""
    bash_gets("KILL")
    monkeypatch.setenv("GLACIER_SYNC_TASK_RETRIES", "1")
    dag_run = run_dag(DAG_FILE, DAG_ID)
    assert states(dag_run, f"{GROUP}.sync_debagged") == {0: "failed"}
    item, events = the_object()
    assert (item.phase, item.unknown_errors, item.claimed_by) == (Phase.DEBAGGED, 2, None)
    assert events[-1].kind == "released"
    assert events[-1].message == "sync_debagged is to be tried again: the sync's bash ended with exit status -9"
    monkeypatch.delenv("GLACIER_SYNC_BIN_DIR")
    run_dag(DAG_FILE, DAG_ID)
    assert the_object()[0].phase is Phase.SYNCED


def test_a_bash_that_is_always_killed_fails_the_object(
    bash_gets: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bash_gets("KILL")
    monkeypatch.setenv("GLACIER_SYNC_MAX_UNKNOWN_ERRORS", "1")
    run_dag(DAG_FILE, DAG_ID)
    item, _ = the_object()
    assert item.failure_reason == "the sync's bash ended with exit status -9, once; see the cause and the log"


def test_a_bash_that_is_stopped_with_its_deployment_is_not_counted(bash_gets: Callable[[str], None]) -> None:
    bash_gets("TERM")
    run_dag(DAG_FILE, DAG_ID)
    item, events = the_object()
    assert (item.phase, item.unknown_errors, item.claimed_by) == (Phase.DEBAGGED, 0, None)
    assert "exit status -15" in events[-1].message


def test_a_mapped_task_of_any_key_has_a_name_that_airflow_can_store(site: Site, tmp_path: Path) -> None:
    sample = make_samples(tmp_path / "samples")[0]
    name = f"{sample.works[0].name}.\x1b[31m{'x' * 300}.bag.zip"
    key = f"{sample.key.rpartition('/')[0]}/{name}"
    site.client.put_archived(sample.zip_path, site.bucket, key)
    site.client.request_restore(site.bucket, key)
    dag_run = run_dag(DAG_FILE, DAG_ID)
    assert the_object()[0].phase is Phase.SYNCED
    (shown,) = {found.rendered_map_index for found in dag_run.get_task_instances() if found.map_index == 0}
    assert shown is not None
    assert len(shown) == 250
    assert shown.startswith(f"{sample.works[0].name}.\\x1b[31mxxx")
    assert shown.endswith("x.bag.zip")


def test_what_a_task_logs_or_fails_with_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    key = "W1.\x1b[2J\n.bag.zip"
    with caplog.at_level("INFO", logger=dag_tasks.__name__):
        dag_tasks._settled(pipeline.Done(f"{key} is unbagged"))
    assert [found.getMessage() for found in caplog.records] == [r"W1.\x1b[2J\n.bag.zip is unbagged"]
    for outcome in (pipeline.Waiting(key), pipeline.RetryLater(key), pipeline.Failed(key)):
        with pytest.raises(AirflowException, match=r"^W1\.\\x1b\[2J\\n\.bag\.zip$"):
            dag_tasks._settled(outcome)
