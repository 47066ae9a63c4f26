"""Entries of zips, read in place, and held against what the central directory says of them.

(APPNOTE.TXT, the .ZIP File Format Specification, §4.3 and §4.4.)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from isal import isal_zlib

from glacier_sync.hashing.memory import ReadAhead

BLOCK = 256 * 1024
"""How many bytes are held at once: they stay in a core's own cache from reading to writing."""

STORED = 0
DEFLATED = 8
ENCRYPTED = 0x1 | 0x40 | 0x2000
UNICODE_PATH = 0x7075

_BYTES_OF_BLOCK = 512
_LOCAL = struct.Struct("<4s5H3L2H")
_SIGNATURE = b"PK\x03\x04"
_EXTRA = struct.Struct("<2H")
_ZIP64 = 0x0001
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_DESCRIPTORS = {12: "<3L", 16: "<3L", 20: "<L2Q", 24: "<L2Q"}
"""The forms of data descriptors by their lengths; those of 16 and 24 bytes begin with a signature."""

_OTHER_SIZES = "has other sizes or another CRC-32 in its local header than in the central directory"
_SIZES_FOLLOW = 0x8
_IN_ZIP64 = 0xFFFFFFFF


class Entry(NamedTuple):
    """Where a zip holds a file, as its central directory says; sizes and offsets in bytes.

    ``limit`` is where the next entry, or the central directory, begins.
    """

    name: bytes
    header: int
    limit: int
    method: int
    compressed: int
    size: int
    crc: int


def other_name(unicode_path: bytes, name: bytes) -> bytes | None:
    """Return the other name that a Unicode Path field gives an entry; None if it is of an older name (§4.6.9)."""
    is_current = unicode_path[:1] == b"\x01" and int.from_bytes(unicode_path[1:5], "little") == isal_zlib.crc32(name)
    return unicode_path[5:] if is_current and unicode_path[5:] != name else None


