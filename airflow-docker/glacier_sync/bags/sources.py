"""What bags are read from: a listing of bags, and the bytes of their files.

A source is a directory or a zip. It is read by several threads at once, and
never twice for one purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from glacier_sync.bags.defects import Defect, NotABag, OutsideBag, SameName
from glacier_sync.bags.tagfiles import DECLARATION
from glacier_sync.works import BAG_SUFFIX

CHUNK = 1 << 20


class DamagedFileError(Exception):
    """Raised while a file is read from a source that contradicts itself; becomes a defect."""

    def __init__(self, defect: Defect) -> None:
        super().__init__(str(defect))
        self.defect = defect


@dataclass(frozen=True)
class Bag:
    """The files of one bag, before any of them is read.

    ``prefix`` stands before each name in the source; ``files`` are sizes in bytes
    by name; ``refused`` are those that are there but must not be read;
    ``folders`` are those that the source lists for themselves.
    """

    name: str
    prefix: str
    files: Mapping[str, int]
    folders: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The bags of a source, and the defects that belong to none of them."""

    bags: tuple[Bag, ...]
    defects: tuple[Defect, ...] = ()


class Source(Protocol):
    """A directory or a zip that holds bags; a context manager that keeps it open."""

    path: Path
    listing: Listing
    has_checksums: bool
    """Whether reading a file to its end checks it against the source's own checksum."""

    def chunks(self, name: str, *, checked: bool) -> Iterator[memoryview]:
        """Yield a file's bytes; each chunk is valid until the next one.

        Raises DamagedFileError, with ``checked`` also where the source's own
        checksum disagrees, and UnreadableError.
        """

    def __enter__(self) -> Self:
        """Return the source."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass
class Contents:
    """What a zip lists, with names that are safe: to be divided into bags."""

    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    defects: list[Defect] = field(default_factory=list)


def divide(contents: Contents, *, zip_name: str, rid: str) -> Listing:
    """Find the bags in a zip: at its root, or its folders that have bagit.txt or end in ``.bag``."""
    if DECLARATION in contents.files:
        nested = sorted(name for name in contents.files if name.endswith(f"/{DECLARATION}") and name.count("/") == 1)
        inner = [
            OutsideBag(name, "is a bag inside the bag at the zip's root", "one or the other")
            for name in nested
            if not name.startswith("data/")
        ]
        bag = Bag(
            rid,
            "",
            contents.files,
            frozenset(contents.folders),
            frozenset(contents.refused),
            (*contents.defects, *inner),
        )
        return Listing((bag,))
    groups = _by_top_folder(contents)
    bags = [
        _bag(top, group, contents.defects)
        for top, group in sorted(groups.items())
        if top.endswith(BAG_SUFFIX) or DECLARATION in group.files
    ]
    prefixes = tuple(bag.prefix for bag in bags)
    outside: list[Defect] = [defect for defect in contents.defects if not defect.path.startswith(prefixes)]
    if not bags:
        return Listing((), (*outside, _no_bag(contents, zip_name)))
    outside += [
        OutsideBag(name, "belongs to no bag of this zip", "bags only")
        for name in sorted(contents.files)
        if not name.startswith(prefixes)
    ]
    return Listing(tuple(bags), (*outside, *_same_names(bags)))


def _by_top_folder(contents: Contents) -> dict[str, Contents]:
    groups: dict[str, Contents] = {}
    for name, size in contents.files.items():
        top, slash, rest = name.partition("/")
        if slash:
            group = groups.setdefault(top, Contents())
            group.files[rest] = size
            if name in contents.refused:
                group.refused.add(rest)
    for name in contents.folders:
        top, _, rest = name.partition("/")
        group = groups.setdefault(top, Contents())
        if rest:
            group.folders.add(rest)
    return groups


def _bag(top: str, group: Contents, defects: Sequence[Defect]) -> Bag:
    prefix = f"{top}/"
    own = tuple(defect for defect in defects if defect.path.startswith(prefix))
    return Bag(
        top.removesuffix(BAG_SUFFIX), prefix, group.files, frozenset(group.folders), frozenset(group.refused), own
    )


def _no_bag(contents: Contents, zip_name: str) -> Defect:
    hint = "; its names use backslashes for folders" if any("\\" in name for name in contents.files) else ""
    return NotABag(zip_name, f"holds {len(contents.files)} files and no bag{hint}", "a folder with bagit.txt")


def _same_names(bags: Iterable[Bag]) -> Iterator[Defect]:
    seen: dict[str, str] = {}
    for bag in bags:
        if bag.name in seen:
            yield SameName(bag.prefix, f"and {seen[bag.name]} are bags of one name", "each bag once")
        seen.setdefault(bag.name, bag.prefix)
