"""Setting the demo's scene, following it, and judging how it ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from tests.support.aws import Site
from tests.support.ledger import announced
from tests.support.ports import closed_port

from glacier_sync import pipeline
from glacier_sync.demo.follow import follow
from glacier_sync.demo.prepare import prepare, scene_file
from glacier_sync.demo.samples import Sample
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.pipeline.run import run
from glacier_sync.settings import Settings, load_intake
from glacier_sync.works import archive_path


def demo(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glacier_sync.demo", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("demo: ")
    return line


@pytest.fixture
def real_ledger(settings: Settings) -> None:
    """A state folder whose ledger has a real object."""
    with Ledger.open(settings) as ledger:
        ledger.record("nlm", "message", [announced(bucket="glacier.staging.nlm.bdrc.org")], [])


def test_a_ledger_with_real_objects_is_not_used(settings: Settings, real_ledger: None, aws: Site) -> None:
    done = demo("prepare")
    assert (done.returncode, done.stdout) == (2, "")
    error = error_of(done)
    assert f"{settings.home} holds real work (1 objects, the first from bucket glacier.staging.nlm.bdrc.org)" in error
    assert "set GLACIER_SYNC_HOME to another folder" in error
    assert not settings.intake.exists()
    assert not (settings.home / "archive").exists()


def test_without_an_endpoint_nothing_is_prepared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL isn't set: expected the emulator's URL"):
        prepare(settings)
    assert not (settings.home / "demo").exists()


def test_without_an_emulator_it_is_one_clear_line(
    settings: Settings, aws: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with closed_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        done = demo("prepare")
    assert done.returncode == 3
    assert f"http://127.0.0.1:{port}" in error_of(done)


def test_wrong_use_and_an_airflow_that_is_away_are_one_line(settings: Settings, tmp_path: Path) -> None:
    done = demo("bogus")
    assert done.returncode == 2
    assert "bogus" in error_of(done)
    (tmp_path / "password").write_text("word\n")
    with closed_port() as port:
        airflow = f"http://127.0.0.1:{port}"
        done = demo("follow", "--airflow", airflow, "--user", "admin", "--password-file", tmp_path / "password")
    assert done.returncode == 3
    assert f"Airflow at {airflow}" in error_of(done)


def test_following_what_was_not_prepared(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"scene\.json isn't there: expected a demo that is set up"):
        follow(settings, timedelta(0))


@pytest.fixture
def prepared(settings: Settings, aws: Site, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A scene that is set, of samples that are made once."""

    def copied(folder: Path) -> list[Sample]:
        home = samples[0].zip_path.parents[1]
        shutil.copytree(home, folder, dirs_exist_ok=True)
        return [
            Sample(
                sample.key,
                folder / sample.zip_path.relative_to(home),
                tuple(folder / work.relative_to(home) for work in sample.works),
                sample.fault,
            )
            for sample in samples
        ]

    monkeypatch.setattr("glacier_sync.demo.prepare.make_samples", copied)
    prepare(settings)
    return settings


@pytest.fixture
def run_pipeline(prepared: Settings) -> Callable[[], None]:
    def go() -> None:
        with Ledger.open(prepared) as ledger:
            context = pipeline.Context(
                settings=prepared,
                ledger=ledger,
                run=pipeline.Run.of_this_process(),
                logical_date=datetime.now(UTC),
                last_try=True,
                progress=lambda _stage, _number: lambda _done, _in_all: None,
            )
            run(context, lambda _item, _outcome: None)

    return go


def test_the_samples_are_archived_objects_that_are_being_restored(
    prepared: Settings, aws: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = json.loads(scene_file(prepared).read_text(encoding="utf-8"))
    (queue,) = load_intake(prepared.intake)
    assert queue.buckets == (scene["bucket"],)
    assert scene["bucket"].startswith("glacier-sync-demo-")
    assert len(scene["samples"]) == 6
    for sample in scene["samples"]:
        head = aws.client.s3.head_object(Bucket=scene["bucket"], Key=sample["key"])
        assert head["StorageClass"] == "GLACIER"
        assert "Restore" in head
        assert head["ContentLength"] == Path(sample["zip_path"]).stat().st_size
    for part in range(4):
        assert Path(f"{prepared.archive_parent}{part}").is_dir()


def test_what_is_not_settled_in_time_is_told(prepared: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(prepared, timedelta(0)) == 1
    assert capsys.readouterr().err.startswith("demo: not everything was settled within")


@pytest.mark.needs("rsync")
def test_the_outcome_is_told_and_a_copy_that_differs_is_noticed(
    prepared: Settings, run_pipeline: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_pipeline()
    capsys.readouterr()
    assert follow(prepared, timedelta(0)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "W1GS0077, W1GS0078: synced" in out
    assert "W1GS0023.bag.zip: FAILED" in out
    assert "W1GS0064: FAILED" in out
    assert out.count("  reason    ") == 2
    report = next(prepared.log_dir.rglob("FAIL-W1GS0064-*.csv"))
    assert (
        "  reason    W1GS0064 failed its audit: File Sequence Test: archive/W1GS0064-I1GS0064 lacks image 0003 (of 4), "
        "and 1 more finding\n"
        "            add what is missing, or number the images from 1 on without gaps\n"
        f"            all is listed in {report}\n"
    ) in out
    assert f"W1GS0001: audit Passed; {archive_path(prepared.archive_parent, 'W1GS0001')}" in out
    assert out.endswith(
        "\n5 works stand in the archive, byte for byte as they were made; the bad ones failed as they should.\n"
    )
    copy = archive_path(prepared.archive_parent, "W1GS0042")
    page = sorted((copy / "images").rglob("*.jpg"))[0]
    page.write_bytes(page.read_bytes() + b"\n")
    assert follow(prepared, timedelta(0)) == 1
    assert f"not as expected: {copy} differs in " in capsys.readouterr().err
    page.unlink()
    assert follow(prepared, timedelta(0)) == 1
    assert f"{copy} has other files than the sample" in capsys.readouterr().err


@pytest.mark.needs("rsync")
def test_a_second_demo_does_not_mind_the_first(prepared: Settings, run_pipeline: Callable[[], None]) -> None:
    run_pipeline()
    time.sleep(1)  # a demo's bucket is named by the second in which it begins
    first = yaml.safe_load(prepared.intake.read_text())
    prepare(prepared)
    assert yaml.safe_load(prepared.intake.read_text()) != first
    run_pipeline()
    assert follow(prepared, timedelta(0)) == 0
