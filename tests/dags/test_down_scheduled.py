"""``feeder`` and ``down_scheduled`` run by Airflow itself (``dag.test()``): zips become archived works."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.models.asset import AssetEvent
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowSkipException
from airflow.utils.session import create_session
from sqlalchemy import select
from tests.support.aws import Site
from tests.support.dags import DAGS, content, ledger_objects, run_dag, states

from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.ledger import Phase
from glacier_sync.pipeline import dag_tasks

DAG_FILE = DAGS / "FileWatcherDebagSync.py"
DAG_ID = "down_scheduled"
GROUP = "watched_file"
SETTLE = 0.2


@pytest.fixture
def watched(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    monkeypatch.setenv("GLACIER_SYNC_WATCHED_DIR", str(folder))
    monkeypatch.setenv("GLACIER_SYNC_SETTLE_SECONDS", str(SETTLE))
    return folder


def put(watched: Path, samples: list[Sample]) -> None:
    for sample in samples:
        shutil.copy(sample.zip_path, watched)
    time.sleep(SETTLE)


def asset_events(run: DagRun) -> list[tuple[str, str, Any]]:
    with create_session() as session:
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id)).all()
        return [(event.name, event.uri, event.extra) for event in events]


def test_good_zips_are_archived_and_bad_ones_are_red_squares_of_their_own(watched: Path, tmp_path: Path) -> None:
    samples = {sample.works[0].name: sample for sample in make_samples(tmp_path / "samples")}
    two_works, corrupt, lacking = (samples[rid] for rid in ("W1GS0077", "W1GS0023", "W1GS0064"))
    put(watched, [two_works, corrupt, lacking])
    run = run_dag(DAG_FILE, DAG_ID)

    items = ledger_objects()
    item = items[two_works.zip_path.name]
    assert {key: item.phase for key, item in items.items()} == {
        "W1GS0077.bag.zip": Phase.SYNCED,
        "W1GS0023.bag.zip": Phase.FAILED,
        "W1GS0064.bag.zip": Phase.FAILED,
    }
    index = {items[key].id: position for position, key in enumerate(sorted(items, key=lambda key: items[key].id))}
    synced = states(run, f"{GROUP}.sync_debagged")
    assert synced[index[item.id]] == "success"
    assert synced[index[items["W1GS0023.bag.zip"].id]] == "upstream_failed"
    assert synced[index[items["W1GS0064.bag.zip"].id]] == "failed"
    assert sorted(states(run, f"{GROUP}.debag_downloads").values()) == ["failed", "success", "success"]

    assert sorted(path.name for path in watched.iterdir()) == ["W1GS0023.bag.zip", "W1GS0064.bag.zip"]
    assert not list((tmp_path / "state" / "data").rglob("*.tif"))
    for work in item.works:
        assert work.destination
        assert content(Path(work.destination)) == content(tmp_path / "samples" / "works" / work.rid)

    names = {
        found.rendered_map_index for found in run.get_task_instances() if found.task_id == f"{GROUP}.take_in_files"
    }
    assert names == set(items)

    told = sorted(asset_events(run), key=lambda event: str(event[2]["work"]))
    assert told == [
        (
            "synced_works",
            "glacier-sync://archive/synced-works",
            {"work": work.rid, "path": work.destination, "object": item.id},
        )
        for work in item.works
    ]


def test_without_a_watched_folder_the_dag_is_skipped(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    run = run_dag(DAG_FILE, DAG_ID)
    assert states(run, "get_watched_files") == {-1: "skipped"}
    assert set(states(run, f"{GROUP}.sync_debagged").values()) == {"skipped"}
    assert str(run.state) != "failed"
    with pytest.raises(AirflowSkipException, match="GLACIER_SYNC_WATCHED_DIR isn't set: this way in is off"):
        dag_tasks.require_setting("GLACIER_SYNC_WATCHED_DIR", None)


def test_an_idle_run_tries_again_and_ends_as_skipped(watched: Path) -> None:
    run = run_dag(DAG_FILE, DAG_ID)
    first = run.get_task_instance("get_watched_files")
    assert first is not None
    assert (str(first.state), first.try_number) == ("skipped", 2)


def test_the_feeder_feeds_keeps_and_clears(watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming, retention = tmp_path / "incoming", tmp_path / "retention"
    for folder in (incoming, retention):
        folder.mkdir()
    monkeypatch.setenv("GLACIER_SYNC_INCOMING_DIR", str(incoming))
    monkeypatch.setenv("GLACIER_SYNC_RETENTION_DIR", str(retention))
    monkeypatch.setenv("GLACIER_SYNC_RETENTION_DAYS", "0")
    sample = make_samples(tmp_path / "samples")[0]
    put(incoming, [sample])

    run = run_dag(DAG_FILE, "feeder")
    assert states(run, "feed_watched_folder") == states(run, "clear_retention_folder") == {-1: "success"}
    assert list(incoming.iterdir()) == []
    assert [path.name for path in watched.iterdir()] == [sample.zip_path.name]
    (kept,) = retention.glob("*/*")
    assert kept.read_bytes() == sample.zip_path.read_bytes()

    time.sleep(SETTLE)
    run_dag(DAG_FILE, DAG_ID)
    assert [item.phase for item in ledger_objects().values()] == [Phase.SYNCED]
    assert list(watched.iterdir()) == []
    run_dag(DAG_FILE, "feeder")
    assert list(retention.iterdir()) == []


def test_a_feeder_with_a_folder_that_is_away_fails(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLACIER_SYNC_INCOMING_DIR", str(tmp_path / "away"))
    run = run_dag(DAG_FILE, "feeder")
    assert states(run, "feed_watched_folder") == {-1: "failed"}
    assert states(run, "clear_retention_folder") == {-1: "skipped"}
