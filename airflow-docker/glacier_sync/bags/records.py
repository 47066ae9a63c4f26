"""The records of a zip's central directory: parsed, and known again when they are read once more.

(APPNOTE.TXT, the .ZIP File Format Specification, §4.3.12, §4.4 and §4.5.)
"""

from __future__ import annotations

import struct
from typing import NamedTuple

RECORD_SIZE = 46
"""How long a record is, without its name, its extra fields and its comment."""

LARGEST = 1 << 60
"""No file is larger, and the sum of a few such numbers fits in 64 bits, as not all of ZIP64's do."""

IN_ZIP64 = 0xFFFFFFFF
SHORT_IN_ZIP64 = 0xFFFF

_RECORD = struct.Struct("<4s6H3L5H2L")
_SIGNATURE = b"PK\x01\x02"
_LENGTHS = struct.Struct("<3H")
_EXTRA = struct.Struct("<2H")
_ZIP64 = 0x0001


class NoDirectoryError(Exception):
    """Raised where no central directory can be read: what was found, and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found = found
        self.expected = expected


class Record(NamedTuple):
    """An entry as the central directory says; sizes and offsets in bytes, ``extra`` by the fields' numbers.

    ``problem`` tells why the record contradicts itself, or is None; ``length`` is the record's own.
    """

    name: bytes
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed: int
    size: int
    attributes: int
    header: int
    extra: tuple[tuple[int, bytes], ...]
    problem: str | None
    length: int


def mark_of(record: bytes) -> int:
    """Return what a record is known by: nobody can make another of the same, as Python's hashes are keyed."""
    return hash(record) & 0xFFFFFFFF


def length_of(data: bytes, at: int) -> int:
    """Return how long the record at a place is."""
    name, extra, comment = _LENGTHS.unpack_from(data, at + 28)
    return RECORD_SIZE + int(name + extra + comment)


def name_of(record: bytes) -> bytes:
    """Return a record's name alone."""
    return record[RECORD_SIZE : RECORD_SIZE + (record[28] | record[29] << 8)]


def size_of(record: bytes, shift: int) -> int:
    """Return a record's size alone, inflated; the ``shift`` is that of ``parsed``."""
    size = int.from_bytes(record[24:28], "little")
    return parsed(record, 0, shift).size if size == IN_ZIP64 else size


def parsed(data: bytes, at: int, shift: int) -> Record:
    """Return the record at a place, its header moved by ``shift``. Raises NoDirectoryError if there is none."""
    if len(data) - at < RECORD_SIZE or not data.startswith(_SIGNATURE, at):
        raise NoDirectoryError("has a central directory that is damaged", "a whole zip")
    fields = _RECORD.unpack_from(data, at)
    _, _, _, flags, method, time, date, crc, compressed, size, name_length, extra_length, comment = fields[:13]
    disk, _, attributes, header = fields[13:]
    start = at + RECORD_SIZE
    end = start + name_length
    if end + extra_length + comment > len(data):
        raise NoDirectoryError("has a central directory that is cut off", "a whole zip")
    name = data[start:end]
    extra: tuple[tuple[int, bytes], ...] = ()
    problem = None
    if extra_length:
        extra, problem = _fields(data[end : end + extra_length])
    if IN_ZIP64 in (size, compressed, header) or disk == SHORT_IN_ZIP64:
        values = _zip64([field for kind, field in extra if kind == _ZIP64], (size, compressed, header, disk))
        if values is None:
            problem = "has sizes in a ZIP64 field that it doesn't have"
        else:
            size, compressed, header, disk = values
            if max(size, compressed, header) > LARGEST:
                problem = "has a size or a place that no file can have"
                size, compressed, header = (min(value, LARGEST) for value in (size, compressed, header))
    if disk:
        problem = "is in another part of the zip"
    length = end + extra_length + comment - at
    return Record(
        name, flags, method, time, date, crc, compressed, size, attributes, header + shift, extra, problem, length
    )


def _fields(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], str | None]:
    """Return an entry's extra fields (§4.5.1), and why they make no sense; zeros at the end fill up."""
    found = []
    problem = None
    position = 0
    while len(data) - position >= _EXTRA.size:
        kind, length = _EXTRA.unpack_from(data, position)
        position += _EXTRA.size
        if position + length > len(data):
            problem = "has an extra field that reaches beyond the others"
            break
        found.append((kind, data[position : position + length]))
        position += length
    if problem is None and any(data[position:]):
        problem = "has bytes behind its extra fields"
    return tuple(found), problem


def _zip64(held: list[bytes], short: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Return size, compressed size, header and disk, where they don't fit from the one ZIP64 field (§4.5.3)."""
    if len(held) != 1:
        return None
    values = []
    position = 0
    for value, length, mark in zip(short, (8, 8, 8, 4), (*[IN_ZIP64] * 3, SHORT_IN_ZIP64), strict=True):
        if value != mark:
            values.append(value)
            continue
        part = held[0][position : position + length]
        if len(part) < length:
            return None
        values.append(int.from_bytes(part, "little"))
        position += length
    size, compressed, header, disk = values
    return size, compressed, header, disk
