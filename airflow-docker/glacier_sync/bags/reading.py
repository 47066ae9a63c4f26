"""Reading the files of bags, each once: held against every checksum that a manifest has for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path

from glacier_sync.bags.checks import Check
from glacier_sync.bags.defects import MOST_OF_A_KIND, ChecksumMismatch, DamagedZip, Defect, Findings, SameName
from glacier_sync.bags.errors import unreadable, unwritable
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.sources import Source
from glacier_sync.hashing.batches import LARGE, Load
from glacier_sync.hashing.crew import hash_files
from glacier_sync.hashing.tasks import Job, Outcome, Task
from glacier_sync.progress import Progress

RECORDED = "sha512"


@dataclass(frozen=True)
class Target:
    """Where files are written while they are read: ``place`` tells each one's path below ``folder``.

    The lock open as ``lock_fd`` is held until nobody writes there any more. Where nothing
    proves the files, ``record`` takes each one's name and checksum by ``RECORDED``.
    """

    folder: Path
    place: Callable[[str], str]
    lock_fd: int
    record: Callable[[str, str], None] | None = None


def read_bags(
    source: Source,
    inspections: Sequence[Inspection],
    *,
    workers: int,
    progress: Progress | None,
    target: Target | None = None,
) -> dict[str, list[Defect]]:
    """Read every file once, and write it to ``target``; return what is wrong, by the bag's prefix.

    Raises UnreadableError, NoSpaceError, FolderError or WriteError, and WorkerEndedError.
    """
    found = {i.bag.prefix: Findings(i.bag.prefix or i.bag.name) for i in inspections}
    checks: dict[str, Mapping[str, Sequence[Check]]] = {i.bag.prefix: i.checks for i in inspections}
    wrong: dict[Task, list[ChecksumMismatch]] = {}
    job = source.job()
    if target:
        job = job._replace(target=os.fspath(target.folder), lock_fd=target.lock_fd, checked=target.record is not None)
    tasks, load = _tasks(source, inspections, target)
    with hash_files(job, tasks, load, workers=workers, progress=progress) as outcomes:
        for task, outcome in outcomes:
            _raise_error(source, job, task, outcome)
            if outcome.damage:
                found[task.owner].append(DamagedZip(task.name, *outcome.damage))
            elif outcome.unwritten:
                problem = "has a name that the disk unpacked to takes for that of another file"
                found[task.owner].append(SameName(task.name, problem, "a file system that keeps them apart"))
            elif target and target.record:
                target.record(task.name, *outcome.digests)
            elif task.algorithms:
                mismatches = _mismatches(task, outcome, checks[task.owner][task.name.removeprefix(task.owner)])
                if mismatches and len(wrong) < MOST_OF_A_KIND:
                    wrong[task._replace(algorithms=(), place="")] = mismatches
                else:
                    found[task.owner].extend(mismatches)
    for task, intact in _intact(source, wrong, workers):
        found[task.owner].extend(replace(mismatch, zip_intact=intact) for mismatch in wrong[task])
    return {prefix: sorted(findings.all(), key=attrgetter("path")) for prefix, findings in found.items()}


def _tasks(source: Source, inspections: Sequence[Inspection], target: Target | None) -> tuple[Iterator[Task], Load]:
    files = size = 0
    large = []
    for inspection, name, length in _readable(source, inspections):
        files += 1
        size += length
        if length >= LARGE:
            large.append((inspection, name, length))
    # The largest first: what is begun last keeps one worker alone.
    large.sort(key=lambda item: item[2], reverse=True)
    small = (item for item in _readable(source, inspections) if item[2] < LARGE)
    return (_task(source, *item, target) for item in chain(large, small)), Load(files, size)


def _readable(source: Source, inspections: Sequence[Inspection]) -> Iterator[tuple[Inspection, str, int]]:
    for inspection in inspections:
        bag, checks = inspection.bag, inspection.checks
        for name, size in bag.files.items():
            if name not in bag.refused and (source.has_checksums or name in checks):
                yield inspection, name, size


def _task(source: Source, inspection: Inspection, name: str, size: int, target: Target | None) -> Task:
    checks = inspection.checks.get(name, ())
    algorithms = tuple(dict.fromkeys([check.algorithm for check in checks]))
    prefix = inspection.bag.prefix
    path = f"{prefix}{name}"
    entry = source.entry(path)
    if target and target.record:
        algorithms = (RECORDED,)
    if target is None:
        return Task(path, size, algorithms, entry, owner=prefix)
    return Task(path, size, algorithms, entry, target.place(path), source.modified(path), prefix)


def _mismatches(task: Task, outcome: Outcome, checks: Iterable[Check]) -> list[ChecksumMismatch]:
    digests = dict(zip(task.algorithms, outcome.digests, strict=True))
    return [
        ChecksumMismatch(task.name, check.algorithm, check.checksum, digests[check.algorithm], check.manifest)
        for check in checks
        if digests[check.algorithm] != check.checksum
    ]


def _raise_error(source: Source, job: Job, task: Task, outcome: Outcome) -> None:
    """Raise what kept a file from being read or written.

    A file that stands already is none: nothing stood there, and no two files have one
    place, so that the file system takes two names for one.
    """
    if outcome.unread:
        raise unreadable(source.path / task.name, _error(outcome.unread))
    if outcome.unwritten not in {0, errno.EEXIST}:
        raise unwritable(f"{job.target}/{task.place}", _error(outcome.unwritten))


def _intact(source: Source, wrong: Collection[Task], workers: int) -> Iterator[tuple[Task, bool | None]]:
    """Read wrong files once more, to tell whether the zip was damaged or zipped that way."""
    if not source.has_checksums:
        yield from ((task, None) for task in wrong)
        return
    load = Load(len(wrong), sum(task.size for task in wrong))
    with hash_files(source.job(), wrong, load, workers=workers) as outcomes:
        for task, outcome in outcomes:
            yield task, outcome.damage is None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
