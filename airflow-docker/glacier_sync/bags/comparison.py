"""Comparing a work's copy with the manifests of its bag: fixity of what is archived."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from glacier_sync.bags.checks import Check, Checks, Column
from glacier_sync.bags.disk import sync_filesystem
from glacier_sync.bags.errors import PathError, is_folder, unreadable
from glacier_sync.bags.expected import ExpectedFiles
from glacier_sync.bags.files import NameList
from glacier_sync.bags.folders import Tree, list_tree
from glacier_sync.bags.matching import Oddity, match
from glacier_sync.bags.names import shown
from glacier_sync.bags.placing import bag_folder
from glacier_sync.hashing.batches import LARGE, Load
from glacier_sync.hashing.crew import hash_files
from glacier_sync.hashing.tasks import Job, Outcome, Task
from glacier_sync.progress import Progress

_SHOWN_NAMES = 3


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
    present = NameList()
    for name, size in (*tree.files.items(), *dict.fromkeys(tree.special, 0).items()):
        present.add(name, size)
    columns = []
    missing: set[str] = set()
    for manifest in expected.manifests.manifests:
        column = Column(manifest, len(present))
        columns.append(column)
        odd = match(partial(expected.lines, manifest), present, column)
        missing.update(found.name for found in odd if found.oddity is Oddity.MISSING)
    checks = Checks(present, columns)
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
    checks: Checks,
    *,
    workers: int,
    progress: Progress | None,
    drop_cache: bool,
) -> tuple[set[str], set[str]]:
    """Return the files that are changed, and those that can't be read."""
    names = [name for name in tree.files if name in checks]
    # Two manifests may be of one algorithm.
    algorithms = (tuple(dict.fromkeys(check.algorithm for check in checks[name])) for name in names)
    tasks = [Task(name, tree.files[name], wanted) for name, wanted in zip(names, algorithms, strict=True)]
    tasks.sort(key=lambda task: task.size if task.size >= LARGE else 0, reverse=True)
    load = Load(len(tasks), sum(task.size for task in tasks))
    job = Job(folder=os.fspath(copy), drop_cache=drop_cache)
    changed, unread = set(), set()
    with hash_files(job, tasks, load, workers=workers, progress=progress) as outcomes:
        for task, outcome in outcomes:
            if outcome.unread:
                unread.add(task.name)
            elif _differs(task, outcome, checks[task.name]):
                changed.add(task.name)
    return changed, unread


def _differs(task: Task, outcome: Outcome, checks: Iterable[Check]) -> bool:
    found = dict(zip(task.algorithms, outcome.digests, strict=True))
    return any(found[check.algorithm] != check.checksum for check in checks)


def _few(names: tuple[str, ...]) -> str:
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(shown, names[:_SHOWN_NAMES])) + more
