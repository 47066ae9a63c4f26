"""Work spread over worker processes: the same outcomes, and no process is left, whatever ends."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest

from glacier_sync.hashing.batches import Load
from glacier_sync.hashing.crew import WorkerEndedError, crew_for, hash_files
from glacier_sync.hashing.tasks import Job, Outcome, Task

FILES = 1200
"""So many files, however small, are worth two processes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    for number in range(FILES):
        (made / f"{number:04}").write_bytes(b"%d" % number * (number % 7))
    return made


def tasks_of(folder: Path, algorithms: tuple[str, ...] = ("sha512",)) -> list[Task]:
    return [Task(path.name, path.stat().st_size, algorithms) for path in sorted(folder.iterdir())]


def started(
    folder: Path, tasks: Sequence[Task], workers: int = 2
) -> AbstractContextManager[Iterator[tuple[Task, Outcome]]]:
    load = Load(len(tasks), sum(task.size for task in tasks))
    return hash_files(Job(folder=str(folder)), iter(tasks), load, workers=workers)


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "glacier_sync.hashing.worker" in command_of(child)]


def command_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def wait_until_gone(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker process lives on"
        time.sleep(0.02)


def test_an_error_of_whoever_is_told_is_no_error_of_a_file(folder: Path) -> None:
    tasks = tasks_of(folder)[-3:]
    full = OSError(28, "No space left on device")

    def late() -> Iterator[Task]:
        # Long enough for progress to be due with the first byte.
        time.sleep(0.3)
        yield from tasks

    def progress(done: int, total: int) -> None:
        raise full

    load = Load(len(tasks), sum(task.size for task in tasks))
    job = Job(folder=str(folder))
    with (
        pytest.raises(OSError, match="No space left") as caught,
        hash_files(job, late(), load, workers=1, progress=progress) as outcomes,
    ):
        list(outcomes)
    assert caught.value is full


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_is_told_within_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    # A fast machine has read such files before anything is due.
    monkeypatch.setattr("glacier_sync.hashing.crew._PROGRESS_SECONDS", 0.01)
    size = 600 * 2**20
    # One file alone is read in this process, however many workers there may be.
    for name in ("1", "2"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    told: list[int] = []
    load = Load(2, 2 * size)
    job, tasks = Job(folder=str(tmp_path)), tasks_of(tmp_path)
    with hash_files(job, tasks, load, workers=workers, progress=lambda done, _: told.append(done)) as outcomes:
        list(outcomes)
    assert any(done % size for done in told)
    assert told[-1] == load.bytes


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_file_is_hashed_once_by_however_many_workers(folder: Path, workers: int) -> None:
    algorithms = ("sha512", "md5")
    with started(folder, tasks_of(folder, algorithms), workers) as outcomes:
        found = list(outcomes)
    assert len(found) == FILES
    digests = {task.name: outcome.digests for task, outcome in found}
    for path in folder.iterdir():
        data = path.read_bytes()
        assert digests[path.name] == tuple(hashlib.new(name, data).hexdigest() for name in algorithms)


def test_much_work_is_done_by_processes_and_little_work_is_not(folder: Path) -> None:
    this = psutil.Process()
    with started(folder, tasks_of(folder)) as outcomes:
        next(outcomes)
        assert len(workers_of(this)) == 2
    assert workers_of(this) == []
    with started(folder, tasks_of(folder)[:50]) as outcomes:
        next(outcomes)
        assert workers_of(this) == []


def test_processes_that_were_started_in_advance_do_the_work_and_end_with_it(folder: Path) -> None:
    this = psutil.Process()
    load = Load(FILES, 0)
    with crew_for(load, workers=2, fds=()) as crew:
        before = workers_of(this)
        assert len(before) == 2
        with hash_files(Job(folder=str(folder)), tasks_of(folder), load, workers=2, crew=crew) as outcomes:
            assert len(list(outcomes)) == FILES
            assert workers_of(this) == before
        assert workers_of(this) == []


def test_processes_that_were_started_in_advance_end_though_nothing_is_asked_of_them() -> None:
    with pytest.raises(KeyboardInterrupt), crew_for(Load(FILES, 0), workers=2, fds=()):
        raise KeyboardInterrupt
    assert workers_of(psutil.Process()) == []
    with crew_for(Load(50, 0), workers=2, fds=()) as crew:
        assert crew is None


def test_messages_that_fill_the_pipes_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    algorithms = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b")
    tasks = [Task(f"{'./' * 1800}x", 1, algorithms)] * FILES
    with started(tmp_path, tasks) as outcomes:
        found = [outcome for _, outcome in outcomes]
    assert found == [Outcome(tuple(hashlib.new(name, b"x").hexdigest() for name in algorithms))] * FILES


def test_a_worker_that_is_killed_ends_the_work_with_an_error_to_try_again(folder: Path) -> None:
    with started(folder, tasks_of(folder)) as outcomes:
        next(outcomes)
        victims = workers_of(psutil.Process())
        for victim in victims:
            victim.kill()
        with pytest.raises(WorkerEndedError, match="ended early by signal 9") as caught:
            list(outcomes)
    assert caught.value.exit_status == 3
    assert not any(psutil.pid_exists(victim.pid) for victim in victims)


def test_an_exception_of_the_caller_ends_the_workers(folder: Path) -> None:
    def stop(done: int, in_all: int) -> None:
        victims.extend(workers_of(psutil.Process()))
        raise KeyboardInterrupt

    victims: list[psutil.Process] = []
    with (
        pytest.raises(KeyboardInterrupt),
        hash_files(Job(folder=str(folder)), tasks_of(folder), Load(FILES, 0), workers=2, progress=stop) as outcomes,
    ):
        list(outcomes)
    assert len(victims) == 2
    assert not any(psutil.pid_exists(victim.pid) for victim in victims)


PARENT = textwrap.dedent("""
    import sys, time
    from glacier_sync.hashing.batches import Load
    from glacier_sync.hashing.crew import hash_files
    from glacier_sync.hashing.tasks import Job, Task

    def told(done, in_all):
        print(done, flush=True)

    folder, size = sys.argv[1], int(sys.argv[2])
    tasks = [Task("1", size, ("sha512",)), Task("2", size, ("sha512",))]
    with hash_files(Job(folder=folder), tasks, Load(2, max(size, 1 << 30)), workers=2, progress=told) as outcomes:
        for _ in outcomes:
            print("done", flush=True)
            time.sleep(600)
""")


@pytest.mark.parametrize("size", [0, 1 << 40], ids=["idle", "busy"])
def test_the_workers_of_a_killed_process_end_too(tmp_path: Path, size: int) -> None:
    # A terabyte of nothing takes no room on the disk, and longer to read than any test.
    for name in ("1", "2"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    arguments = [sys.executable, "-c", PARENT, str(tmp_path), str(size)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        pids = [child.pid for child in workers_of(psutil.Process(parent.pid))]
        parent.kill()
    assert len(pids) == 2
    wait_until_gone(pids)


def test_workers_are_started_where_multiprocessing_refuses_to(folder: Path) -> None:
    """A task under Celery runs in a daemonic process, which may have no children of that library."""
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()

    def task() -> None:
        with started(folder, tasks_of(folder)) as outcomes:
            next(outcomes)
            processes = len(workers_of(psutil.Process()))
            found.put((processes, 1 + len(list(outcomes))))

    process = context.Process(target=task, daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert found.get() == (2, FILES)


def test_a_worker_process_imports_what_it_needs_and_no_more() -> None:
    probe = "import sys, glacier_sync.hashing.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({"asyncio", "dataclasses", "glacier_sync.bags", "logging", "subprocess"})


def test_a_key_that_interrupts_the_caller_is_nothing_to_the_workers(folder: Path) -> None:
    with started(folder, tasks_of(folder)) as outcomes:
        next(outcomes)
        groups = {os.getpgid(worker.pid) for worker in workers_of(psutil.Process())}
    assert groups
    assert os.getpgid(0) not in groups
