"""Writing zips: one entry after the other, and of none of them anything is held in memory.

What the central directory will say waits in a file of its own until all entries are
there. What is written is, byte for byte, what Python's own zipfile writes when it may
use ZIP64 everywhere, so it depends on no version of Python.
(APPNOTE.TXT, the .ZIP File Format Specification, §4.3 to §4.5.)
"""

from __future__ import annotations

import os
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from glacier_sync.hashing.entries import STORED

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_ZIP64 = struct.Struct("<2H2Q")
_RECORD = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q4sLQL")
_TIME = struct.Struct("<HHBl")

_VERSION = 45
_UNIX = 3
_REGULAR_FILE = 0o100644 << 16
_UTF8 = 0x800
_ZIP64 = 0x0001
_EXTENDED_TIME = 0x5455
_IN_ZIP64 = 0xFFFFFFFF
_LARGEST = 0x7FFFFFFF
_MOST_ENTRIES = 0xFFFF
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_LEAST_TIME, _MOST_TIME = -(2**31), 2**31 - 1
_HELD = 2**18


class EntryWriter:
    """Takes the bytes of one entry."""

    def __init__(self, out: _Output) -> None:
        self.size = self.crc = 0
        self._out = out

    def write(self, data: bytes | memoryview) -> None:
        """Write some more bytes."""
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self._out.write(data)


class ZipWriter:
    """Writes a zip to a file, nothing compressed; ``directory`` is an empty one that takes the central directory."""

    def __init__(self, file: IO[bytes], directory: IO[bytes]) -> None:
        self._out = _Output(file)
        self._directory = directory
        self._entries = 0

    @contextmanager
    def entry(self, name: str, modified: int) -> Iterator[EntryWriter]:
        """Begin an entry with a time in seconds since 1970; it is whole when the context is left."""
        raw = os.fsencode(name)
        modified = max(min(modified, _MOST_TIME), _LEAST_TIME)
        common = _VERSION, _name_flags(raw), STORED, *_dos_time(modified)
        extra = _TIME.pack(_EXTENDED_TIME, _TIME.size - 4, 1, modified)
        header = self._out.position
        # Sizes and CRC-32 are known when all is written, and put in then.
        entry = EntryWriter(self._out)
        self._out.write(_local(common, raw, extra, entry))
        yield entry
        self._out.overwrite(header, _local(common, raw, extra, entry))
        self._directory.write(_record(common, raw, extra, entry, header))
        self._entries += 1

    def finish(self) -> None:
        """Write the central directory and the zip's end."""
        start = self._out.position
        self._out.flush()
        self._directory.seek(0)
        length = self._out.copy(self._directory)
        self._out.write(_end(self._entries, start, length))
        self._out.flush()


class _Output:
    """A file that small writes are gathered for, and of which a place can be written once more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held = bytearray()
        self._written = file.tell()

    @property
    def position(self) -> int:
        return self._written + len(self._held)

    def write(self, data: bytes | memoryview) -> None:
        if len(self._held) + len(data) > _HELD:
            self.flush()
        if len(data) < _HELD:
            self._held += data
        else:
            self._written += self._file.write(data)

    def overwrite(self, place: int, data: bytes) -> None:
        at = place - self._written
        if at >= 0:
            self._held[at : at + len(data)] = data
            return
        self._file.seek(place)
        self._file.write(data)
        self._file.seek(self._written)

    def copy(self, source: IO[bytes]) -> int:
        before = self._written
        shutil.copyfileobj(source, self._file)
        self._written = self._file.tell()
        return self._written - before

    def flush(self) -> None:
        self._written += self._file.write(self._held)
        self._held.clear()


def _name_flags(raw: bytes) -> int:
    """Return the flags of an entry with a name, which goes into the zip byte for byte."""
    try:
        return 0 if raw.isascii() or not raw.decode("utf-8") else _UTF8
    except UnicodeDecodeError:
        return 0


def _dos_time(modified: int) -> tuple[int, int]:
    year, month, day, hour, minute, second = max(time.gmtime(modified)[:6], _FIRST_TIME)
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _local(common: tuple[int, ...], raw: bytes, extra: bytes, entry: EntryWriter) -> bytes:
    extra += _LOCAL_ZIP64.pack(_ZIP64, 16, entry.size, entry.size)
    return _LOCAL.pack(b"PK\3\4", *common, entry.crc, _IN_ZIP64, _IN_ZIP64, len(raw), len(extra)) + raw + extra


def _record(common: tuple[int, ...], raw: bytes, extra: bytes, entry: EntryWriter, header: int) -> bytes:
    """Return an entry's record in the central directory; what is too large for it goes into a ZIP64 field."""
    size = entry.size
    large = []
    if size > _LARGEST:
        large += [size, size]
        size = _IN_ZIP64
    if header > _LARGEST:
        large.append(header)
        header = _IN_ZIP64
    if large:
        extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large) + extra
    version, *others = common
    fields = (_VERSION, _UNIX, version, 0, *others, entry.crc, size, size, len(raw), len(extra))
    return _RECORD.pack(b"PK\1\2", *fields, 0, 0, 0, _REGULAR_FILE, header) + raw + extra


def _end(entries: int, start: int, length: int) -> bytes:
    before = b""
    if entries > _MOST_ENTRIES or start > _LARGEST or length > _LARGEST:
        fields = (44, _VERSION, _VERSION, 0, 0, entries, entries, length, start)
        before = _END64.pack(b"PK\6\6", *fields, b"PK\6\7", 0, start + length, 1)
    count = min(entries, _MOST_ENTRIES)
    return before + _END.pack(b"PK\5\6", 0, 0, count, count, min(length, _IN_ZIP64), min(start, _IN_ZIP64), 0)
