"""Names in bags that other systems have trouble with: warnings, never a reason to change a name.

On Linux a name may be any bytes but NUL and the slash. "Naming Files, Paths, and
Namespaces" (Microsoft) says what a name may be on Windows.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from glacier_sync.bags.bag_warnings import BagWarning, SimilarNames, SystemFile, UnportableName
from glacier_sync.bags.defects import MOST_OF_A_KIND, Defect, FurtherDefects
from glacier_sync.bags.files import SeenNames
from glacier_sync.bags.names import shown

_SYSTEM_NAMES = frozenset({
    ".ds_store", ".apdisk", ".appledouble", ".fseventsd", ".spotlight-v100", ".temporaryitems", ".trashes",
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir",
})  # fmt: skip
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"}) | {
    f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"
}
_BYTES_OF_NAME = 4
_SUSPECT = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"\\|?*\ud800-\udfff]')


def odd_names(names: Iterable[str], prefix: str) -> Iterator[BagWarning]:
    """Warn of files that a system left behind, and of names that not every system can have.

    A folder is warned of once, by the first file in it. ``prefix`` stands before
    each name in the warnings.
    """
    told = SeenNames()
    last = ""
    for name in names:
        parent, _, base = name.rpartition("/")
        if parent != last:
            last = parent
            for part in parent.split("/"):
                if _is_odd(part) and told.add(part):
                    yield from _warnings(f"{prefix}{name}", part, "is in a folder that")
        if _is_odd(base):
            yield from _warnings(f"{prefix}{name}", base, "has a name that")


def similar_names(names: Collection[str], prefix: str) -> Iterator[Defect]:
    """Warn of files whose names differ by case or Unicode form only: some file systems keep but one of them.

    Of very many the first are told, and how many others there are. No name is held until another
    is found that is similar, for the sake of memory.
    """
    keys = _suspects(names)
    counts = array("I", bytes(4 * len(keys)))
    for name in names if keys else ():
        at = _place(keys, _folded(name))
        if at is not None:
            counts[at] += 1
    others = sum(count - 1 for count in counts if count)
    told = 0
    for first, *similar in map(sorted, _groups(names, keys, counts).values() if others else ()):
        told += len(similar)
        for other in similar:
            found = f"and {shown(prefix + first)} differ by case or Unicode form only"
            yield SimilarNames(f"{prefix}{other}", found, "names that every file system keeps apart")
    if others > told:
        yield FurtherDefects.counted(prefix, SimilarNames.__name__, others - told, told=told)


def _suspects(names: Collection[str]) -> array[int]:
    """Return the hashes of folded names that may be there twice, ascending: some bits for each name are held."""
    mask = (8 << (len(names) * _BYTES_OF_NAME).bit_length()) - 1
    seen = bytearray((mask + 1) >> 3)
    suspect = array("q")
    for name in names:
        key = hash(_folded(name))
        place, bit = (key & mask) >> 3, 1 << (key & 7)
        if seen[place] & bit:
            suspect.append(key)
        seen[place] |= bit
    return array("q", (key for key, _ in groupby(sorted(suspect))))


def _groups(names: Iterable[str], keys: array[int], counts: array[int]) -> dict[str, list[str]]:
    """Return the first names that are there several times, by their folded form."""
    groups: dict[str, list[str]] = {}
    held = 0
    for name in names:
        folded = _folded(name)
        at = _place(keys, folded)
        if at is None or counts[at] == 1:
            continue
        if folded in groups and held < MOST_OF_A_KIND:
            groups[folded].append(name)
            held += 1
        elif len(groups) < MOST_OF_A_KIND:
            groups.setdefault(folded, [name])
    return groups


def _place(keys: array[int], folded: str) -> int | None:
    key = hash(folded)
    at = bisect_left(keys, key)
    return at if at < len(keys) and keys[at] == key else None


def _warnings(path: str, part: str, has: str) -> Iterator[BagWarning]:
    if _is_system_file(part):
        yield SystemFile(path, f"{has} an operating system left there", "files of works only")
    problem = _unportable(part)
    if problem:
        yield UnportableName(path, f"{has} {problem}", "one that every system can have")


def _is_odd(part: str) -> bool:
    lower = part.lower()
    return (
        lower in _SYSTEM_NAMES
        or lower.partition(".")[0] in _DEVICES
        or lower.startswith("._")
        or lower.endswith((".", " "))
        or _SUSPECT.search(part) is not None
    )


def _is_system_file(part: str) -> bool:
    return part.startswith("._") or part.lower() in _SYSTEM_NAMES


def _unportable(part: str) -> str | None:
    suspect = _SUSPECT.search(part)
    if suspect:
        char = suspect.group()
        if "\ud800" <= char <= "\udfff":
            return "isn't UTF-8"
        return f"has the character {char}, which Windows refuses" if char.isprintable() else "has control characters"
    if part.partition(".")[0].lower() in _DEVICES:
        return "is that of a device on Windows"
    return "ends with a dot or a space, which Windows drops" if part.endswith((".", " ")) else None


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
