"""Which bags a zip holds: one at its root, or its folders that have bagit.txt or end in ``.bag``."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain

from glacier_sync.bags.defects import Defect, Findings, NotABag, OutsideBag, SameName
from glacier_sync.bags.entries import Contents, ZipFiles, refused
from glacier_sync.bags.sources import Bag, Listing
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX
from glacier_sync.works import BAG_SUFFIX

_DECLARATION = DECLARATION.encode()
_MOST_BAGS = 20_000
"""What is known of so many small bags, before their files are read, takes some 200 MB."""


def divide(contents: Contents, *, zip_name: str, rid: str) -> Listing:
    """Divide what a zip holds into bags; ``rid`` names the one at its root."""
    tops = _tops(contents)
    if DECLARATION in contents.files:
        inner = (
            OutsideBag(f"{top}/{DECLARATION}", "is a bag inside the bag at the zip's root", "one or the other")
            for top in tops
            if f"{top}/{DECLARATION}" in contents.files and f"{top}/" != PAYLOAD_PREFIX
        )
        files, folders = contents.files, frozenset(contents.folders)
        defects = tuple(Findings(zip_name, chain(contents.defects, inner)).all())
        return Listing((Bag(rid, "", files, folders, refused(files, contents.states), defects),))
    if not tops:
        files, folders = contents.files, frozenset(contents.folders)
        defects = tuple(Findings(zip_name, contents.defects).all())
        plain = Bag(rid, "", files, folders, refused(files, contents.states), defects)
        return Listing((), (*defects, _no_bag(files, zip_name)), plain)
    if len(tops) > _MOST_BAGS:
        return Listing((), (NotABag(zip_name, f"holds {len(tops)} bags", f"{_MOST_BAGS} at most in one zip"),))
    return _nested(contents, tops, zip_name)


def _nested(contents: Contents, tops: Collection[str], zip_name: str) -> Listing:
    """Return the bags that are folders at the zip's root."""
    numbers, outside = _by_top(contents.files, tops)
    folders: dict[str, set[str]] = defaultdict(set)
    for name in contents.folders:
        top, _, rest = name.partition("/")
        if rest:
            folders[top].add(rest)
    of_zip = Findings(zip_name)
    of_bags = {top: Findings(f"{top}/") for top in tops}
    for defect in contents.defects:
        top, slash, _ = defect.path.partition("/")
        (of_bags.get(top, of_zip) if slash else of_zip).append(defect)
    bags = []
    for top in tops:
        prefix = f"{top}/"
        files = contents.files.below(prefix.encode("utf-8", "surrogateescape"), numbers[top])
        unread = refused(files, contents.states)
        name = top.removesuffix(BAG_SUFFIX)
        bags.append(Bag(name, prefix, files, frozenset(folders[top]), unread, tuple(of_bags[top].all())))
    strays = contents.files.below(b"", outside)
    of_zip.extend(OutsideBag(name, "belongs to no bag of this zip", "bags only") for name in strays)
    of_zip.extend(_same_names(bags))
    return Listing(tuple(bags), tuple(of_zip.all()))


def _tops(contents: Contents) -> list[str]:
    """Return the folders at the zip's root that are bags, in order."""
    tops = set()
    last = b""
    for name in contents.files.raw_names():
        top, slash, rest = name.partition(b"/")
        if slash and (top != last or rest == _DECLARATION):
            last = top
            if rest == _DECLARATION or top.endswith(BAG_SUFFIX.encode()):
                tops.add(top.decode("utf-8", "surrogateescape"))
    tops |= {top for top in (name.partition("/")[0] for name in contents.folders) if top.endswith(BAG_SUFFIX)}
    return sorted(tops)


def _by_top(files: ZipFiles, tops: Collection[str]) -> tuple[Mapping[str, array[int]], array[int]]:
    """Return the numbers of the entries in each bag, and of those in none."""
    numbers = {top: array("I") for top in tops}
    outside = array("I")
    for number, name in zip(files.entries(), files, strict=True):
        top, slash, _ = name.partition("/")
        if slash and top in numbers:
            numbers[top].append(number)
        else:
            outside.append(number)
    return numbers, outside


def _no_bag(files: ZipFiles, zip_name: str) -> Defect:
    hint = "; its names use backslashes for folders" if any("\\" in name for name in files) else ""
    return NotABag(zip_name, f"holds {len(files)} files and no bag{hint}", "a folder with bagit.txt")


def _same_names(bags: Iterable[Bag]) -> Iterator[Defect]:
    seen: dict[str, str] = {}
    for bag in bags:
        if bag.name in seen:
            yield SameName(bag.prefix, f"and {seen[bag.name]} are bags of one name", "each bag once")
        seen.setdefault(bag.name, bag.prefix)
