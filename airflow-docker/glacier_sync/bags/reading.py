"""Reading the files of bags, each once: held against every checksum that a manifest has for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from glacier_sync.bags.checks import Check
from glacier_sync.bags.defects import MOST_OF_A_KIND, ChecksumMismatch, DamagedZip, Defect, Findings, SameName
from glacier_sync.bags.errors import unreadable, unwritable
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.sources import Bag, Source
from glacier_sync.hashing.batches import LARGE, Load
from glacier_sync.hashing.crew import Crew, crew_for, hash_files
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


def crew_in_advance(source: Source, *, workers: int, lock_fd: int | None = None) -> AbstractContextManager[Crew | None]:
    """Start the processes that ``read_bags`` will need, while the bags of the source are inspected."""
    files = size = 0
    for bag in source.listing.bags:
        files += len(bag.files)
        size += sum(file_size for _, file_size in bag.files.items())
    return crew_for(Load(files, size), workers=workers, fds=source.job()._replace(lock_fd=lock_fd).fds)


def read_bags(
    source: Source,
    inspections: Sequence[Inspection],
    *,
    workers: int,
    progress: Progress | None,
    target: Target | None = None,
    crew: Crew | None = None,
) -> dict[str, list[Defect]]:
    """Read every file once, and write it to ``target``; return what is wrong, by the bag's prefix.

    Processes of a ``crew`` do it, if one was started for this source and its target.
    Raises UnreadableError, NoSpaceError, FolderError or WriteError, and WorkerEndedError.
    """
    found = [Findings(i.bag.prefix or i.bag.name) for i in inspections]
    wrong: dict[Task, list[ChecksumMismatch]] = {}
    job = source.job()
    if target:
        job = job._replace(target=os.fspath(target.folder), lock_fd=target.lock_fd, checked=target.record is not None)
    tasks, load = _tasks(source, inspections, target)
    with hash_files(job, tasks, load, workers=workers, progress=progress, crew=crew) as outcomes:
        for task, outcome in outcomes:
            _raise_error(source, job, task, outcome)
            bag, number = task.mark
            if outcome.damage:
                found[bag].append(DamagedZip(task.name, *outcome.damage))
            elif outcome.unwritten:
                problem = "has a name that the disk unpacked to takes for that of another file"
                found[bag].append(SameName(task.name, problem, "a file system that keeps them apart"))
            elif target and target.record:
                target.record(task.name, *outcome.digests)
            elif task.algorithms and not inspections[bag].checks.met(number, outcome.digests):
                mismatches = _mismatches(task, outcome, inspections[bag].checks.of(number))
                if mismatches and len(wrong) < MOST_OF_A_KIND:
                    wrong[task._replace(algorithms=(), place="")] = mismatches
                else:
                    found[bag].extend(mismatches)
    for task, intact in _intact(source, wrong, workers):
        found[task.mark[0]].extend(replace(mismatch, zip_intact=intact) for mismatch in wrong[task])
    return {
        inspection.bag.prefix: sorted(findings.all(), key=attrgetter("path"))
        for inspection, findings in zip(inspections, found, strict=True)
    }


class _File(NamedTuple):
    """A file to be read: the numbers of its bag and its own in there, its name there, its size in bytes.

    The ``algorithms`` are those of its checksums in the manifests.
    """

    bag: int
    number: int
    name: str
    size: int
    algorithms: tuple[str, ...]


def _tasks(source: Source, inspections: Sequence[Inspection], target: Target | None) -> tuple[Iterator[Task], Load]:
    files = size = 0
    large = []
    for file in _readable(source, inspections):
        files += 1
        size += file.size
        if file.size >= LARGE:
            large.append(file)
    # The largest first: what is begun last keeps one worker alone.
    large.sort(key=attrgetter("size"), reverse=True)
    small = (file for file in _readable(source, inspections) if file.size < LARGE)
    return (_task(source, inspections[file.bag].bag, file, target) for file in chain(large, small)), Load(files, size)


def _readable(source: Source, inspections: Sequence[Inspection]) -> Iterator[_File]:
    for index, inspection in enumerate(inspections):
        bag, checks = inspection.bag, inspection.checks
        # Of a plain bag, which has no manifests, there are no checks of any number.
        for number, ((name, size), algorithms) in enumerate(zip(bag.files.items(), checks.each(), strict=False)):
            if name not in bag.refused and (source.has_checksums or algorithms):
                yield _File(index, number, name, size, algorithms)


def _task(source: Source, bag: Bag, file: _File, target: Target | None) -> Task:
    path = f"{bag.prefix}{file.name}"
    entry = source.entry(bag, file.number)
    mark = file.bag, file.number
    if target is None:
        return Task(path, file.size, file.algorithms, entry, mark=mark)
    algorithms = (RECORDED,) if target.record else file.algorithms
    return Task(path, file.size, algorithms, entry, target.place(path), source.modified(bag, file.number), mark)


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
            yield task, None if outcome.unread else outcome.damage is None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
