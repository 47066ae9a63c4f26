"""A site that has a watched folder, and what is put there."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.pipeline import Bag, Installation

from glacier_sync.ledger import LedgerObject, Run, Way
from glacier_sync.pipeline.intake import take
from glacier_sync.settings import load_settings

SETTLE = 0.05
RUN = Run.of_dag_run("down_scheduled", "one")


@pytest.fixture
def place(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A site that has a watched folder, and no queue that anything comes from."""
    (place.home / "watched").mkdir()
    monkeypatch.setenv("GLACIER_SYNC_WATCHED_DIR", str(place.home / "watched"))
    monkeypatch.setenv("GLACIER_SYNC_SETTLE_SECONDS", str(SETTLE))
    return replace(place, settings=load_settings())


def watched_dir(place: Installation) -> Path:
    assert place.settings.watched_dir
    return place.settings.watched_dir


def put(place: Installation, made: Bag, name: str | None = None) -> Path:
    """Put a bag into the watched folder, as ``cp`` does, and wait until it is settled."""
    path = watched_dir(place) / (name or made.zip_path.name)
    shutil.copyfile(made.zip_path, path)
    time.sleep(SETTLE)
    return path


def claimed(place: Installation) -> list[LedgerObject]:
    return list(take(place.context(RUN), [Way.FOLDER]).objects)
