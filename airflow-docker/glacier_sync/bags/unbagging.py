"""Unpacking a zip of bags: verified while it is written, in place only when all is well."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from glacier_sync.bags.bag_warnings import require_kinds
from glacier_sync.bags.defects import Defect, InvalidBagError
from glacier_sync.bags.disk import make_folders, require_space
from glacier_sync.bags.errors import PathError, mode_of
from glacier_sync.bags.files import SeenNames
from glacier_sync.bags.inspection import Inspection, inspect
from glacier_sync.bags.names import shown
from glacier_sync.bags.placing import Plan, plan_places
from glacier_sync.bags.plain import Record, inspect_plain
from glacier_sync.bags.reading import Target, crew_in_advance, read_bags
from glacier_sync.bags.sources import Source
from glacier_sync.bags.workspace import Workspace, workspace
from glacier_sync.bags.zips import ZipSource
from glacier_sync.progress import Progress


@dataclass(frozen=True)
class UnbaggedWork:
    """A verified work on disk; ``files`` and ``bytes`` count its payload.

    ``bag_dir`` is where the tag files of its bag are: in the work if it is the
    bag's only one, else beside the bag's works. ``warnings`` are those of its bag.
    What came without a bag is not ``proven``: its tag files hold what was found.
    """

    rid: str
    path: Path
    bag_dir: Path
    files: int
    bytes: int
    warnings: tuple[Defect, ...] = ()
    proven: bool = True


def unbag(
    zip_path: Path,
    to: Path,
    *,
    workers: int,
    progress: Progress | None = None,
    keep_free: int = 0,
    replace: bool = False,
    warnings_as_errors: Collection[str] = (),
    plain: bool = False,
) -> tuple[UnbaggedWork, ...]:
    """Unpack the works of a zip of bags to ``to/<Work>``, verified, all or none.

    Works that are there already are refused, or with ``replace`` replaced. After
    a kill at any instant, the next run with the same zip starts anew, or finds all works
    in place. ``keep_free`` is in bytes. ``progress`` is called in the caller's thread.
    Warnings of the kinds that are ``warnings_as_errors`` make a bag invalid. With ``plain``
    a zip may hold works and no bag: its own CRC-32 is all they are held against, and
    their checksums are kept in ``to/<Zip>.bag``.

    Raises InvalidBagError with every defect of the bags, PathError, NoSpaceError,
    WorkExistsError, BusyError, UnreadableError, FolderError or WriteError; then
    nothing is left of the works. ConfigurationError if there is no such kind of warning.
    """
    require_kinds(warnings_as_errors)
    with (
        _open_zip(zip_path) as source,
        workspace(to, zip_path) as space,
        crew_in_advance(source, workers=workers, lock_fd=space.lock_fd) as crew,
    ):
        is_plain = plain and source.listing.plain is not None
        inspections = _inspected(source, warnings_as_errors, plain=is_plain)
        plan = plan_places(inspections, to, plain=is_plain)
        defects = [*(() if is_plain else source.listing.defects), *_known(inspections), *plan.defects]
        if not defects:
            defects += _make_place(source, space, plan, keep_free=keep_free, replace=replace)
        with nullcontext() if defects else _target(space, plan, plain=is_plain) as target:
            found = read_bags(source, inspections, workers=workers, progress=progress, target=target, crew=crew)
        defects += chain.from_iterable(found.values())
        if defects:
            warnings = [warning for inspection in inspections for warning in inspection.warnings]
            raise InvalidBagError(zip_path, tuple(dict.fromkeys(defects)), warnings)
        space.place(plan.tops, replace=replace)
    return tuple(
        UnbaggedWork(
            work.rid, to / work.rid, to / work.bag_dir, work.files, work.bytes, work.warnings, proven=not is_plain
        )
        for work in plan.works
    )


def _open_zip(path: Path) -> ZipSource:
    mode = mode_of(path)
    if mode is None:
        raise PathError(f"{shown(str(path))} doesn't exist: expected a zip of bags; correct the path")
    if not stat.S_ISREG(mode):
        raise PathError(f"{shown(str(path))} is no file: expected a zip of bags; correct the path")
    return ZipSource(path)


def _inspected(source: Source, warnings_as_errors: Collection[str], *, plain: bool) -> list[Inspection]:
    listing = source.listing
    if plain and listing.plain:
        return [inspect_plain(listing.plain, warnings_as_errors=warnings_as_errors)]
    return [inspect(source, bag, warnings_as_errors=warnings_as_errors) for bag in listing.bags]


def _make_place(source: ZipSource, space: Workspace, plan: Plan, *, keep_free: int, replace: bool) -> list[Defect]:
    """Make the folders that files will be written to, if there is room; return which of them can't be."""
    if not replace:
        space.refuse_existing(plan.tops)
    require_space(space.content, source.space_needed(plan.folder_count), keep_free=keep_free)
    return make_folders(space.content, plan.folders(SeenNames()))


@contextmanager
def _target(space: Workspace, plan: Plan, *, plain: bool) -> Iterator[Target]:
    """Give what files are written to, and with it, of a plain zip, what keeps their checksums."""
    target = Target(space.content, plan.place, space.lock_fd)
    if not plain:
        yield target
        return
    with Record(space.content / plan.works[0].bag_dir) as record:
        yield dataclasses.replace(target, record=record.add)


def _known(inspections: Sequence[Inspection]) -> list[Defect]:
    return [defect for inspection in inspections for defect in inspection.defects]