def _checked(entry: Entry, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """Pass an entry's bytes on; raises DamagedEntryError at the end if their CRC-32 is another."""
    crc = 0
    for chunk in chunks:
        crc = isal_zlib.crc32(chunk, crc)
        yield chunk
    if crc != entry.crc:
        raise DamagedEntryError(f"has the CRC-32 {crc:08x}", f"{entry.crc:08x}, as the zip says")


def _entry_end(entry: Entry) -> int:
    """Return where an entry ends at the earliest: its local header may have more in it than its name."""
    return entry.header + _LOCAL.size + len(entry.name) + entry.compressed


class DamagedEntryError(Exception):
    """Raised while an entry is read whose parts contradict each other."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found = found
        self.expected = expected


class EntryReader:
    """Reads entries of an open zip; neighbours that were announced at one go."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = memoryview(bytearray(BLOCK))
        self._begin = self._end = 0
        self._announced = 0
        self._ahead: ReadAhead | None = None

    def prepare(self, entries: Sequence[Entry]) -> ReadAhead | None:
        """Have the disk look for neighbours that come later."""
        try:
            return ReadAhead.unless_in_memory(self._fd, entries[0].header, _entry_end(entries[-1]))
        except OSError:
            # What can't be read is told when it is its turn.
            return None

    def announce(self, entries: Sequence[Entry], ahead: ReadAhead | None) -> None:
        """Take the neighbours that will be asked for next, with what ``prepare`` returned for them."""
        self._announced = _entry_end(entries[-1])
        self._ahead = ahead

    def is_sparse(self, entry: Entry) -> bool:
        """Tell whether an entry may hold blocks of zeros that take no room in the zip: deflated, or in a hole."""
        if entry.method == DEFLATED or entry.size < BLOCK:
            return entry.method == DEFLATED
        try:
            return self._has_holes and os.lseek(self._fd, entry.header, os.SEEK_HOLE) < _entry_end(entry)
        except OSError:
            # What can't be read is told when it is its turn.
            return False

    @cached_property
    def _has_holes(self) -> bool:
        # Asked once: looking for a hole goes through all that follows, where there is none.
        status = os.fstat(self._fd)
        return status.st_blocks * _BYTES_OF_BLOCK < status.st_size

    def chunks(self, entry: Entry, *, checked: bool) -> Iterator[memoryview]:
        """Yield an entry's bytes, inflated; each chunk is valid until the next one.

        Raises DamagedEntryError, with ``checked`` also if the CRC-32 is another,
        and OSError.
        """
        raw = self._raw(entry)
        found = raw if entry.method == STORED else _inflated(entry, raw)
        return _checked(entry, found) if checked else found

    def _raw(self, entry: Entry) -> Iterator[memoryview]:
        """Yield an entry's bytes as the zip has them."""
        length = _LOCAL.size + len(entry.name)
        header = self._at(entry.header, length, max(entry.header + length, entry.limit))
        local = _local_header(entry, header)
        start = entry.header + length + local.extra
        if local.extra:
            extra = header[length : length + local.extra]
            if len(extra) < local.extra:
                extra = self._at(entry.header + length, local.extra, start)
            _check_extra(entry, local, bytes(extra))
        end = start + entry.compressed
        _check_room(local, entry.limit - end)
        while start < end:
            chunk = self._at(start, 1, end)
            if not chunk:
                raise DamagedEntryError("ends early: the zip was cut off", "a whole zip")
            yield chunk
            start += len(chunk)
        if local.sizes_follow:
            _check_descriptor(entry, self._at(end, entry.limit - end, entry.limit))

    def _at(self, offset: int, least: int, end: int) -> memoryview:
        """Return what is held from ``offset`` to ``end``: less than ``least`` bytes only where the zip ends."""
        held = self._end - offset if self._begin <= offset else 0
        if held < least:
            if self._ahead:
                self._ahead.read_up_to(offset)
            room = self._buffer[: max(end, self._announced) - offset]
            held = os.preadv(self._fd, [room], offset)
            while held < least and (more := os.preadv(self._fd, [room[held:]], offset + held)):
                held += more
            self._begin, self._end = offset, offset + held
        begin = offset - self._begin
        return self._buffer[begin : begin + min(held, end - offset)]


class _Local(NamedTuple):
    """What an entry's local header says: the length of its extra fields, and where its sizes are."""

    extra: int
    sizes_follow: bool
    in_zip64: bool


def _local_header(entry: Entry, header: memoryview) -> _Local:
    """Read an entry's local header (§4.3.7); raises DamagedEntryError if it contradicts the directory."""
    if len(header) < _LOCAL.size + len(entry.name) or header[:4] != _SIGNATURE:
        raise DamagedEntryError("isn't where the central directory says", "its local header")
    _, _, flags, method, _, _, crc, compressed, size, name_length, extra = _LOCAL.unpack_from(header)
    if name_length != len(entry.name) or header[_LOCAL.size : _LOCAL.size + name_length] != entry.name:
        raise DamagedEntryError("has another name in its local header than in the central directory", "the same")
    if method != entry.method or flags & ENCRYPTED:
        found = "is compressed or encrypted otherwise by its local header than by the central directory"
        raise DamagedEntryError(found, "the same")
    local = _Local(extra, bool(flags & _SIZES_FOLLOW), extra > 0 and _IN_ZIP64 in (compressed, size))
    if (crc, compressed, size) != (entry.crc, entry.compressed, entry.size):
        # Where the sizes are elsewhere, they are left out here.
        left_out = {0} if local.sizes_follow else set()
        marks = {_IN_ZIP64, *left_out} if local.in_zip64 else left_out
        known = compressed in {entry.compressed, *marks} and size in {entry.size, *marks}
        if not known or crc not in {entry.crc, *left_out}:
            raise DamagedEntryError(_OTHER_SIZES, "the same")
    return local


def _check_extra(entry: Entry, local: _Local, extra: bytes) -> None:
    """Hold the extra fields of a local header against the directory (§4.5.3, §4.6.9); raises DamagedEntryError."""
    sizes = []
    while len(extra) >= _EXTRA.size:
        kind, length = _EXTRA.unpack_from(extra)
        data, extra = extra[_EXTRA.size : _EXTRA.size + length], extra[_EXTRA.size + length :]
        if len(data) < length:
            raise DamagedEntryError("has an extra field that reaches beyond its local header", "one inside it")
        if kind == _ZIP64:
            sizes.append(data)
        if kind == UNICODE_PATH and other_name(data, entry.name) is not None:
            raise DamagedEntryError("has another name in a field of its local header", "the same")
    if any(extra):
        raise DamagedEntryError("has bytes behind the extra fields of its local header", "none")
    right = struct.pack("<2Q", entry.size, entry.compressed)
    if local.in_zip64 and sizes != [right] and not (local.sizes_follow and sizes == [bytes(len(right))]):
        raise DamagedEntryError(_OTHER_SIZES, "the same")


def _check_room(local: _Local, left: int) -> None:
    """Raise DamagedEntryError unless what an entry leaves of its room is nothing, or its data descriptor."""
    if left < 0:
        raise DamagedEntryError("reaches into what follows it in the zip", "each entry for itself")
    if local.sizes_follow and left not in _DESCRIPTORS:
        raise DamagedEntryError(f"is followed by {left} bytes", "its data descriptor")
    if left and not local.sizes_follow:
        raise DamagedEntryError(f"is followed by {left} bytes that belong to nothing", "the next entry")


def _check_descriptor(entry: Entry, found: memoryview) -> None:
    """Hold the sizes behind an entry against the directory (§4.3.9); raises DamagedEntryError."""
    form = _DESCRIPTORS.get(len(found), "")
    signature = _DESCRIPTOR_SIGNATURE if len(found) % 8 == 0 else b""
    fits = "Q" in form or (form and max(entry.compressed, entry.size) < _IN_ZIP64)
    if not fits or found != signature + struct.pack(form, entry.crc, entry.compressed, entry.size):
        raise DamagedEntryError("has other sizes or another CRC-32 in its data descriptor", "those of the directory")


def _inflated(entry: Entry, raw: Iterator[memoryview]) -> Iterator[memoryview]:
    """Inflate by blocks, and never beyond the size that the entry declares."""
    engine = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS)
    total = 0
    try:
        for chunk in raw:
            data: bytes | memoryview = chunk
            while True:
                out = engine.decompress(data, BLOCK)
                total += len(out)
                if total > entry.size:
                    raise DamagedEntryError("inflates to more", f"the {entry.size} bytes it declares")
                if out:
                    yield memoryview(out)
                data = engine.unconsumed_tail
                if engine.eof or (not data and len(out) < BLOCK):
                    break
            if engine.unused_data:
                break
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub tells the class as an instance
        raise DamagedEntryError(f"can't be inflated ({error})", "a whole deflate stream") from error
    if engine.unused_data:
        raise DamagedEntryError("has bytes behind its compressed ones", "none")
    if not engine.eof or total != entry.size:
        other_size = f"inflates to {total} bytes", f"the {entry.size} it declares"
        cut_off = f"ends early, after {total} inflated bytes", "a whole deflate stream"
        raise DamagedEntryError(*(other_size if engine.eof else cut_off))
