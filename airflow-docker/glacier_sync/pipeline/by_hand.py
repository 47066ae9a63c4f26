"""Syncing works that are named by hand: unpacked ones, outside of any DAG run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from glacier_sync.errors import ConfigurationError
from glacier_sync.pipeline import destination, work_sync
from glacier_sync.pipeline.work_sync import WorkResult
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings
from glacier_sync.works import given_rid, is_work


def sync_works(settings: Settings, folders: Sequence[Path], stamp: datetime, progress: Progress) -> list[WorkResult]:
    """Audit and sync unpacked works as the DAG does, each verified against its bag first.

    Raises ConfigurationError, before anything is changed, if a folder isn't a
    work or has no manifest.
    """
    folders = [folder.absolute() for folder in folders]
    _require_one_each(folders)
    for folder in folders:
        given_rid(folder.name)
        _require_verifiable(folder)
    results = [result for folder in folders if (result := _source_differs(settings, folder, progress))]
    damaged = {result.rid for result in results}
    planned = [work_sync.plan_work(settings, folder) for folder in folders if folder.name not in damaged]
    results += [WorkResult(work.rid, None, work.refusal) for work in planned if work.refusal]
    last_line = work_sync.run_script(work_sync.script(settings, stamp, planned, {}))
    by_rid = {folder.name: folder for folder in folders}
    return results + work_sync.judge_works(settings, stamp, by_rid, work_sync.parse_result(last_line), progress)


def _require_one_each(folders: Sequence[Path]) -> None:
    names = [folder.name for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigurationError(
            f"{twice} is named twice: expected each work once, as it has one place in the archive; name one of them"
        )


def _require_verifiable(folder: Path) -> None:
    if not folder.is_dir() or not is_work(folder):
        raise ConfigurationError(
            f"{folder} isn't a work: expected a directory that has archive, images, sources or eBooks; "
            "name the path of an unpacked work"
        )
    if not destination.bag_dir_of(folder).is_dir():
        raise ConfigurationError(
            f"{folder} has no manifest to verify it by: expected {folder.name}/{folder.name}.bag; "
            "unpack its bag with glacier-sync unbag"
        )


def _source_differs(settings: Settings, folder: Path, progress: Progress) -> WorkResult | None:
    found = destination.compare(settings, folder.name, destination.bag_dir_of(folder), folder, progress=progress)
    failure = f"{folder.name} isn't what its bag's manifest says: {found}; unpack its bag again" if found else None
    return WorkResult(folder.name, None, failure) if failure else None
