"""The working folder: what can't be removed there, or is no object's, stops nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import Bagger, Installation

from glacier_sync.ledger import Run
from glacier_sync.pipeline import Done, download_from_messages

REMOVE = shutil.rmtree


@pytest.fixture
def undeletable(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Objects' folders can't be removed, until that is undone: as if they were immutable, or another user's."""
    refused = {place.settings.download_dir, place.settings.work_dir}

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        if Path(path).parent in refused:
            raise PermissionError(1, "Operation not permitted", str(path))
        REMOVE(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        yield patch


def test_a_left_over_that_cannot_be_removed_stops_nothing(
    place: Installation, bag: Bagger, undeletable: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    number = place.claimed(bag("W1TEST01"))
    assert isinstance(download_from_messages(place.context(), number), Done)
    place.ledger.release(number, Run.of_this_process(), "tried later")
    place.ledger.forget([number], Run.by_hand(), "restored by mistake")
    (left,) = place.settings.download_dir.iterdir()
    assert place.run().problems == []
    assert {record.getMessage() for record in caplog.records if record.levelname == "WARNING"} == {
        f"{left} can't be removed ([Errno 1] Operation not permitted: '{left}'): expected a folder that this user may "
        "empty; see to its owner, its permissions and its disk; the next run tries again"
    }
    undeletable.undo()
    place.run()
    assert place.working_data() == []


def test_what_is_settled_stays_so_though_its_data_cannot_be_removed(
    place: Installation, bag: Bagger, undeletable: pytest.MonkeyPatch
) -> None:
    place.restored(bag("W1TEST01"))
    place.site.put(place.restored(bag("W1TEST02")), b"this is no zip")
    for _ in range(2):
        outcomes = place.run().outcomes
        assert [(item.phase, item.unknown_errors) for item in place.ledger.objects()] == [("synced", 0), ("failed", 0)]
    assert outcomes == {}
    undeletable.undo()
    place.run()
    assert place.working_data() == []


def test_a_folder_with_a_number_that_no_object_can_have_is_left_alone(place: Installation, bag: Bagger) -> None:
    place.restored(bag("W1TEST01"))
    stray = place.settings.work_dir / f"{2**63}-of-somebody-else"
    stray.mkdir(parents=True)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert stray.is_dir()
