"""Judging what the central directory of a zip says, before any entry is read.

(APPNOTE.TXT, the .ZIP File Format Specification, §4.4 to §4.6.)
"""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress

from glacier_sync.bags.central import LOCAL_SIZE, Directory
from glacier_sync.bags.defects import DamagedZip, Defect, SameName, SpecialFile, UnsafeName, UnsupportedEntry
from glacier_sync.bags.files import Files, NameIndex
from glacier_sync.bags.names import shown, unsafe
from glacier_sync.bags.records import Record
from glacier_sync.hashing.entries import DEFLATED, ENCRYPTED, STORED, UNICODE_PATH, other_name

_PATCHED = 0x20
_UTF8 = 0x800
_METHODS = {STORED: "stored", DEFLATED: "deflated"}
_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}
_LARGEST_RATIO = 1032
"""How much smaller deflate can make bytes at the most (zlib's documentation, "Maximum Compression Factor")."""

_DOS_KINDS = {0x8: "a volume label", 0x10: "a folder by its attributes", 0x400: "a reparse point"}

_MOST_HELD = 50_000
"""Of so many files, whose records are held, the names are too when they were read once; others are read each time."""

_PLAIN_KINDS = (0, stat.S_IFREG >> 12)
_ODD_ATTRIBUTES = sum(_DOS_KINDS)
_ODD_FLAGS = ENCRYPTED | _PATCHED

_TAKEN, _REFUSED, _LEFT, _FOLDER = b"\0\1\2\3"
_FILES = frozenset({_TAKEN, _REFUSED})

# There may be something wrong with every entry: it is held as one number, which has the entry's and the reason's.
_OF_RECORD, _OVERLAPS, _TOO_EARLY, _TWICE, _FILE_AND_FOLDER = range(5)
_BITS_OF_REASON = 3
_REASONS = {
    _OVERLAPS: (DamagedZip, "shares bytes with another entry", "each for itself"),
    _TOO_EARLY: (DamagedZip, "begins before the zip: bytes are missing, or its end is damaged", "a whole zip"),
    _TWICE: (SameName, "is in the zip twice", "each name once"),
    _FILE_AND_FOLDER: (SameName, "is a file and a folder", "one of them"),
}


class ZipFiles(Files):
    """The files of a zip, or those below a prefix, named without it."""

    def __init__(self, directory: Directory, index: NameIndex, numbers: array[int], prefix: bytes = b"") -> None:
        self._directory = directory
        self._index = index
        self._numbers = numbers
        self._prefix = prefix
        self._held: list[tuple[str, int]] | None = None

    def __getitem__(self, name: str) -> int:
        return self._directory.size(self.entry(name))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def pairs(self) -> Iterator[tuple[str, int]]:
        """Yield each name with its size, in the order of the entries' headers."""
        if self._held is None and len(self) <= _MOST_HELD and self._directory.is_held:
            self._held = list(self._read_pairs())
        return self._read_pairs() if self._held is None else iter(self._held)

    def number(self, name: str) -> int | None:
        """Return the place of a name in the listing, or None if there is no such file."""
        entry = self._find(name)
        return None if entry is None else bisect_left(self._numbers, entry)

    def name(self, number: int) -> str:
        """Return the name of a file by its place in the listing."""
        return os.fsdecode(self._directory.name(self._numbers[number])[len(self._prefix) :])

    def entry(self, name: str) -> int:
        """Return the number of a file's entry in the directory. Raises KeyError."""
        entry = self._find(name)
        if entry is None:
            raise KeyError(name)
        return entry

    def find(self, name: bytes) -> int | None:
        """Return the number of a file's entry in the directory, or None if there is no such file."""
        return self._index.find(self._prefix + name)

    def raw_names(self) -> Iterator[bytes]:
        """Yield the names as the zip has them, in the order of the entries' headers."""
        cut = len(self._prefix)
        return (name[cut:] for name, _ in self._directory.names(self._numbers))

    def entries(self) -> array[int]:
        """Return the numbers of the files' entries in the directory, ascending."""
        return self._numbers

    def below(self, prefix: bytes, numbers: array[int]) -> ZipFiles:
        """Return the files of these entries, all of which begin with ``prefix``."""
        return ZipFiles(self._directory, self._index, numbers, prefix)

    def _read_pairs(self) -> Iterator[tuple[str, int]]:
        cut = len(self._prefix)
        for name, size in self._directory.names(self._numbers):
            yield os.fsdecode(name[cut:]), size

    def _find(self, name: str) -> int | None:
        return self.find(os.fsencode(name))


@dataclass(frozen=True)
class Refused(Container[str]):
    """The files that are there but must not be read, as ``files`` names them."""

    files: ZipFiles
    states: bytearray

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.states[self.files.entry(name)] == _REFUSED


