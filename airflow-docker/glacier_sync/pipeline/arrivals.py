"""What lies in a folder that zips are put into: whole ones, ones on their way, and what doesn't belong there.

A file is ready when nothing has happened to it for a while and it ends as a zip
does (APPNOTE.TXT, the .ZIP File Format Specification, §4.3.16): a copy that
hangs lacks its end. One that still lacks it after ten such whiles is ready as
well: it fails in words, as any zip that isn't whole. Names that begin with a dot
are what copying programs call a file before it is whole, and are passed over.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.errors import ConfigurationError, TransientError
from glacier_sync.works import InvalidRidError, rid_of

ZIP_SUFFIX = ".zip"

_PATIENCE = 10
_END_RECORD = re.compile(rb"(?=PK\x05\x06.{16}(..))", re.DOTALL)
_END_SIZE = 22
_LONGEST_COMMENT = 0xFFFF

_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFLNK: "is a link",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFBLK: "is a device",
    stat.S_IFCHR: "is a device",
}


class FolderAwayError(TransientError):
    """The folder doesn't answer."""


@dataclass(frozen=True)
class Arrival:
    """A zip as it lies there; ``size`` is in bytes.

    ``etag`` tells by size and time of modification (in seconds, as every file
    system keeps it) whether it is still that file. ``version`` is another one
    as soon as anything at all is done to the file or its name.
    """

    path: Path
    size: int
    etag: str
    version: str

    @property
    def name(self) -> str:
        """The file's name, byte for byte."""
        return self.path.name


@dataclass(frozen=True)
class Foreign:
    """What doesn't belong there, and why: what was found, what was expected, what to do."""

    arrival: Arrival
    reason: str


@dataclass(frozen=True)
class Contents:
    """What lies in a folder, the longest untouched first."""

    ready: tuple[Arrival, ...]
    waiting: tuple[Arrival, ...]
    foreign: tuple[Foreign, ...]


def look_into(folder: Path, settle_seconds: float) -> Contents:
    """Return what lies in a folder; ``settle_seconds`` is how long a file has to be left alone to be ready.

    Raises ConfigurationError if it is no folder that this user can read and change.
    """
    ready: list[Arrival] = []
    waiting: list[Arrival] = []
    foreign: list[Foreign] = []
    for path, status in sorted(_entries(folder), key=lambda entry: (entry[1].st_ctime_ns, entry[0])):
        arrival = _arrival(path, status)
        untouched = time.time() - status.st_ctime
        if untouched < settle_seconds:
            waiting.append(arrival)
        elif reason := _unsuitable(path, status):
            foreign.append(Foreign(arrival, reason))
        elif untouched >= _PATIENCE * settle_seconds or _has_end(path, status.st_size):
            ready.append(arrival)
        else:
            waiting.append(arrival)
    return Contents(tuple(ready), tuple(waiting), tuple(foreign))


def look_at(path: Path) -> Arrival | None:
    """Return the file as it is now, or None if there is no file of that name. Raises FolderAwayError."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FolderAwayError(
            f"{path} can't be looked at ({error.strerror}): expected its folder as it was; is it mounted?",
            cause=str(error),
        ) from error
    return _arrival(path, status) if stat.S_ISREG(status.st_mode) else None


def _arrival(path: Path, status: os.stat_result) -> Arrival:
    return Arrival(path, status.st_size, f"{status.st_size}-{int(status.st_mtime)}", str(status.st_ctime_ns))


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208 - names, not paths
    except OSError as error:
        raise ConfigurationError(
            f"{folder} can't be read ({error.strerror}): expected a folder that zips are put into; "
            "make it, or correct its permissions or the setting that names it"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{folder} can't be changed by this user: expected a folder that files can be moved out of; "
            "correct its permissions, or the setting that names it"
        )
    for name in names:
        path = folder / name
        try:
            yield path, path.lstat()
        except FileNotFoundError:
            continue


def _unsuitable(path: Path, status: os.stat_result) -> str | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind:
        return f"{path} {kind}: expected a zip; put the zip itself there, and move this away"
    if not path.name.endswith(ZIP_SUFFIX):
        return f"{path} isn't called *.bag.zip or *.zip: expected zips alone; move it away"
    try:
        rid_of(path.name)
    except InvalidRidError as error:
        return f"{path} can't be taken: {error.message}"
    if not os.access(path, os.R_OK):
        return f"{path} can't be read by this user: expected a file that it may read; correct its permissions"
    return None


def _has_end(path: Path, size: int) -> bool:
    """Tell whether a file ends with the record that ends a zip."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
            tail = file.read(_END_SIZE + _LONGEST_COMMENT)
    except OSError:
        # Gone or refused meanwhile: the next look tells.
        return False
    # A comment of any text may follow the record, which holds its length.
    return any(
        found.start() + _END_SIZE + int.from_bytes(found.group(1), "little") == len(tail)
        for found in _END_RECORD.finditer(tail)
    )
