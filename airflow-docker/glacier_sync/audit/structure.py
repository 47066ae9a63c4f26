"""The tests of folders, file names and file sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.properties import MAXIMUM_SIZE, Properties, parse_size
from glacier_sync.audit.report import Finding
from glacier_sync.audit.work_folder import ImageGroup, WorkFolder


def missing(work: WorkFolder, name: str) -> Finding:
    """Return the finding of a test that misses its image-group parent."""
    return Finding(ErrorNumber.NO_DIRECTORY, f"the work has no folder {name}", work.path / name)


def in_each_group(
    work: WorkFolder, names: Iterable[str], check: Callable[[ImageGroup], Iterator[Finding]]
) -> Iterator[Finding]:
    """Return what a check finds in the image groups of these parents, and which of them can't be checked."""
    for name in names:
        parent = work.parent(name)
        if parent is None:
            yield missing(work, name)
            continue
        yield from parent.problems
        for group in parent.groups:
            yield from check(group)


def no_files_in_root(work: WorkFolder, _: Properties) -> Iterator[Finding]:
    """Find files in the work's root."""
    for file in work.files_in_root():
        if not file.hidden:
            message = f"the work's root holds the file {file.name}; expected only folders"
            yield Finding(ErrorNumber.FILE_IN_ROOT, message, file.path)


def no_folders_in_groups(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find folders in the image groups of both parents."""
    return in_each_group(work, (properties.archive_parent, properties.derived_parent), _folders)


def file_sizes(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find derived files larger than MaximumImageFileSize."""
    limit = parse_size(properties.maximum_size)
    if limit is None:
        message = f"{MAXIMUM_SIZE}={properties.maximum_size!r} is no size: expected a number and K, M or G, as 400K"
        yield Finding(ErrorNumber.INVALID_SIZE_PROPERTY, message, work.path)
        return
    check = partial(_sizes, limit=limit, limit_text=properties.maximum_size)
    yield from in_each_group(work, [properties.derived_parent], check)


def file_names(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find derived images that aren't named after their image group."""
    return in_each_group(work, [properties.derived_parent], _names)


def _folders(group: ImageGroup) -> Iterator[Finding]:
    if group.folders:
        message = f"{group.label} holds folders ({len(group.folders)}); expected only files"
        yield Finding(ErrorNumber.GROUP_HOLDS_FOLDERS, message, group.path)
    for folder in group.folders:
        message = f"{group.label} holds the folder {folder}; expected only files"
        yield Finding(ErrorNumber.FOLDER_IN_GROUP, message, group.path / folder)


def _sizes(group: ImageGroup, limit: int, limit_text: str) -> Iterator[Finding]:
    for file in group.files:
        if file.hidden:
            continue
        if file.defect:
            yield Finding(ErrorNumber.UNKNOWN, f"{group.label_of(file)} {file.defect}", file.path)
        elif (size := file.path.stat().st_size) > limit:
            message = f"{group.label_of(file)} has {size:,} bytes, more than {limit:,} ({MAXIMUM_SIZE}={limit_text})"
            yield Finding(ErrorNumber.FILE_TOO_BIG, message, file.path)


def _names(group: ImageGroup) -> Iterator[Finding]:
    tokens = group.name.split("-")
    if len(tokens) < 2 or not tokens[1]:
        message = f"{group.label} is not named <Work>-<image group>, which its images are to be named after"
        yield Finding(ErrorNumber.INVALID_FILE_NAME, message, group.path)
        return
    prefix = tokens[1]
    pattern = re.compile(rf"{re.escape(prefix)}[-_]?[0-9]{{4}}\..*", re.IGNORECASE | re.DOTALL)
    for file in group.images:
        if not pattern.fullmatch(file.name):
            message = f"{group.label_of(file)} is not named after its image group; expected {prefix}0001.tif, say"
            yield Finding(ErrorNumber.INVALID_FILE_NAME, message, file.path)