def refused(files: ZipFiles, states: bytearray) -> Container[str]:
    """Return which of the files must not be read, by their names."""
    # Mostly there is none, and nothing has to be looked up.
    return Refused(files, states) if _REFUSED in states else frozenset()


@dataclass
class Contents:
    """What a zip lists, with names that are safe: to be divided into bags.

    ``folder_entries`` are the numbers of the entries that are ``folders``. The ``defects``
    are found while they are asked for, once: there may be very many.
    """

    files: ZipFiles
    states: bytearray
    folders: set[str] = field(default_factory=set)
    folder_entries: Sequence[int] = ()
    defects: Iterable[Defect] = ()


def judge(directory: Directory, zip_name: str) -> Contents:
    """Take the entries that have safe names of their own; note the defects of all. Raises NoDirectoryError."""
    return _Judge(directory, zip_name).judge()


class _Judge:
    def __init__(self, directory: Directory, zip_name: str) -> None:
        self._directory = directory
        self._zip_name = zip_name
        self._ends = array("q")
        self._states = bytearray()
        self._folders: set[str] = set()
        self._found = array("Q")

    def judge(self) -> Contents:
        directory = self._directory
        for number, record in enumerate(directory.walk()):
            self._take(number, record)
        self._sort()
        self._find_overlaps()
        index = NameIndex(len(directory), directory.name)
        self._find_doubles(index)
        numbers = self._numbered(_FILES)
        files = ZipFiles(directory, index, numbers)
        self._find_files_as_folders(files)
        self._found = array("Q", sorted(self._found))
        defects = chain(self._of_whole(), self._of_entries())
        return Contents(files, self._states, self._folders, self._numbered({_FOLDER}), defects)

    def _numbered(self, states: Collection[int]) -> array[int]:
        return array("I", (number for number, state in enumerate(self._states) if state in states))

    def _take(self, number: int, record: Record) -> None:
        name = os.fsdecode(record.name)
        self._ends.append(record.header + LOCAL_SIZE + len(record.name) + record.compressed)
        if _is_plain(record) and unsafe(name) is None:
            self._states.append(_TAKEN)
            return
        folder = record.name.endswith(b"/")
        defects = _entry_defects(record, name, folder=folder)
        if defects:
            self._note(number, _OF_RECORD)
        unsafe_name = any(isinstance(defect, UnsafeName) for defect in defects)
        if folder and not unsafe_name:
            self._folders.add(name[:-1])
        if unsafe_name or (folder and defects):
            self._states.append(_LEFT)
        else:
            self._states.append(_FOLDER if folder else _REFUSED if defects else _TAKEN)

    def _sort(self) -> None:
        order = self._directory.sort()
        if order is None:
            return
        self._ends = array("q", map(self._ends.__getitem__, order))
        self._states = bytearray(map(self._states.__getitem__, order))
        if self._found:
            places = array("Q", bytes(8 * len(order)))
            for new, old in enumerate(order):
                places[old] = new
            self._found = array("Q", (places[found >> _BITS_OF_REASON] << _BITS_OF_REASON for found in self._found))

    def _find_overlaps(self) -> None:
        overlapped = False
        for number, end in enumerate(self._ends):
            overlaps = end > self._directory.limit(number)
            if overlaps or overlapped:
                self._refuse(number, _OVERLAPS)
            if self._directory.header(number) < 0:
                self._refuse(number, _TOO_EARLY)
            overlapped = overlaps

    def _find_doubles(self, index: NameIndex) -> None:
        numbers = self._numbered(_FILES)
        for number, (name, _) in zip(numbers, self._directory.names(numbers), strict=True):
            first = index.add(name, number)
            if first is not None:
                self._refuse(first, _TWICE)
                self._states[number] = _LEFT

    def _find_files_as_folders(self, files: ZipFiles) -> None:
        """Look up every folder's name, but those that the name before had as well; none is held."""
        found = bytearray(len(self._directory))
        last = b""
        for name in chain((os.fsencode(f"{folder}/") for folder in self._folders), files.raw_names()):
            parent = name.rpartition(b"/")[0]
            while parent and not last.startswith(parent + b"/"):
                number = files.find(parent)
                if number is not None:
                    found[number] = True
                parent = parent.rpartition(b"/")[0]
            last = name
        for number in compress(range(len(found)), found):
            self._refuse(number, _FILE_AND_FOLDER)

    def _note(self, number: int, reason: int) -> None:
        self._found.append(number << _BITS_OF_REASON | reason)

    def _refuse(self, number: int, reason: int) -> None:
        self._note(number, reason)
        if self._states[number] != _LEFT:
            self._states[number] = _REFUSED if self._states[number] in _FILES else _LEFT

    def _of_entries(self) -> Iterator[Defect]:
        """Yield what is wrong with entries, in their order."""
        for found in self._found:
            number, reason = found >> _BITS_OF_REASON, found & (1 << _BITS_OF_REASON) - 1
            if reason == _OF_RECORD:
                record = self._directory[number]
                yield from _entry_defects(record, os.fsdecode(record.name), folder=record.name.endswith(b"/"))
            else:
                kind, what, expected = _REASONS[reason]
                yield kind(os.fsdecode(self._directory.name(number)), what, expected)

    def _of_whole(self) -> Iterator[Defect]:
        """Yield what is wrong with the zip as a whole."""
        directory = self._directory
        yield from (DamagedZip(self._zip_name, *problem) for problem in directory.end.problems)
        for counted in set(directory.end.entries) - {len(directory)}:
            expected = f"the {counted} that its end counts"
            yield DamagedZip(self._zip_name, f"has {len(directory)} entries", expected)
        before = directory.header(0) if len(directory) else directory.end.start
        if before > 0:
            yield DamagedZip(self._zip_name, f"has {before} bytes before its first entry", "none")
        if directory.end.shift < 0:
            lacking = f"lacks {-directory.end.shift} bytes before its first entry"
            yield DamagedZip(self._zip_name, lacking, "a whole zip")


