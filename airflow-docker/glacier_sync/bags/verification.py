"""Verifying bags: every file read once, hashed with every algorithm that a manifest asks for."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.bags.bag_warnings import require_kinds
from glacier_sync.bags.defects import Defect
from glacier_sync.bags.errors import PathError, mode_of
from glacier_sync.bags.folders import FolderSource
from glacier_sync.bags.inspection import Inspection, inspect
from glacier_sync.bags.names import own_name, shown
from glacier_sync.bags.reading import crew_in_advance, read_bags
from glacier_sync.bags.sources import Source
from glacier_sync.bags.zips import ZipSource
from glacier_sync.progress import Progress


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
    warnings: tuple[Defect, ...] = ()


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
    with open_source(path) as source, crew_in_advance(source, workers=workers) as crew:
        inspections = [inspect(source, bag, warnings_as_errors=warnings_as_errors) for bag in source.listing.bags]
        found = read_bags(source, inspections, workers=workers, progress=progress, crew=crew)
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
        name = own_name(source.path)
        found.append(BagReport(name, source.path, (), 0, 0, (), source.listing.defects))
    for inspection in inspections:
        defects = dict.fromkeys([*inspection.defects, *hashed[inspection.bag.prefix]])
        works = tuple(inspection.works)
        name = inspection.bag.name
        algorithms, warnings = inspection.algorithms, tuple(inspection.warnings)
        found.append(
            BagReport(
                name, source.path, works, inspection.files, inspection.bytes, algorithms, tuple(defects), warnings
            )
        )
    return tuple(found)
