"""Where the files of bags go when they are unpacked; decided before anything is written."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from glacier_sync.bags.defects import Defect, Findings, NoWork, SameName, StrayFile, UnsafeName
from glacier_sync.bags.files import SeenNames
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.names import LONGEST_NAME, LONGEST_PATH, is_longer
from glacier_sync.bags.sources import Bag
from glacier_sync.bags.tagfiles import PAYLOAD_PREFIX
from glacier_sync.works import BAG_SUFFIX, FOLDERS_IN_WORDS


@dataclass(frozen=True)
class PlannedWork:
    """A work to be, with the place of its bag's tag files relative to where all is unpacked."""

    rid: str
    bag_dir: str
    files: int
    bytes: int
    warnings: tuple[Defect, ...]


@dataclass(frozen=True)
class BagPlaces:
    """Where the files of one bag go: those of its works, and its tag files to ``bag_dir``.

    ``inside`` is what the names of its files lack to be names in a bag: nothing, or
    ``data/`` where a zip has works and no bag.
    """

    works: Mapping[str, str]
    bag_dir: str
    inside: str = ""

    def place(self, name: str) -> tuple[str | None, str | None]:
        """Return the work that a file belongs to, and its place; no place for a stray one."""
        name = f"{self.inside}{name}"
        if not name.startswith(PAYLOAD_PREFIX):
            return None, f"{self.bag_dir}/{name}"
        rid, prefix = self._work(name)
        if rid is None:
            return None, None
        return rid, f"{rid}/{place_in_work(rid, name[len(prefix) :])}"

    def folders(self, bag: Bag) -> Iterator[str]:
        """Yield the folders that the bag's files go to, and its empty ones, some of them more than once."""
        yield self.bag_dir
        last = ""
        for folder in chain((name.rpartition("/")[0] for name in bag.files), bag.folders):
            if folder not in {"", last}:
                last = folder
                _, place = self.place(f"{folder}/")
                if place is not None:
                    yield place.removesuffix("/")

    def _work(self, name: str) -> tuple[str | None, str]:
        """Return the work that a payload file belongs to, with its prefix: its own folder's, or the whole payload."""
        rid = name[len(PAYLOAD_PREFIX) :].partition("/")[0]
        if self.works.get(rid) == f"{PAYLOAD_PREFIX}{rid}/":
            return rid, self.works[rid]
        return next(((rid, prefix) for rid, prefix in self.works.items() if prefix == PAYLOAD_PREFIX), (None, ""))

    def same_place(self, name: str, files: Container[str]) -> str | None:
        """Return the payload file that would go where a tag file goes, if there is one.

        That takes a work that was unpacked from a bag before, and tag files that lie as
        its own do.
        """
        if len(self.works) != 1 or name.startswith(PAYLOAD_PREFIX):
            return None
        ((rid, prefix),) = self.works.items()
        other = f"{prefix}{name}"
        return other if name.startswith(f"{bag_folder(rid)}/") and other in files else None


@dataclass
class Plan:
    """Places by the prefixes of the bags, the ``sources``; ``tops`` are the folders put in place at the end.

    ``folder_count`` is how many folders there have to be.
    """

    bags: dict[str, BagPlaces] = field(default_factory=dict)
    sources: list[Bag] = field(default_factory=list)
    tops: list[str] = field(default_factory=list)
    works: list[PlannedWork] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    folder_count: int = 0

    def folders(self, seen: SeenNames) -> Iterator[str]:
        """Yield the folders that there have to be and weren't ``seen`` yet, each behind those above it."""
        for bag in self.sources:
            for folder in self.bags[bag.prefix].folders(bag):
                new, name = [], folder
                while name and seen.add(name):
                    new.append(name)
                    name = name.rpartition("/")[0]
                yield from reversed(new)

    def place(self, path: str) -> str:
        """Return where a file goes, by its name in the zip. Raises KeyError if it has no place."""
        prefix = "" if "" in self.bags else f"{path.partition('/')[0]}/"
        _, place = self.bags[prefix].place(path[len(prefix) :])
        if place is None:
            raise KeyError(path)
        return place


def bag_folder(rid: str) -> str:
    """Return the name of the folder in a work that holds its bag's tag files."""
    return f"{rid}{BAG_SUFFIX}"