def _is_plain(record: Record) -> bool:
    """Tell whether an entry's record has nothing in it that has to be looked at twice."""
    return (
        record.method == STORED
        and record.compressed == record.size
        and not record.flags & _ODD_FLAGS
        and (not record.flags & _UTF8 or record.name.isascii())
        and (not record.extra or UNICODE_PATH not in dict(record.extra))
        and not record.problem
        and record.attributes >> 28 in _PLAIN_KINDS
        and not record.attributes & _ODD_ATTRIBUTES
        and not record.name.endswith(b"/")
    )


def _entry_defects(record: Record, name: str, *, folder: bool) -> list[Defect]:
    defects: list[Defect] = []
    danger = unsafe(name.removesuffix("/")) or _contradicted(record)
    if danger:
        defects.append(UnsafeName(name, f"is a name that {danger}", "one inside a bag"))
    special = _special(record.attributes, folder=folder)
    if special:
        defects.append(SpecialFile(name, f"is {special}", "files and folders only"))
    if record.flags & ENCRYPTED:
        defects.append(UnsupportedEntry(name, "is encrypted", "a zip without a password"))
    if record.flags & _PATCHED:
        defects.append(UnsupportedEntry(name, "is the difference from another file", "whole files"))
    if record.method not in _METHODS:
        method = _OTHER_METHODS.get(record.method, str(record.method))
        found = f"is compressed by the method {method}"
        defects.append(UnsupportedEntry(name, found, " or ".join(_METHODS.values())))
    if record.problem:
        defects.append(DamagedZip(name, record.problem, "a record that makes sense"))
    sizes = _contradicting_sizes(record, folder=folder)
    if sizes:
        defects.append(DamagedZip(name, *sizes))
    return defects


def _contradicting_sizes(record: Record, *, folder: bool) -> tuple[str, str] | None:
    """Return what is wrong with an entry's sizes, and what they should be."""
    size, compressed = record.size, record.compressed
    if folder and size:
        return f"is a folder with {size} bytes", "none"
    if folder and record.crc:
        return f"has a checksum of {record.crc:08x}, as a file has", "a folder"
    if record.method == STORED and compressed != size:
        return f"is stored with {compressed} bytes", f"the {size} it is said to have"
    if record.method == DEFLATED and size > compressed * _LARGEST_RATIO:
        return f"is said to have {size} bytes in {compressed} deflated ones", f"{_LARGEST_RATIO} for each at most"
    return None


def _contradicted(record: Record) -> str | None:
    """Return what is wrong with a name beside what it says: its encoding, or a second name (§4.6.9)."""
    if record.flags & _UTF8 and not record.name.isascii():
        try:
            record.name.decode("utf-8")
        except UnicodeDecodeError:
            return "isn't UTF-8, though it is said to be"
    for kind, data in record.extra:
        if kind != UNICODE_PATH:
            continue
        other = other_name(data, record.name)
        if other is not None:
            return f"its Unicode path field has otherwise, as {shown(os.fsdecode(other))}"
    return None


def _special(attributes: int, *, folder: bool) -> str | None:
    kind = stat.S_IFMT(attributes >> 16)
    if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG):
        return "a symbolic link" if kind == stat.S_IFLNK else f"a special file (mode {kind:o})"
    return next((what for bit, what in _DOS_KINDS.items() if attributes & bit and not (folder and bit == 0x10)), None)
