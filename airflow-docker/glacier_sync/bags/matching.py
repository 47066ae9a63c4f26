"""Which file a line of a manifest means: names byte for byte first, then by another reading, then by Unicode form.

RFC 8493 §6.1.1.3 advises to tolerate a name that was normalised on its way.
"""

from __future__ import annotations

import os
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import NamedTuple

from glacier_sync.bags.checks import Column
from glacier_sync.bags.files import Files, NameIndex
from glacier_sync.bags.tagfiles import PAYLOAD_PREFIX, Listed
from glacier_sync.works import WORK_FOLDERS, InvalidRidError, check_rid, looks_like_work

_FOLDERS_DEEP = 3
_NONE, _SEVERAL = 0, -1


class Oddity(Enum):
    """What there is to say of a line of a manifest."""

    MISSING = auto()
    AGAIN = auto()
    AGAIN_OTHERWISE = auto()
    OTHER_ENCODING = auto()
    OTHER_FORM = auto()


class Found(NamedTuple):
    """A line that has something odd; ``name`` is that of the file it means, or the likeliest."""

    oddity: Oddity
    line: Listed
    name: str


def match(read: Callable[[], Iterable[Listed]], files: Files, column: Column) -> Iterator[Found]:
    """Find the file that each line of a manifest means, and take its checksum into ``column``; yield what is odd.

    A line whose name no file has means a file that no line names: one that it names by
    another reading, or else the one that differs only by its Unicode form, if no other
    line and no other such file has that form. ``read`` returns the manifest's lines; it
    is called again where lines have no file, twice at most.
    """
    absent = False
    for line in read():
        number = files.number(line.names[0])
        if number is None:
            absent = True
        elif not column.add(number, line.checksum):
            yield _again(line, line.names[0], number, column)
    if absent:
        yield from _Claims(files, column).match(read)


class _Claims:
    """What lines mean whose names no file has: some bytes for each file, however many lines there are."""

    def __init__(self, files: Files, column: Column) -> None:
        self._files = files
        self._column = column
        # By a file's number the hash of the name that claims it; no name has the hash of none or of several.
        self._claims = array("q", bytes(8 * len(files)))
        self._forms = NameIndex(len(files), lambda number: _form(files.name(number)))
        for number, name in enumerate(files):
            if number in column:
                continue
            first = self._forms.add(_form(name), number)
            if first is not None:
                self._claims[first] = _SEVERAL

    def match(self, read: Callable[[], Iterable[Listed]]) -> Iterator[Found]:
        """Find the files of these lines: all that are claimed by a reading go before those of any form."""
        unsettled = False
        for line in self._absent(read()):
            found = self._by_reading(line)
            if found:
                yield found
            elif self._claim_by_form(line):
                unsettled = True
            else:
                yield Found(Oddity.MISSING, line, line.names[0])
        for line in self._absent(read()) if unsettled else ():
            number = self._forms.find(_form(line.names[0]))
            if number is not None and not self._has_reading(line):
                yield self._by_form(line, number)

    def _absent(self, lines: Iterable[Listed]) -> Iterator[Listed]:
        return (line for line in lines if self._files.number(line.names[0]) is None)

    def _by_reading(self, line: Listed) -> Found | None:
        claim = hash(line.names[0])
        for name in line.names[1:]:
            number = self._files.number(name)
            if number is None:
                continue
            if self._column.add(number, line.checksum):
                self._claims[number] = claim
                return Found(Oddity.OTHER_ENCODING, line, name)
            if self._claims[number] == claim:
                return _again(line, name, number, self._column)
        return None

    def _has_reading(self, line: Listed) -> bool:
        claim = hash(line.names[0])
        numbers = map(self._files.number, line.names[1:])
        return any(number is not None and self._claims[number] == claim for number in numbers)

    def _claim_by_form(self, line: Listed) -> bool:
        """Claim the file of a line's form; return False if there is none that no line names."""
        number = self._forms.find(_form(line.names[0]))
        if number is not None and number not in self._column:
            claim = hash(line.names[0])
            self._claims[number] = claim if self._claims[number] in {_NONE, claim} else _SEVERAL
        return number is not None

    def _by_form(self, line: Listed, number: int) -> Found:
        if self._claims[number] != hash(line.names[0]):
            return Found(Oddity.MISSING, line, line.names[0])
        name = self._files.name(number)
        if self._column.add(number, line.checksum):
            return Found(Oddity.OTHER_FORM, line, name)
        return _again(line, name, number, self._column)


def _again(line: Listed, name: str, number: int, column: Column) -> Found:
    same = column.checksum(number) == line.checksum.lower()
    return Found(Oddity.AGAIN if same else Oddity.AGAIN_OTHERWISE, line, name)


def _form(name: str) -> bytes:
    return os.fsencode(name if name.isascii() else unicodedata.normalize("NFC", name))


def find_works(payload: Iterable[str], bag_name: str) -> dict[str, str]:
    """Return the works of a bag: by RID, the prefix that the names of their files have.

    ``data/`` itself is a work, named as the bag up to its first dot, or its
    direct children are those that are laid out as works. Names with a dot are
    no RIDs.
    """
    folders: dict[tuple[str, ...], set[str]] = defaultdict(set)
    last = ""
    for name in payload:
        parents = name.rpartition("/")[0]
        if parents == last:
            continue
        last = parents
        parts = tuple(parents.split("/", _FOLDERS_DEEP + 1)[1 : _FOLDERS_DEEP + 1])
        for depth, folder in enumerate(parts):
            # Of what lies that deep nothing else is asked for, and there may be very many.
            if depth < _FOLDERS_DEEP - 1 or folder in WORK_FOLDERS:
                folders[parts[:depth]].add(folder)
    own_rid = bag_name.partition(".")[0]
    if _is_work(own_rid, folders, ()):
        return {own_rid: PAYLOAD_PREFIX}
    children = sorted(folders.get((), ()))
    return {
        child: f"{PAYLOAD_PREFIX}{child}/"
        for child in children
        if "." not in child and _is_work(child, folders, (child,))
    }


def _is_work(rid: str, folders: Mapping[tuple[str, ...], set[str]], above: tuple[str, ...]) -> bool:
    try:
        check_rid(rid)
    except InvalidRidError:
        return False
    return looks_like_work(rid, lambda below: folders.get((*above, *below), set()))
