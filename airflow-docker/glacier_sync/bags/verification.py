"""Verifying bags: every file read once, hashed with every algorithm that a manifest asks for."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.bags.bag_warnings import BagWarning, require_kinds
from glacier_sync.bags.defects import ChecksumMismatch, Defect
from glacier_sync.bags.errors import PathError, mode_of
from glacier_sync.bags.folders import FolderSource
from glacier_sync.bags.inspection import Check, Inspection, inspect
from glacier_sync.bags.names import shown
from glacier_sync.bags.pool import Progress, Tick, map_files
from glacier_sync.bags.sources import DamagedFileError, Source
from glacier_sync.bags.zips import ZipSource
from glacier_sync.hashing.digests import hashers

Write = Callable[[memoryview], None]
Create = Callable[[str], AbstractContextManager[Write]]
"""Begin writing a file, named as the source names it."""


@dataclass(frozen=True)
class BagReport:
    """What verifying one bag found. ``works`` are RIDs; ``files`` and ``bytes`` count the payload.

    What is wrong with a zip outside of its bags is in a report named by the zip.
    """

    name: str
    path: Path
    works: tuple[str, ...]
    files: int
    bytes: int
    algorithms: tuple[str, ...]
    defects: tuple[Defect, ...]
    warnings: tuple[BagWarning, ...] = ()


@dataclass(frozen=True)
class _Job:
    name: str
    size: int
    checks: Sequence[Check]


def verify(
    path: Path, *, workers: int, progress: Progress | None = None, warnings_as_errors: Collection[str] = ()
) -> tuple[BagReport, ...]:
    """Verify a bag in a directory, or the bags of a zip without unpacking it.

    What is no bag is reported as an invalid one. Warnings of the kinds that are
    ``warnings_as_errors`` make a bag invalid. ``progress`` is called in the
    caller's thread. Raises PathError if nothing is at ``path``, UnreadableError if
    a file can't be read, and ConfigurationError if there is no such kind.
    """
    require_kinds(warnings_as_errors)
    with open_source(path) as source:
        inspections = [inspect(source, bag, warnings_as_errors=warnings_as_errors) for bag in source.listing.bags]
        found = hash_files(source, inspections, workers=workers, progress=progress)
        return reports(source, inspections, found)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a directory or a zip for reading. Raises PathError and UnreadableError."""
    mode = mode_of(path)
    if mode is None:
        raise PathError(f"{shown(str(path))} doesn't exist: expected a bag, a directory or a zip; correct the path")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise PathError(f"{shown(str(path))} is neither a directory nor a file: expected a bag; correct the path")
    with FolderSource(path) if stat.S_ISDIR(mode) else ZipSource(path) as source:
        yield source


def reports(
    source: Source, inspections: Sequence[Inspection], hashed: Mapping[str, Sequence[Defect]]
) -> tuple[BagReport, ...]:
    """Sum up what inspecting and hashing found, a report for each bag."""
    found = []
    if source.listing.defects:
        name = source.path.absolute().name
        found.append(BagReport(name, source.path, (), 0, 0, (), source.listing.defects))
    for inspection in inspections:
        payload = inspection.payload
        defects = dict.fromkeys([*inspection.defects, *hashed[inspection.bag.prefix]])
        works = tuple(inspection.works)
        size = sum(payload.values())
        name = inspection.bag.name
        algorithms, warnings = inspection.algorithms, tuple(inspection.warnings)
        found.append(BagReport(name, source.path, works, len(payload), size, algorithms, tuple(defects), warnings))
    return tuple(found)


def hash_files(
    source: Source,
    inspections: Sequence[Inspection],
    *,
    workers: int,
    progress: Progress | None,
    create: Create | None = None,
) -> dict[str, list[Defect]]:
    """Read every file once; return what is wrong, by the bag's prefix.

    ``create`` makes the files that are written while they are hashed.
    """
    jobs = [
        (inspection.bag.prefix, _Job(f"{inspection.bag.prefix}{name}", size, inspection.checks.get(name, ())))
        for inspection in inspections
        for name, size in inspection.bag.files.items()
        if name not in inspection.bag.refused and (source.has_checksums or name in inspection.checks)
    ]

    def act(item: tuple[str, _Job], tick: Tick) -> list[Defect]:
        return _hash_file(source, item[1], tick, create)

    results = map_files(jobs, act, size=lambda item: item[1].size, workers=workers, progress=progress)
    found: dict[str, list[Defect]] = {inspection.bag.prefix: [] for inspection in inspections}
    for (prefix, _), defects in zip(jobs, results, strict=True):
        found[prefix] += defects
    return found


def _hash_file(source: Source, job: _Job, tick: Tick, create: Create | None) -> list[Defect]:
    try:
        if create is None:
            digests = _digests(source, job, tick, None)
        else:
            with create(job.name) as write:
                digests = _digests(source, job, tick, write)
    except DamagedFileError as error:
        return [error.defect]
    wrong = [check for check in job.checks if digests[check.algorithm] != check.checksum]
    if not wrong:
        return []
    intact = _is_intact(source, job.name) if source.has_checksums else None
    return [
        ChecksumMismatch(
            job.name, check.algorithm, check.checksum, digests[check.algorithm], check.manifest, zip_intact=intact
        )
        for check in wrong
    ]


def _digests(source: Source, job: _Job, tick: Tick, write: Write | None) -> dict[str, str]:
    """Hash a file by chunks, writing each; a file without checks is held against the source's own checksum."""
    engines = hashers({check.algorithm for check in job.checks})
    updates = [engine.update for engine in engines.values()]
    for chunk in source.chunks(job.name, checked=not engines):
        for update in updates:
            update(chunk)
        if write is not None:
            write(chunk)
        tick(len(chunk))
    return {algorithm: engine.hexdigest() for algorithm, engine in engines.items()}


def _is_intact(source: Source, name: str) -> bool:
    """Read a wrong file once more, to tell whether the zip was damaged or zipped that way."""
    try:
        for _ in source.chunks(name, checked=True):
            pass
    except DamagedFileError:
        return False
    return True
