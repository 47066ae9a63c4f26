"""The command, in this process where many cases are wanted and as a process where that matters."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.aws import Site, aws, emulator, emulator_client
from tests.support.pipeline import Bagger, Installation, installation

from glacier_sync.cli import main

__all__ = ["aws", "emulator", "emulator_client"]

COMMAND = Path(sys.executable).parent / "glacier-sync"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """The JSON document that it printed, and nothing beside it."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of its error."""
        (line,) = self.err.splitlines()
        assert line.startswith("glacier-sync: ")
        return line.removeprefix("glacier-sync: ")


Command = Callable[..., Ended]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, and no other settings."""
    for name in [name for name in os.environ if name.startswith("GLACIER_SYNC_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(folder))
    monkeypatch.setenv("GLACIER_SYNC_WORKERS", "2")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def run(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["glacier-sync", *map(str, words)])
        capsys.readouterr()
        with _no_log(), pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert isinstance(status, int)
        return Ended(status, *capsys.readouterr())

    return run


@contextmanager
def _no_log() -> Iterator[None]:
    """A log that nobody has set up, as in a process that has just begun."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def process(home: Path) -> Command:
    """Runs the command as a process of its own."""

    def run(*words: str | Path, **environment: str) -> Ended:
        done = subprocess.run(
            [COMMAND, *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            env={**os.environ, **environment},
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def bagged(tmp_path_factory: pytest.TempPathFactory) -> Bagger:
    """Makes bags of works that pass their audit, or not."""
    return Bagger(tmp_path_factory.mktemp("bags"))


@pytest.fixture
def place(aws: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A site with a queue, a ledger and an archive's empty tree."""
    with installation(aws, tmp_path / "site", monkeypatch) as made:
        yield made
