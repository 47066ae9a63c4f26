"""Comparing a work's copy with the manifests of its bag: fixity of what is archived."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from glacier_sync.bags.defects import Defect, InvalidBagError, MissingElement
from glacier_sync.bags.disk import sync_filesystem
from glacier_sync.bags.errors import PathError, is_folder, unreadable
from glacier_sync.bags.folders import Tree, list_tree
from glacier_sync.bags.matching import find_works, match
from glacier_sync.bags.names import shown
from glacier_sync.bags.placing import bag_folder, place_in_work
from glacier_sync.bags.tagfiles import (
    DECLARATION,
    Declaration,
    Manifest,
    manifest_kind,
    parse_declaration,
    parse_manifest,
)
from glacier_sync.hashing.batches import LARGE, Load
from glacier_sync.hashing.crew import hash_files
from glacier_sync.hashing.tasks import Job, Task
from glacier_sync.progress import Progress

_SHOWN_NAMES = 3


@dataclass(frozen=True)
class ExpectedFiles:
    """What a work's files must be: the lines of its bag's payload manifests, names relative to the work."""

    rid: str
    manifests: tuple[Manifest, ...]


@dataclass(frozen=True)
class Differences:
    """How a copy differs from what is expected: sorted names, relative to the work.

    True if there is any difference; what can't be read is one, because nothing is
    known about it. ``str()`` is one line for a person.
    """

    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.added or self.changed or self.unreadable)

    def __str__(self) -> str:
        kinds = {
            "missing": self.missing,
            "added": self.added,
            "changed": self.changed,
            "unreadable": self.unreadable,
        }
        return "; ".join(f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names) or "none"


def expected_files(bag_dir: Path, rid: str) -> ExpectedFiles:
    """Read what a bag's manifests say of one of its works.

    ``bag_dir`` holds the bag's tag files, as ``unbag`` leaves them. Raises
    PathError if it isn't there, InvalidBagError if its manifests can't be
    understood or don't know the work, and UnreadableError.
    """
    manifests = _payload_manifests(bag_dir)
    prefix = _prefix(manifests, bag_dir, rid)
    if prefix is None:
        found = f"has no payload manifest that lists the work {rid}"
        raise InvalidBagError(bag_dir, (MissingElement(bag_dir.name, found, "its bag"),))
    return ExpectedFiles(rid, tuple(_of_work(manifest, prefix, rid) for manifest in manifests))


def holds_work(bag_dir: Path, rid: str) -> bool:
    """Tell whether the manifests in ``bag_dir`` list a work. Raises as ``expected_files`` does."""
    return _prefix(_payload_manifests(bag_dir), bag_dir, rid) is not None


def compare(
    copy: Path, expected: ExpectedFiles, *, workers: int, progress: Progress | None = None, drop_cache: bool
) -> Differences:
    """Hash every expected file of a copy, with every algorithm that a manifest has for it.

    With ``drop_cache`` files are read from the disk, not from the system's memory.
    Links are never followed: one in the place of a file is a change. The folder
    ``<Work>.bag`` is the bag's, not payload. ``progress`` is called in the
    caller's thread. Raises PathError if ``copy`` is no directory,
    and UnreadableError if it can't be listed at all.
    """
    if not is_folder(copy):
        raise PathError(f"{shown(str(copy))} is no directory: expected a work's copy; correct the path")
    tree = _listed(copy)
    present = {**tree.files, **dict.fromkeys(tree.special, 0)}
    checks: dict[str, dict[str, str]] = defaultdict(dict)
    missing: set[str] = set()
    for manifest in expected.manifests:
        matches = match(manifest.entries, present)
        missing.update(line.names[0] for line in matches.missing)
        for name, line in matches.by_file.items():
            checks[name][manifest.algorithm] = line.checksum
    if drop_cache:
        try:
            sync_filesystem(copy)
        except OSError as error:
            raise unreadable(copy, error) from error
    changed, unread = _hash(copy, tree, checks, workers=workers, progress=progress, drop_cache=drop_cache)
    hidden = tuple(f"{folder}/" for folder in tree.unreadable)
    own = f"{bag_folder(expected.rid)}/"
    return Differences(
        missing=tuple(sorted(name for name in missing if not name.startswith(hidden))),
        added=tuple(sorted(name for name in present if name not in checks and not name.startswith(own))),
        changed=tuple(sorted(changed | (tree.special.keys() & checks.keys()))),
        unreadable=tuple(sorted(unread | tree.unreadable.keys())),
    )


def _listed(folder: Path) -> Tree:
    """List what stands below a folder; raises UnreadableError if the folder itself can't be listed."""
    tree = list_tree(folder)
    if "" in tree.unreadable:
        raise unreadable(folder, tree.unreadable[""])
    return tree


def _hash(
    copy: Path,
    tree: Tree,
    checks: dict[str, dict[str, str]],
    *,
    workers: int,
    progress: Progress | None,
    drop_cache: bool,
) -> tuple[set[str], set[str]]:
    """Return the files that are changed, and those that can't be read."""
    names = [name for name in tree.files if name in checks]
    tasks = [Task(name, tree.files[name], tuple(checks[name])) for name in names]
    tasks.sort(key=lambda task: task.size if task.size >= LARGE else 0, reverse=True)
    load = Load(len(tasks), sum(task.size for task in tasks))
    job = Job(folder=os.fspath(copy), drop_cache=drop_cache)
    changed, unread = set(), set()
    with hash_files(job, tasks, load, workers=workers, progress=progress) as outcomes:
        for task, outcome in outcomes:
            if outcome.unread:
                unread.add(task.name)
            elif outcome.digests != tuple(checks[task.name].values()):
                changed.add(task.name)
    return changed, unread


def _payload_manifests(bag_dir: Path) -> list[Manifest]:
    """Read the payload manifests whose checksums can be computed, in a bag that was verified before."""
    if not is_folder(bag_dir):
        raise PathError(f"{shown(str(bag_dir))} isn't there: expected the manifests of a bag; unpack its bag again")
    defects: list[Defect] = []
    names = sorted(_listed(bag_dir).files)
    declaration = Declaration()
    if DECLARATION in names:
        declaration = parse_declaration(DECLARATION, _read(bag_dir / DECLARATION), defects)
    manifests = []
    for name in names:
        of_tags, _ = manifest_kind(name) or (True, "")
        if of_tags:
            continue
        manifest = parse_manifest(name, name, _read(bag_dir / name), declaration, defects)
        if manifest is not None and manifest.supported:
            manifests.append(manifest)
    if defects:
        raise InvalidBagError(bag_dir, defects)
    return manifests


def _prefix(manifests: list[Manifest], bag_dir: Path, rid: str) -> str | None:
    names = {line.names[0] for manifest in manifests for line in manifest.entries}
    return find_works(names, bag_dir.name).get(rid)


def _of_work(manifest: Manifest, prefix: str, rid: str) -> Manifest:
    lines = []
    for line in manifest.entries:
        names = tuple(place_in_work(rid, name.removeprefix(prefix)) for name in line.names if name.startswith(prefix))
        if names:
            lines.append(replace(line, names=names))
    return replace(manifest, entries=tuple(lines))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _few(names: tuple[str, ...]) -> str:
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(shown, names[:_SHOWN_NAMES])) + more
