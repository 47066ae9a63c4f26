from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.aws import aws, emulator, emulator_client

from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.settings import Settings, load_settings

__all__ = ["aws", "emulator", "emulator_client"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a demo whose state folder is the test's own."""
    for name in [name for name in os.environ if name.startswith("GLACIER_SYNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GLACIER_SYNC_INTAKE", str(tmp_path / "home" / "demo" / "intake.yml"))
    monkeypatch.setenv("GLACIER_SYNC_SQS_WAIT_SECONDS", "0")
    monkeypatch.setenv("GLACIER_SYNC_KEEP_FREE_MIB", "0")
    return load_settings()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return make_samples(tmp_path_factory.mktemp("demo") / "samples")
