"""Zips as sources of bags, read without being unpacked."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from glacier_sync.bags.central import Directory
from glacier_sync.bags.defects import DamagedZip, Defect, NotAZip
from glacier_sync.bags.division import divide
from glacier_sync.bags.entries import ZipFiles, judge
from glacier_sync.bags.errors import reading, unreadable
from glacier_sync.bags.records import NoDirectoryError
from glacier_sync.bags.sources import Bag, DamagedFileError, Listing
from glacier_sync.hashing.entries import DamagedEntryError, Entry, EntryReader
from glacier_sync.hashing.tasks import Job

_BEGIN = b"PK\x03\x04"
_EXTENDED_TIME = 0x5455
_DISK_BLOCK = 4096


class ZipSource:
    """A zip of bags; a context manager that keeps the file open."""

    has_checksums = True

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._size = os.fstat(self._fd).st_size
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

    def modified(self, bag: Bag, number: int) -> float | None:
        """Return an entry's time: the extended timestamp (UTC), or the DOS time as this machine's local time."""
        record = self._directory[_entry_number(bag, number)]
        for kind, data in record.extra:
            if kind == _EXTENDED_TIME and len(data) >= 5 and data[0] & 1:
                return float(struct.unpack_from("<l", data, 1)[0])
        day, clock = record.date, record.time
        moment = (day >> 9) + 1980, day >> 5 & 0xF, day & 0x1F, clock >> 11, clock >> 5 & 0x3F, (clock & 0x1F) * 2
        try:
            return time.mktime((*moment, 0, 0, -1))
        except (ValueError, OverflowError):
            return None

    def chunks(self, name: str, *, checked: bool) -> Iterator[memoryview]:
        """Yield an entry's bytes, inflated; see ``Source.chunks``."""
        try:
            yield from EntryReader(self._fd).chunks(self._entry(self._files.entry(name)), checked=checked)
        except DamagedEntryError as error:
            raise DamagedFileError(DamagedZip(name, error.found, error.expected)) from error
        except OSError as error:
            raise unreadable(f"{self.path}: {name}", error) from error

    def job(self) -> Job:
        """Return what a worker needs to read files; see ``Source.job``."""
        return Job(zip_fd=self._fd)

    def entry(self, bag: Bag, number: int) -> Entry:
        """Return where the zip holds a file of a bag, by its number there."""
        return self._entry(_entry_number(bag, number))

    def space_needed(self, folders: int) -> int:
        """Return how many bytes of disk the files take, in blocks of 4 KiB, and so many folders."""
        return _DISK_BLOCK * (folders + sum(-(-size // _DISK_BLOCK) for _, size in self._files.items()))

    def _entry(self, number: int) -> Entry:
        record = self._directory[number]
        limit = self._directory.limit(number)
        return Entry(record.name, record.header, limit, record.method, record.compressed, record.size, record.crc)

    def _read(self, length: int, offset: int) -> bytes:
        # The directory is read whenever something is asked of it, by whoever asks. Where the disk
        # fails, a read returns what lies before that place, and only the next one has the error.
        wanted = min(length, self._size - offset)
        found = b""
        with reading(self.path):
            while len(found) < wanted:
                more = os.pread(self._fd, wanted - len(found), offset + len(found))
                if not more:
                    raise OSError(errno.EIO, "it was cut off while it was read")
                found += more
        return found

    def _damaged_folders(self, numbers: Iterable[int]) -> Iterator[Defect]:
        """Read the entries of folders, which nobody will ask for."""
        reader = EntryReader(self._fd)
        for number in numbers:
            entry = self._entry(number)
            try:
                for _ in reader.chunks(entry, checked=True):
                    pass
            except DamagedEntryError as error:
                yield DamagedZip(os.fsdecode(entry.name), error.found, error.expected)

    def _list(self) -> Listing:
        name = self.path.name
        try:
            self._directory = Directory(self.path, self._read, self._size)
            contents = judge(self._directory, name)
        except NoDirectoryError as error:
            return Listing((), (NotAZip(name, *_not_a_zip(self._read(len(_BEGIN), 0), error)),))
        self._files = contents.files
        contents.defects = chain(contents.defects, self._damaged_folders(contents.folder_entries))
        return divide(contents, zip_name=name, rid=name.partition(".")[0] or name)


def _entry_number(bag: Bag, number: int) -> int:
    """Return the number that a bag's file has in the central directory."""
    assert isinstance(bag.files, ZipFiles)
    return bag.files.entries()[number]


def _not_a_zip(begin: bytes, error: NoDirectoryError) -> tuple[str, str]:
    if not begin:
        return "is empty", "a zip"
    if begin != _BEGIN:
        return f"is no zip: it {error.found}", error.expected
    return f"begins as a zip, but {error.found}: it was cut off or damaged", error.expected
