"""A site of a case's own, runs of its pipeline that are killed, and the clean runs after them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.faults.hooks import boundaries
from tests.support.aws import Site
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
from tests.support.processes import PROCESSES

from glacier_sync.ledger import Ledger
from glacier_sync.settings import Settings

SECONDS = 120
PAUSE = 0.02

_HOOKS = Path(boundaries.__file__).parent
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Kill:
    """When a run is killed and who: at the boundary numbered ``at``, or ``after`` so many seconds.

    ``who`` is ``run`` (the process alone: what it started goes on), ``group`` (all
    of it, as a container's death does), or ``helper`` (the program that is at the
    boundary, which may be the run itself). With neither, the run ends by itself.
    """

    who: str = "run"
    at: int | None = None
    after: float | None = None

    def __str__(self) -> str:
        return f"{self.who} at boundary {self.at}" if self.at else f"{self.who} after {self.after} s"


@dataclass(frozen=True)
class Scene:
    """One case: a site below a folder of its own, and the environment that its runs get."""

    place: Installation
    environment: Mapping[str, str]
    bags: list[Bag] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)

    def announce(self, *bagged: Bag) -> None:
        """Announce bags that the bucket has."""
        for bag in bagged:
            self.bags.append(bag)
            self.place.site.send(message(record(self.place.site, bag.key)))

    def killed(self, fate: Kill) -> list[str]:
        """Run the pipeline and kill it; return the boundaries that were reached."""
        trace = self.place.home / f"boundaries-{len(self.groups)}"
        trace.touch()
        asked = {boundaries.TRACE: str(trace), boundaries.AT: str(fate.at or ""), boundaries.HOW: fate.who}
        process = self._start(asked if fate.after is None else {})
        process.join(SECONDS if fate.after is None else fate.after)
        if fate.after is not None:
            kill(process, with_children=fate.who == "group")
        assert not process.is_alive(), f"a run, killed {fate}, didn't end in {SECONDS} s"
        return [line.rstrip() for line in trace.read_text("ascii").splitlines()]

    def recover(self) -> None:
        """Run until everything is settled: what a killed run has started may still be working."""
        until = time.monotonic() + SECONDS
        while True:
            show_again(self.place.site)
            process = self._start({})
            process.join(SECONDS)
            assert process.exitcode == 0, f"a clean run ended with {process.exitcode}"
            if not messages_left(self.place.site) and all(i.phase.is_terminal for i in self.place.ledger.objects()):
                break
            assert time.monotonic() < until, self.place.ledger.events()[-5:]
            time.sleep(PAUSE)
        while any(map(_is_there, self.groups)):
            assert time.monotonic() < until, "what a killed run had started doesn't end"
            time.sleep(PAUSE)

    def _start(self, more: Mapping[str, str]) -> Any:
        process = PROCESSES.Process(target=_run, args=({**self.environment, **more},), daemon=True)
        process.start()
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
    def scene(self, *bagged: Bag, **changed: object) -> Iterator[Scene]:
        """Set a scene in which bags that are stored are announced; its folder stays if the case fails."""
        number = next(_numbers)
        site = replace(self._site, queue_name=f"{self._site.queue_name}-{number}")
        site.client.sqs.create_queue(QueueName=site.queue_name)
        home = self._folder / str(number)
        values = {
            "home": home,
            "intake": home / "config" / "intake.yml",
            "site_config_dir": home / "config",
            "sqs_wait_seconds": 0,
            "keep_free_mib": 0,
            "workers": 1,
            **changed,
        }
        (home / "config").mkdir(parents=True)
        shutil.copy(self._empty_ledger, home / "ledger.sqlite")
        settings = Settings(**values)  # type: ignore[arg-type] # as the environment gives them
        for part in range(4):
            Path(f"{settings.archive_parent}{part}").mkdir(parents=True)
        environment = {**os.environ, **{f"GLACIER_SYNC_{name.upper()}": str(value) for name, value in values.items()}}
        with Ledger.open(settings) as ledger:
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


def _run(environment: Mapping[str, str]) -> None:
    if environment.get(boundaries.TRACE):
        hooks = {"PYTHONPATH": str(_HOOKS), "BASH_ENV": str(_HOOKS / "boundaries.bash")}
        environment = {**environment, **hooks, boundaries.RUN: str(os.getpid())}
        os.environ.update(environment)
        boundaries.install()
    run_in_group(environment)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
