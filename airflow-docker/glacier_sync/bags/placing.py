"""Where the files of bags go when they are unpacked; decided before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glacier_sync.bags.defects import Defect, NoWork, SameName, StrayFile, UnsafeName
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.tagfiles import PAYLOAD_PREFIX
from glacier_sync.works import BAG_SUFFIX

_LONGEST_PATH = 4095


@dataclass(frozen=True)
class PlannedWork:
    """A work to be, with the place of its bag's tag files relative to where all is unpacked."""

    rid: str
    bag_dir: str
    files: int
    bytes: int
    warnings: tuple[Defect, ...]


@dataclass
class Plan:
    """By each file's name in the zip its place; ``tops`` are the folders that are put in place at the end."""

    places: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    tops: list[str] = field(default_factory=list)
    works: list[PlannedWork] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)


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


def plan_places(inspections: Sequence[Inspection], to: Path) -> Plan:
    """Decide where each file of the bags goes below ``to``; note what can't be placed.

    The tag files of a bag of one work go to ``<Work>/<Work>.bag/``, those of a bag
    of several to ``<Bag>.bag/``.
    """
    plan = Plan()
    for inspection in inspections:
        _plan_bag(plan, inspection)
    plan.folders = _with_parents(plan.folders)
    room = _LONGEST_PATH - len(os.fsencode(to.absolute())) - len("/.unbag-0123456789abcdef/content/")
    taken: dict[str, str] = {}
    for name, place in plan.places.items():
        if place in taken:
            plan.defects.append(SameName(name, f"and {taken[place]} would be unpacked to {place}", "one"))
        elif place in plan.folders:
            plan.defects.append(SameName(name, f"would be unpacked to {place}, a folder", "a place of its own"))
        elif len(os.fsencode(place)) > room:
            plan.defects.append(UnsafeName(name, f"is too long a path below {to}", f"{room} bytes at most"))
        taken[place] = name
    return plan


def _plan_bag(plan: Plan, inspection: Inspection) -> None:
    bag, works = inspection.bag, inspection.works
    if not works:
        expected = "one in data/, a folder with archive, images, sources or eBooks"
        plan.defects.append(NoWork(bag.prefix or bag.name, "holds no work", expected))
        return
    bag_dir = bag_folder(bag.name)
    if len(works) == 1:
        (rid,) = works
        bag_dir = f"{rid}/{bag_folder(rid)}"
    else:
        plan.tops.append(bag_dir)
    counts = {rid: [0, 0] for rid in works}
    for name, size in bag.files.items():
        owner, place = _place(name, works, bag_dir)
        if place is None:
            found = "belongs to no work, and would be lost"
            plan.defects.append(StrayFile(f"{bag.prefix}{name}", found, "works only"))
            continue
        plan.places[f"{bag.prefix}{name}"] = place
        plan.folders.add(place.rpartition("/")[0])
        if owner is not None:
            counts[owner][0] += 1
            counts[owner][1] += size
    for folder in bag.folders:
        _, place = _place(f"{folder}/", works, bag_dir)
        if place is not None:
            plan.folders.add(place.removesuffix("/"))
    for rid, (files, size) in counts.items():
        if rid in plan.tops:
            found = f"is the work {rid}, which another bag has too"
            plan.defects.append(SameName(f"{bag.prefix}{works[rid]}", found, "each work once"))
        plan.tops.append(rid)
        plan.works.append(PlannedWork(rid, bag_dir, files, size, tuple(inspection.warnings)))


def _place(name: str, works: Mapping[str, str], bag_dir: str) -> tuple[str | None, str | None]:
    """Return the work that a file of a bag belongs to, and its place; no place for a stray one."""
    if not name.startswith(PAYLOAD_PREFIX):
        return None, f"{bag_dir}/{name}"
    for rid, prefix in works.items():
        if name.startswith(prefix):
            return rid, f"{rid}/{place_in_work(rid, name.removeprefix(prefix))}"
    return None, None


def _with_parents(folders: set[str]) -> set[str]:
    wanted: set[str] = set()
    for folder in folders:
        name = folder
        while name and name not in wanted:
            wanted.add(name)
            name = name.rpartition("/")[0]
    return wanted