def place_in_work(rid: str, name: str) -> str:
    """Return where a payload file goes in its work.

    A work that was unpacked from a bag before has that bag's tag files with it;
    they move down one folder, to make room for those of the bag at hand.
    """
    folder = bag_folder(rid)
    return f"{folder}/{name}" if name.startswith(f"{folder}/") else name


def plan_places(inspections: Sequence[Inspection], to: Path, *, plain: bool = False) -> Plan:
    """Decide where each file of the bags goes below ``to``; note what can't be placed.

    The tag files of a bag of one work go to ``<Work>/<Work>.bag/``, those of a bag
    of several to ``<Bag>.bag/``, and so do those that a ``plain`` zip gets.
    """
    plan = Plan()
    for inspection in inspections:
        _plan_bag(plan, inspection, plain=plain)
    folders = SeenNames()
    plan.folder_count = sum(1 for _ in plan.folders(folders))
    room = LONGEST_PATH - len(os.fsencode(to.absolute())) - len("/.unbag-0123456789abcdef/replaced/")
    for inspection in inspections:
        bag = inspection.bag
        if bag.prefix in plan.bags:
            misplaced = _misplaced(bag, plan.bags[bag.prefix], folders, to, room)
            plan.defects += Findings(bag.prefix or bag.name, misplaced).all()
    return plan


def _misplaced(bag: Bag, places: BagPlaces, folders: Container[str], to: Path, room: int) -> Iterator[Defect]:
    """Yield which files can't be where they would go."""
    for name in bag.files:
        _, place = places.place(name)
        if place is None:
            continue
        other = places.same_place(name, bag.files)
        if other is not None:
            found = f"and {bag.prefix}{other} would be unpacked to {place}"
            yield SameName(f"{bag.prefix}{name}", found, "one")
        elif place in folders:
            yield SameName(f"{bag.prefix}{name}", f"would be unpacked to {place}, a folder", "a place of its own")
        elif is_longer(place, room):
            yield UnsafeName(f"{bag.prefix}{name}", f"is too long a path below {to}", f"{room} bytes at most")
    for folder in bag.folders:
        _, place = places.place(f"{folder}/")
        if place is not None and is_longer(place, room):
            yield UnsafeName(f"{bag.prefix}{folder}/", f"is too long a path below {to}", f"{room} bytes at most")
    if is_longer(places.bag_dir.rpartition("/")[2], LONGEST_NAME):
        found = f"is too long a name to be unpacked to with {BAG_SUFFIX} at its end"
        yield UnsafeName(bag.prefix or bag.name, found, f"{LONGEST_NAME} bytes at most")


def _plan_bag(plan: Plan, inspection: Inspection, *, plain: bool) -> None:
    bag, works = inspection.bag, inspection.works
    if not works:
        where = "the zip" if plain else PAYLOAD_PREFIX
        expected = f"one in {where}, a folder with {FOLDERS_IN_WORDS}"
        plan.defects.append(NoWork(bag.prefix or bag.name, "holds no work", expected))
        return
    bag_dir = bag_folder(bag.name)
    if len(works) == 1 and not plain:
        (rid,) = works
        bag_dir = f"{rid}/{bag_folder(rid)}"
    else:
        plan.tops.append(bag_dir)
    places = BagPlaces(works, bag_dir, PAYLOAD_PREFIX if plain else "")
    plan.bags[bag.prefix] = places
    plan.sources.append(bag)
    counts = {rid: [0, 0] for rid in works}
    strays = Findings(bag.prefix or bag.name)
    for name, size in bag.files.items():
        owner, place = places.place(name)
        if place is None:
            found = "belongs to no work, and would be lost"
            strays.append(StrayFile(f"{bag.prefix}{name}", found, "works only"))
            continue
        if owner is not None:
            counts[owner][0] += 1
            counts[owner][1] += size
    plan.defects += strays.all()
    for rid, (files, size) in counts.items():
        if rid in plan.tops:
            found = f"is the work {rid}, which another bag has too"
            plan.defects.append(SameName(f"{bag.prefix}{works[rid]}", found, "each work once"))
        plan.tops.append(rid)
        plan.works.append(PlannedWork(rid, bag_dir, files, size, tuple(inspection.warnings)))
