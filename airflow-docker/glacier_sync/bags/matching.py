"""Which file a line of a manifest means: names byte for byte first, then by Unicode form.

RFC 8493 §6.1.1.3 advises to tolerate a name that was normalised on its way.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import NamedTuple

from glacier_sync.bags.checks import Column
from glacier_sync.bags.files import Files
from glacier_sync.bags.tagfiles import PAYLOAD_PREFIX, Listed
from glacier_sync.works import InvalidRidError, check_rid, looks_like_work

_FOLDERS_DEEP = 3
_ABSENT_AT_ONCE = 50_000


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

    A line whose name no file has means the one file that differs only by its
    Unicode form, if no other line and no other file has that form. ``read`` returns
    the manifest's lines; it is called again where lines have no file.
    """
    absent = 0
    for line in read():
        number, name = _number(line, files)
        if number is None:
            absent += 1
            continue
        if not column.add(number, line.checksum):
            same = column.checksum(number) == line.checksum.lower()
            yield Found(Oddity.AGAIN if same else Oddity.AGAIN_OTHERWISE, line, name)
        elif name != line.names[0]:
            yield Found(Oddity.OTHER_ENCODING, line, name)
    parts = -(-absent // _ABSENT_AT_ONCE)
    for part in range(parts):
        yield from _match_by_form(_absent(read(), files, part, parts), files, column)


def _number(line: Listed, files: Files) -> tuple[int | None, str]:
    for name in line.names:
        number = files.number(name)
        if number is not None:
            return number, name
    return None, line.names[0]


def _absent(lines: Iterable[Listed], files: Files, part: int, parts: int) -> dict[str, list[Listed]]:
    """Return a part of the lines without a file, by the forms of their names; lines of one form are together."""
    found: dict[str, list[Listed]] = defaultdict(list)
    for line in lines:
        if _number(line, files)[0] is None:
            form = _form(line.names[0])
            if hash(form) % parts == part:
                found[form].append(line)
    return found


def _match_by_form(absent: Mapping[str, list[Listed]], files: Files, column: Column) -> Iterator[Found]:
    free: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, name in enumerate(files):
        if number not in column and _form(name) in absent:
            free[_form(name)].append((number, name))
    for form, lines in absent.items():
        first = {line.names[0]: line for line in reversed(lines)}
        for line in lines:
            if line is not first[line.names[0]]:
                same = line.checksum.lower() == first[line.names[0]].checksum.lower()
                yield Found(Oddity.AGAIN if same else Oddity.AGAIN_OTHERWISE, line, line.names[0])
        candidates = free.get(form, [])
        if len(candidates) == len(first) == 1:
            ((number, name),), (line,) = candidates, first.values()
            column.add(number, line.checksum)
            yield Found(Oddity.OTHER_FORM, line, name)
        else:
            yield from (Found(Oddity.MISSING, line, name) for name, line in first.items())


def _form(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


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
