"""The central directory of a zip: found, walked in blocks, and held as a few numbers for each entry.

The records of a small directory are held. Of a large one they are read again where they
are needed: a million entries take some tens of megabytes, whatever their names. One that
isn't the same then is an error, as what was judged isn't what there is. What is wrong with
the directory as a whole is told here; what is wrong with an entry is for the caller to judge.
(APPNOTE.TXT, the .ZIP File Format Specification, §4.3 to §4.5.)
"""

from __future__ import annotations

import errno
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from glacier_sync.bags.errors import unreadable
from glacier_sync.bags.records import (
    IN_ZIP64,
    LARGEST,
    RECORD_SIZE,
    SHORT_IN_ZIP64,
    NoDirectoryError,
    Record,
    length_of,
    mark_of,
    name_of,
    parsed,
    size_of,
)

LOCAL_SIZE = 30
"""How long a local header is, without its name and its extra fields."""

MOST_ENTRIES = 1 << 22

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LONGEST_COMMENT = 0xFFFF
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_SIGNATURE = b"PK\x06\x06"
_LONGEST_RECORD = RECORD_SIZE + 3 * 0xFFFF
_WALKED = 1 << 20
_LARGEST_HELD = 16 << 20
_MOST_HELD = 150_000
"""How many records and extra fields are held, of a directory of at most ``_LARGEST_HELD`` bytes."""

_BLOCK = 1 << 16
_BLOCKS = 64

Read = Callable[[int, int], bytes]
"""Returns so many bytes of a zip from an offset, or those that are there."""


class End(NamedTuple):
    """Where a central directory is, and how many entries the zip's end counts, on this disk and in all.

    ``shift`` is how many bytes stand before the zip, or are missing there if it is
    negative: offsets count from the zip's own beginning.
    """

    start: int
    stop: int
    entries: tuple[int, int]
    shift: int
    problems: tuple[tuple[str, str], ...]


class Directory:
    """The entries of the zip at ``path``, of ``size`` bytes, in the order of their headers, by number.

    Raises NoDirectoryError, whatever ``read`` does, and UnreadableError if the zip is changed meanwhile.
    """

    def __init__(self, path: Path, read: Read, size: int) -> None:
        self._path = path
        self._read = read
        self.end = _find_end(read, size)
        self._places = array("q")
        self._headers = array("q")
        self._marks = array("I")
        self._blocks: dict[int, bytes] = {}
        self._held: list[Record] | None = [] if self.end.stop - self.end.start <= _LARGEST_HELD else None
        self._fields_held = 0
        self._in_order = True

    def __len__(self) -> int:
        return len(self._places)

    @property
    def is_held(self) -> bool:
        """Whether the records are in memory, as those of a small directory are."""
        return self._held is not None

    def __getitem__(self, number: int) -> Record:
        if self._held is not None:
            return self._held[number]
        return parsed(self._record(number), 0, self.end.shift)

    def name(self, number: int) -> bytes:
        """Return an entry's name, as the zip has it."""
        if self._held is not None:
            return self._held[number].name
        return name_of(self._record(number))

    def size(self, number: int) -> int:
        """Return an entry's size, inflated."""
        if self._held is not None:
            return self._held[number].size
        return size_of(self._record(number), self.end.shift)

    def header(self, number: int) -> int:
        """Return where an entry's local header is."""
        return self._headers[number]

    def limit(self, number: int) -> int:
        """Return where the next entry, or the central directory, begins."""
        return self._headers[number + 1] if number + 1 < len(self._headers) else self.end.start

    def walk(self) -> Iterator[Record]:
        """Yield every record once, in the directory's order; numbers are good when all are read."""
        position, stop = self.end.start, self.end.stop
        held, begin = b"", position
        while position < stop:
            if begin + len(held) - position < _LONGEST_RECORD and begin + len(held) < stop:
                begin, held = position, self._read(min(_WALKED, stop - position), position)
            at = position - begin
            record = parsed(held, at, self.end.shift)
            if len(self._places) == MOST_ENTRIES:
                raise NoDirectoryError("has too many entries", f"{MOST_ENTRIES} at most")
            self._places.append(position)
            self._headers.append(record.header)
            self._marks.append(mark_of(held[at : at + record.length]))
            self._hold(record)
            position += record.length
            yield record

    def names(self, numbers: Iterable[int]) -> Iterator[tuple[bytes, int]]:
        """Yield entries' names with their sizes; numbers that ascend are read in large blocks."""
        if self._held is not None:
            for record in map(self._held.__getitem__, numbers):
                yield record.name, record.size
            return
        if not self._in_order:
            # Blocks would be read for one record each.
            for found in map(self._record, numbers):
                yield name_of(found), size_of(found, self.end.shift)
            return
        held, begin, whole = b"", 0, 0
        for number in numbers:
            place = self._places[number]
            at = place - begin
            if not 0 <= at < whole:
                held, begin, at = self._read(_WALKED, place), place, 0
                whole = len(held) if place + len(held) >= self.end.stop else len(held) - _LONGEST_RECORD
            found = held[at : at + length_of(held, at)]
            self._require_same(number, found)
            yield name_of(found), size_of(found, self.end.shift)

    def sort(self) -> array[int] | None:
        """Put the entries in the order of their headers; return the old numbers, or None if they were so before."""
        headers = self._headers
        if all(one <= other for one, other in pairwise(headers)):
            return None
        self._in_order = False
        order = array("q", sorted(range(len(headers)), key=headers.__getitem__))
        self._headers = array("q", map(headers.__getitem__, order))
        self._places = array("q", map(self._places.__getitem__, order))
        self._marks = array("I", map(self._marks.__getitem__, order))
        if self._held is not None:
            self._held = list(map(self._held.__getitem__, order))
        return order

    def _hold(self, record: Record) -> None:
        """Keep a record, unless there are too many."""
        if self._held is None:
            return
        self._held.append(record)
        self._fields_held += 1 + len(record.extra)
        if self._fields_held > _MOST_HELD:
            self._held = None

    def _record(self, number: int) -> bytes:
        """Read a record again."""
        place = self._places[number]
        record = self._at(place, length_of(self._at(place, RECORD_SIZE), 0))
        self._require_same(number, record)
        return record

    def _require_same(self, number: int, record: bytes) -> None:
        if mark_of(record) != self._marks[number]:
            raise unreadable(self._path, OSError(errno.EIO, "it was changed while it was read"))

    def _at(self, offset: int, length: int) -> bytes:
        """Return a few bytes of the directory, through the blocks that were read last."""
        number = offset // _BLOCK
        block = self._blocks.get(number)
        if block is None:
            block = self._read(_BLOCK, number * _BLOCK)
            # Cleared at a stroke: other threads may read meanwhile.
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            self._blocks[number] = block
        begin = offset - number * _BLOCK
        found = block[begin : begin + length]
        return found if len(found) == length else self._read(length, offset)


