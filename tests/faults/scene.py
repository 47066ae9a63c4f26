"""A site of a case's own, runs of its pipeline that are killed, and the clean runs after them."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from tests.faults.hooks import boundaries
from tests.support.aws import Site
from tests.support.disks import disk
from tests.support.paused import leave_ledger
from tests.support.pipeline import (
    Bag,
    Installation,
    kill,
    message,
    messages_left,
    queue_entry,
    record,
    run_in_group,
    show_again,
)
from tests.support.processes import PROCESSES, start, wait_for_end

from glacier_sync.cli import app
from glacier_sync.ledger import Ledger
from glacier_sync.settings import Settings

SECONDS = 120
PAUSE = 0.02
# How long a run waits for the ledger's lock.
LOCK_SECONDS = 3
# What of a scene may have a disk of its own.
PARTS = ("data", "archive", "logs", "ledger")
MOUNT = "mount"
_FOLDERS = ("incoming_dir", "watched_dir", "retention_dir")

HOST, FILES, COMMAND = "FAULTS_HOST", "FAULTS_FILES", "FAULTS_COMMAND"
# With it ``glacier-sync`` says that something can't be done as things stand.
REFUSED = 2
_CLONE_NEWUTS = 0x04000000

_HOOKS = Path(boundaries.__file__).parent
_numbers = itertools.count(1)

Command = Sequence[str]


@dataclass(frozen=True)
class Strike:
    """A fault that strikes a run ``at`` a boundary, by its number or beginning, or ``after`` so many seconds.

    ``what`` is killed: the ``run`` (its process alone: what it started goes on), its
    ``group`` (all of it, as a container's death does), or the ``helper`` (the program
    that is at the boundary, which may be the run itself), or any process by its number.
    Or it is one of PARTS, whose disk is full from then on; or MOUNT: an empty folder
    is in the archive's place.
    """

    what: str
    at: int | str | None = None
    after: float | None = None

    @property
    def part(self) -> str | None:
        """The part of the scene whose disk is filled."""
        return self.what if self.what in PARTS else None

    def __str__(self) -> str:
        return f"{self.what} at boundary {self.at}" if self.after is None else f"{self.what} after {self.after} s"


@dataclass(frozen=True)
class Scene:
    """One case: a site below a folder of its own, and the environment that its runs get."""

    place: Installation
    environment: Mapping[str, str]
    bags: list[Bag] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    # Works that the archive has, and that are to be replaced, by RID.
    earlier: dict[str, Path] = field(default_factory=dict)

    @property
    def queue_url(self) -> str:
        site = self.place.site
        return site.client.sqs.get_queue_url(QueueName=site.queue_name)["QueueUrl"]

    def announce(self, *bagged: Bag) -> None:
        """Announce bags that the bucket has; or put them into the incoming folder, if the scene has one."""
        for bag in bagged:
            self.bags.append(bag)
            if self.incoming_dir:
                shutil.copy(bag.zip_path, self.incoming_dir)
            else:
                self.place.site.send(message(record(self.place.site, bag.key)))

    def replaces(self, bag: Bag) -> None:
        """Put a bag's works into the archive, whose copies the site replaces."""
        self.place.say({"sync": {"replace": True}})
        for work in bag.works:
            shutil.copytree(work, self.place.archived(work.name))
            self.earlier[work.name] = work

    def key_of(self, bag: Bag) -> str:
        """Return the key that a bag has in the ledger."""
        return bag.zip_path.name if self.incoming_dir else bag.key

    @property
    def incoming_dir(self) -> Path | None:
        """Where zips are put for the feeder."""
        return self.place.settings.incoming_dir

    def fed_files(self) -> list[Path]:
        """Return the files that the feeder or the pipeline still have to take."""
        folders = (self.place.settings.incoming_dir, self.place.settings.watched_dir)
        return [path for folder in folders if folder for path in folder.iterdir()]

    def originals(self, bag: Bag) -> list[Path]:
        """Return where a bag that was put into the incoming folder lies whole."""
        folders = (self.place.settings.incoming_dir, self.place.settings.retention_dir)
        found = (path for folder in folders if folder for path in folder.rglob(bag.zip_path.name))
        return [path for path in found if path.read_bytes() == bag.zip_path.read_bytes()]

    def boundaries(self, command: Command = ()) -> list[str]:
        """Run the pipeline, or a command, and return its boundaries."""
        return self._traced(self._new_trace(), "", "", command)

    def stopped(self, at: int | str) -> Any:
        """Start a run that stops at a boundary with all that it has started, and return it when it has."""
        trace = self._new_trace()
        process = self._start({boundaries.TRACE: str(trace), boundaries.AT: str(at), boundaries.HOW: boundaries.STOP})
        until = time.monotonic() + SECONDS
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            assert process.is_alive(), f"a run ended before {at}"
            assert time.monotonic() < until, f"a run didn't come to {at}"
            time.sleep(PAUSE)
        leave_ledger(process.pid, self.place.settings)
        return process

    def struck(self, strike: Strike, command: Command = ()) -> bool:
        """Run the pipeline until the strike, or what comes of it, ends it; tell whether it was not over before.

        Instead of the pipeline it may be another command of ``glacier-sync``.
        """
        if strike.after is None:
            trace = self._new_trace()
            self._traced(trace, str(strike.at), self._how(strike), command)
            return Path(f"{trace}{boundaries.STRUCK}").exists()
        process = self._start({})
        wait_for_end(process, strike.after)
        running = process.is_alive()
        kill(process, with_children=strike.what == "group")
        return running

    def mend(self) -> None:
        """Remove what fills a disk, and mount the archive."""
        for filler in self.place.home.glob(f"*/{boundaries.FILLER}"):
            filler.unlink()
        if self.archive_away.exists():
            shutil.rmtree(self.archive_root)
            self.archive_away.rename(self.archive_root)

    @property
    def archive_root(self) -> Path:
        """The part of the archive's tree that the works are in."""
        return Path(f"{self.place.settings.archive_parent}0")

    @property
    def archive_away(self) -> Path:
        """Where that is while it isn't mounted."""
        return Path(f"{self.archive_root}{boundaries.MOVED}")

    def start(self, *, files: int = 0) -> Any:
        """Start a run, which may have so few open files."""
        return self._start({FILES: str(files)})

    def on(self, host: str) -> Scene:
        """Return the same site as another machine has it, by its name: with a disk of its own for what is in work."""
        settings = self.place.settings.model_copy(update={"data_dir": self.place.home / f"data-of-{host}"})
        environment = {**self.environment, HOST: host, "GLACIER_SYNC_DATA_DIR": str(settings.data_dir)}
        return replace(self, place=replace(self.place, settings=settings), environment=environment)

    def do(self, *command: str) -> None:
        """Do what ``glacier-sync`` does with these words; it may refuse to."""
        process = self._start({COMMAND: json.dumps(command)})
        wait_for_end(process, SECONDS)
        assert process.exitcode in (0, REFUSED), f"{command} ended with {process.exitcode}"

    def recover(self) -> None:
        """Run until everything is settled: what a killed run has started may still be working."""
        until = time.monotonic() + SECONDS
        while True:
            show_again(self.place.site)
            process = self._start({})
            wait_for_end(process, SECONDS)
            assert process.exitcode == 0, f"a clean run ended with {process.exitcode}"
            waiting = messages_left(self.place.site) or self.fed_files()
            if not waiting and all(item.phase.is_terminal for item in self.place.ledger.objects()):
                break
            assert time.monotonic() < until, self.place.ledger.events()[-5:]
            time.sleep(PAUSE)
        while any(map(_is_there, self.groups)):
            assert time.monotonic() < until, "what a killed run had started doesn't end"
            time.sleep(PAUSE)

    def _how(self, strike: Strike) -> str:
        if strike.what == MOUNT:
            return f"{boundaries.AWAY}{self.archive_root}"
        return str(self.place.home / strike.part) if strike.part else strike.what

    def _new_trace(self) -> Path:
        trace = self.place.home / f"boundaries-{len(self.groups)}"
        trace.touch()
        return trace

    def _traced(self, trace: Path, at: str, how: str, command: Command = ()) -> list[str]:
        process = self._start(
            {boundaries.TRACE: str(trace), boundaries.AT: at, boundaries.HOW: how, COMMAND: json.dumps(command)}
        )
        wait_for_end(process, SECONDS)
        assert not process.is_alive(), f"a run didn't end in {SECONDS} s"
        return [line.rstrip() for line in trace.read_text("ascii").splitlines()]

    def _start(self, more: Mapping[str, str]) -> Any:
        process = PROCESSES.Process(target=_run, args=({**self.environment, **more},), daemon=True)
        start(process)
        self.groups.append(process.pid)
        return process


