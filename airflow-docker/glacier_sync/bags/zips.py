"""Zips as sources of bags, read without being unpacked.

The central directory is read by the standard library. What the library leaves
unchecked is checked here: names byte for byte, doubled names, links, gaps at
either end and overlaps. (APPNOTE.TXT, the .ZIP File Format Specification, §4.3 and §4.4.)
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from glacier_sync.bags.defects import DamagedZip, Defect, NotAZip, SameName, SpecialFile, UnsafeName, UnsupportedEntry
from glacier_sync.bags.errors import unreadable
from glacier_sync.bags.names import unsafe
from glacier_sync.bags.sources import Contents, DamagedFileError, Listing, divide
from glacier_sync.hashing.entries import DEFLATED, ENCRYPTED, STORED, DamagedEntryError, Entry, EntryReader

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_EXTRA = struct.Struct("<2H")
_EXTENDED_TIME = 0x5455
_UTF8 = 0x800
_METHODS = {STORED: "stored", DEFLATED: "deflated"}
_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}
_MALFORMED = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError, EOFError)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    raw_name: bytes
    header: int
    limit: int
    """Where the next entry, or the central directory, begins."""
    method: int
    compressed: int
    size: int
    crc: int
    date_time: tuple[int, int, int, int, int, int]
    extra: bytes


class ZipSource:
    """A zip of bags; a context manager that keeps the file open."""

    has_checksums = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, _Member] = {}
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self.listing = self._list()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def modified(self, name: str) -> float | None:
        """Return an entry's time: the extended timestamp (UTC), or the DOS time as this machine's local time."""
        member = self._members[name]
        extra = member.extra
        while len(extra) >= _EXTRA.size:
            kind, length = _EXTRA.unpack_from(extra)
            data = extra[_EXTRA.size : _EXTRA.size + length]
            if kind == _EXTENDED_TIME and len(data) >= 5 and data[0] & 1:
                return float(struct.unpack_from("<l", data, 1)[0])
            extra = extra[_EXTRA.size + length :]
        try:
            return time.mktime((*member.date_time, 0, 0, -1))
        except (ValueError, OverflowError):
            return None

    def chunks(self, name: str, *, checked: bool) -> Iterator[memoryview]:
        """Yield an entry's bytes, inflated; see ``Source.chunks``."""
        try:
            yield from EntryReader(self._fd).chunks(self.entry(name), checked=checked)
        except DamagedEntryError as error:
            raise DamagedFileError(DamagedZip(name, error.found, error.expected)) from error
        except OSError as error:
            raise unreadable(f"{self.path}: {name}", error) from error

    def entry(self, name: str) -> Entry:
        """Return where the zip holds a file."""
        member = self._members[name]
        return Entry(
            member.raw_name, member.header, member.limit, member.method, member.compressed, member.size, member.crc
        )

    def space_needed(self) -> int:
        """Return how many bytes of disk the files take, in blocks of 4 KiB, and their folders."""
        folders = {name.rpartition("/")[0] for name in self._members}
        return sum(-(-member.size // 4096) * 4096 for member in self._members.values()) + 4096 * len(folders)

    def _list(self) -> Listing:
        name = self.path.name
        try:
            with open(self._fd, "rb", closefd=False) as file:
                size = os.fstat(self._fd).st_size
                with zipfile.ZipFile(file, metadata_encoding="latin-1") as archive:
                    infos = archive.infolist()
                    comment = len(archive.comment)
                    start = archive.start_dir
        except _MALFORMED as error:
            return Listing((), (NotAZip(name, *_not_a_zip(self._fd, error)),))
        except OSError as error:
            # Offsets that can't be are refused by the system, not by the library.
            if error.errno != errno.EINVAL:
                raise unreadable(self.path, error) from error
            return Listing((), (NotAZip(name, *_not_a_zip(self._fd, error)),))
        contents = Contents()
        problem = _end_problem(self._fd, size, comment, len(infos))
        if problem:
            contents.defects.append(DamagedZip(name, *problem))
        self._members = _members(infos, start, name, contents)
        return divide(contents, zip_name=name, rid=name.partition(".")[0] or name)


def _not_a_zip(fd: int, error: Exception) -> tuple[str, str]:
    size = os.fstat(fd).st_size
    if not size:
        return "is empty", "a zip"
    begins = os.pread(fd, 4, 0) == _LOCAL_SIGNATURE
    what = "begins as a zip, but its central directory is missing or damaged: it was cut off" if begins else "is no zip"
    return f"{what} ({error})", "a whole zip"


def _end_problem(fd: int, size: int, comment: int, entries: int) -> tuple[str, str] | None:
    """Say what is wrong at the end of a zip: bytes behind it, or entries that its end doesn't count."""
    record = os.pread(fd, _END.size, size - comment - _END.size)
    if len(record) < _END.size or not record.startswith(_END_SIGNATURE):
        return "has bytes behind its end", "nothing there"
    fields = _END.unpack(record)
    if fields[7] != comment:
        return "is cut off in its comment", "a whole zip"
    if fields[4] not in (entries & 0xFFFF, 0xFFFF):
        return f"has {entries} entries", f"the {fields[4]} that its end counts"
    return None


def _members(infos: list[zipfile.ZipInfo], start: int, zip_name: str, contents: Contents) -> dict[str, _Member]:
    """Take the entries that have safe names of their own; note the defects of all."""
    members: dict[str, _Member] = {}
    ordered = sorted(infos, key=lambda info: info.header_offset)
    if ordered and ordered[0].header_offset > 0:
        found = f"has {ordered[0].header_offset} bytes before its first entry"
        contents.defects.append(DamagedZip(zip_name, found, "none"))
    limits = [*(info.header_offset for info in ordered), start][1:]
    overlapped = False
    for info, limit in zip(ordered, limits, strict=True):
        raw = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "latin-1")
        name = os.fsdecode(raw)
        overlaps = info.header_offset + _LOCAL.size + len(raw) + info.compress_size > limit
        folder = name.endswith("/")
        defects = _entry_defects(info, name, folder=folder)
        if overlaps or overlapped:
            defects.append(DamagedZip(name, "shares bytes with another entry", "each for itself"))
        if info.header_offset < 0:
            found = "begins before the zip: bytes are missing, or its end is damaged"
            defects.append(DamagedZip(name, found, "a whole zip"))
        overlapped = overlaps
        contents.defects += defects
        if any(isinstance(defect, UnsafeName) for defect in defects):
            continue
        if folder:
            contents.folders.add(name[:-1])
            continue
        if name in members:
            contents.defects.append(SameName(name, "is in the zip twice", "each name once"))
            contents.refused.add(name)
            continue
        if defects:
            contents.refused.add(name)
        contents.files[name] = info.file_size
        members[name] = _Member(
            name,
            raw,
            info.header_offset,
            limit,
            info.compress_type,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.date_time,
            info.extra,
        )
    contents.defects += _files_as_folders(contents)
    return members


def _entry_defects(info: zipfile.ZipInfo, name: str, *, folder: bool) -> list[Defect]:
    defects: list[Defect] = []
    danger = unsafe(name.removesuffix("/"))
    if danger:
        defects.append(UnsafeName(name, f"is a name that {danger}", "one inside a bag"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else f"a special file (mode {kind:o})"
        defects.append(SpecialFile(name, f"is {what}", "files and folders only"))
    if info.flag_bits & ENCRYPTED:
        defects.append(UnsupportedEntry(name, "is encrypted", "a zip without a password"))
    if info.compress_type not in _METHODS:
        method = _OTHER_METHODS.get(info.compress_type, str(info.compress_type))
        found = f"is compressed by the method {method}"
        defects.append(UnsupportedEntry(name, found, " or ".join(_METHODS.values())))
    if folder and info.file_size:
        defects.append(DamagedZip(name, f"is a folder with {info.file_size} bytes", "none"))
    if info.compress_type == STORED and info.compress_size != info.file_size:
        found = f"is stored with {info.compress_size} bytes"
        defects.append(DamagedZip(name, found, f"the {info.file_size} it is said to have"))
    return defects


def _files_as_folders(contents: Contents) -> list[Defect]:
    parents: set[str] = set()
    for name in (*contents.files, *(f"{folder}/" for folder in contents.folders)):
        parent = name.rpartition("/")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    both = sorted(contents.files.keys() & parents)
    contents.refused.update(both)
    return [SameName(name, "is a file and a folder", "one of them") for name in both]