def _find_end(read: Read, size: int) -> End:
    """Find the one end of the central directory, and its ZIP64 end if it has one (§4.3.14 to §4.3.16)."""
    first = max(size - _END.size - _LONGEST_COMMENT, 0)
    tail = read(size - first, first)
    place, problems = _last_end(tail)
    _, disk, first_disk, here, entries, length, offset, _ = _END.unpack_from(tail, place)
    stop = first + place
    located = None
    end64 = _end64(read, stop)
    if end64:
        located, *fields64 = end64
        short = (disk, first_disk, here, entries, length, offset)
        if any(
            one not in (other, SHORT_IN_ZIP64 if index < 4 else IN_ZIP64)
            for index, (one, other) in enumerate(zip(short, fields64, strict=True))
        ):
            problems.append(("has two ends that contradict each other", "the same in its end and its ZIP64 end"))
        disk, first_disk, here, entries, length, offset = fields64
        stop -= _LOCATOR.size + _END64.size
    elif IN_ZIP64 in (length, offset):
        raise NoDirectoryError("needs a ZIP64 end, and has none", "a whole zip")
    if disk or first_disk:
        raise NoDirectoryError("is one of several parts of a zip", "a zip in one file")
    if length > stop:
        raise NoDirectoryError(f"says its central directory has {length} bytes, more than the file", "a whole zip")
    if offset > LARGEST:
        raise NoDirectoryError(f"says its central directory begins at byte {offset}", "a whole zip")
    shift = stop - length - offset
    if located is not None and located + shift != stop:
        # Whoever follows it would read another directory.
        problems.append(("has a locator that points elsewhere than to its ZIP64 end", "its place"))
    return End(stop - length, stop, (here, entries), shift, tuple(problems))


def _last_end(tail: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Return the place of the end that is meant in the last bytes of a zip, and what is wrong there."""
    places = [place for place in _occurrences(tail, _END_SIGNATURE) if place + _END.size <= len(tail)]
    if not places:
        raise NoDirectoryError("has no end of its central directory", "a whole zip")
    lasts = [place + _END.size + _comment_length(tail, place) for place in places]
    whole = [place for place, last in zip(places, lasts, strict=True) if last == len(tail)]
    place = whole[-1] if whole else places[-1]
    problems = []
    if len(whole) > 1 or places[-1] > place:
        problems.append(("has another end of its central directory in its comment", "one end"))
    if not whole:
        behind = lasts[-1] < len(tail)
        problems.append(
            ("has bytes behind its end", "nothing there") if behind else ("is cut off in its comment", "a whole zip")
        )
    return place, problems


def _end64(read: Read, end: int) -> tuple[int, int, int, int, int, int, int] | None:
    """Return where the ZIP64 end is said to be and what it says in the place of the end (§4.3.14, §4.3.15).

    It is None if there is none before the end.
    """
    locator = read(_LOCATOR.size, end - _LOCATOR.size) if end >= _LOCATOR.size else b""
    if not locator.startswith(_LOCATOR_SIGNATURE):
        return None
    _, disk, located, disks = _LOCATOR.unpack(locator)
    place = end - _LOCATOR.size - _END64.size
    found = read(_END64.size, place) if place >= 0 else b""
    if not found.startswith(_END64_SIGNATURE):
        raise NoDirectoryError("has no ZIP64 end where its locator is", "one right before it")
    _, length, _, _, *fields = _END64.unpack(found)
    if length != _END64.size - 12:
        raise NoDirectoryError("has a ZIP64 end of another version", f"one of {_END64.size - 12} bytes")
    if disk or disks > 1:
        raise NoDirectoryError("is one of several parts of a zip", "a zip in one file")
    number, first, here, entries, size, offset = fields
    return located, number, first, here, entries, size, offset


def _occurrences(data: bytes, part: bytes) -> Iterator[int]:
    place = data.find(part)
    while place >= 0:
        yield place
        place = data.find(part, place + 1)


def _comment_length(tail: bytes, end: int) -> int:
    return int.from_bytes(tail[end + _END.size - 2 : end + _END.size], "little")