class Scenes:
    """Makes scenes. Each has its own folder, queue and ledger; the bucket with the bags is everybody's."""

    def __init__(self, site: Site, folder: Path, empty_ledger: Path) -> None:
        self._site = site
        self._folder = folder
        self._empty_ledger = empty_ledger

    @property
    def url(self) -> str:
        """The address of the emulator."""
        return self._site.url

    def store(self, *bagged: Bag) -> None:
        """Put bags into the bucket."""
        for bag in bagged:
            self._site.put(bag.key, bag.zip_path.read_bytes())

    @contextmanager
    def scene(self, *bagged: Bag, small: str | None = None, fed: bool = False, **changed: object) -> Iterator[Scene]:
        """Set a scene in which bags that are stored are announced; its folder stays if the case fails.

        ``small`` is the one of PARTS that has a small disk of its own. Where it is
        ``fed``, bags come through the watched folder. ``changed`` are settings.
        """
        number = next(_numbers)
        site = replace(self._site, queue_name=f"{self._site.queue_name}-{number}")
        site.client.sqs.create_queue(QueueName=site.queue_name)
        home = self._folder / str(number)
        values = {
            "home": home,
            "intake": home / "config" / "intake.yml",
            "site_config_dir": home / "config",
            "ledger_url": f"sqlite:///{home}/ledger/ledger.sqlite?timeout={LOCK_SECONDS}",
            "sqs_wait_seconds": 0,
            "keep_free_mib": 0,
            "workers": 1,
            **({name: home / name for name in _FOLDERS} | {"settle_seconds": 1e-6} if fed else {}),
            **changed,
        }
        environment = {**os.environ, **{f"GLACIER_SYNC_{name.upper()}": str(value) for name, value in values.items()}}
        with disk(home / small) if small else nullcontext():
            settings = self._prepared(Settings(**values))  # type: ignore[arg-type] # as the environment gives them
            with Ledger.from_settings(settings) as ledger:
                ledger.migrate()
                scene = Scene(Installation(site, home, settings, ledger), environment)
                scene.place.read_queues(queue_entry(site))
                scene.announce(*bagged)
                try:
                    yield scene
                finally:
                    for group in scene.groups:
                        with suppress(ProcessLookupError):
                            os.killpg(group, signal.SIGKILL)
        shutil.rmtree(home)

    def _prepared(self, settings: Settings) -> Settings:
        settings.site_config_dir.mkdir(parents=True)
        (settings.home / "ledger").mkdir(exist_ok=True)
        shutil.copy(self._empty_ledger, settings.home / "ledger")
        for folder in filter(None, (settings.incoming_dir, settings.watched_dir, settings.retention_dir)):
            folder.mkdir()
        for part in range(4):
            root = Path(f"{settings.archive_parent}{part}")
            root.mkdir(parents=True)
            if settings.archive_marker:
                (root / settings.archive_marker).touch()
        return settings


def _run(environment: Mapping[str, str]) -> None:
    if environment.get(HOST):
        # Its claims are of another machine, of whose processes nothing is known here.
        _move_to(environment[HOST])
    if int(environment.get(FILES) or 0):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(environment[FILES]),) * 2)
    if environment.get(boundaries.TRACE):
        found = os.pathsep.join(filter(None, [str(_HOOKS), environment.get("PYTHONPATH")]))
        hooks = {"PYTHONPATH": found, "BASH_ENV": str(_HOOKS / "boundaries.bash")}
        environment = {**environment, **hooks, boundaries.RUN: str(os.getpid())}
        os.environ.update(environment)
        boundaries.install()
    if command := json.loads(environment.get(COMMAND) or "[]"):
        _do(command, environment)
    else:
        run_in_group(environment)


def _do(command: Command, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.environ.update(environment)
    sys.argv = ["glacier-sync", *command]
    app.run()


def _move_to(host: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWUTS):
        raise OSError(ctypes.get_errno(), "a machine with another name can't be played here")
    socket.sethostname(host)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
