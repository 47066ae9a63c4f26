"""Ctrl-C on commands that take long: one line, its exit status, and nothing left half done."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.support.bag_builder import make_work
from tests.support.pipeline import Installation

from .conftest import COMMAND

RID = "W1TEST01"
LARGE = "images/I1/large.bin"
SIZE = 200 * 2**20
# A busy machine may give a command all the time that it needs between two looks at it.
TRIES = 20
# What runs in the background ignores Ctrl-C unless it is told not to.
HEEDING = ("env", "--default-signal=INT")

# Python ignores what is raised while an object is deleted, as its own importing does it now and then.
INTERRUPTED_IMPORT = """
import os, signal, sys
from glacier_sync.cli import main

module, sys.argv[1:] = sys.argv[1], ["status"]

class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            Deleted()

sys.meta_path.insert(0, Finder)
main()
"""


@pytest.fixture(scope="module")
def bagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a large work's zip, and the work as it comes out of it."""
    folder = tmp_path_factory.mktemp("large")
    work = make_work(folder / "made", RID)
    large = work / LARGE
    large.parent.mkdir(parents=True, exist_ok=True)
    with large.open("wb") as file:
        file.truncate(SIZE)
    for words in (["bag", work], ["unbag", folder / f"{RID}.bag.zip"]):
        subprocess.run([COMMAND, *words, "--to", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def processes_of(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def reads(session: int, path: Path) -> bool:
    for process in processes_of(session):
        with suppress(psutil.Error):
            if str(path) in [file.path for file in process.open_files()]:
                return True
    return False


def stopped_where(start: Callable[[], subprocess.Popen[bytes]], path: Path) -> subprocess.Popen[bytes]:
    """Stop a command while it reads a file, or one that is started after it, if it was over before it was looked at."""
    for _ in range(TRIES):
        process = start()
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGSTOP)
            if reads(process.pid, path):
                return process
            let_go_on(process)
            time.sleep(0.01)
        process.communicate()
    pytest.fail(f"{path} isn't read, or too fast to be seen")


def let_go_on(process: subprocess.Popen[bytes]) -> None:
    """Wake a command with all that it has started: a worker may have left its group when it was just being stopped."""
    for started in processes_of(process.pid):
        with suppress(psutil.NoSuchProcess):
            started.send_signal(signal.SIGCONT)


def files_of(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


def remove(files: set[Path]) -> None:
    for path in sorted(files, reverse=True):
        (path.rmdir if path.is_dir() else path.unlink)()


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["verify", "{folder}/{rid}.bag.zip"], "{folder}/{rid}.bag.zip"),
        (["unbag", "{folder}/{rid}.bag.zip", "--to", "{to}"], "{folder}/{rid}.bag.zip"),
        (["bag", "{folder}/{rid}", "--to", "{to}"], "{folder}/{rid}/{large}"),
        (["sync", "{folder}/{rid}"], "{folder}/{rid}/{large}"),
        (["diff", "{folder}/{rid}"], "{archived}/{large}"),
        (["fixity", "{rid}"], "{archived}/{large}"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_ctrl_c_is_one_line_and_leaves_nothing_half_done(
    place: Installation, bagged: Path, tmp_path: Path, words: list[str], read: str
) -> None:
    to, archived = tmp_path / "to", place.archived(RID)
    to.mkdir()
    if words[0] in ("diff", "fixity"):
        archived.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(bagged / RID, archived)
    before = files_of(to, bagged, archived.parent)
    names = {"folder": bagged, "rid": RID, "large": LARGE, "to": to, "archived": archived}

    def start() -> subprocess.Popen[bytes]:
        remove(files_of(to, bagged, archived.parent) - before)
        command = [*HEEDING, COMMAND, *(word.format(**names) for word in words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    process = stopped_where(start, Path(read.format(**names)))
    os.killpg(process.pid, signal.SIGINT)
    let_go_on(process)
    out, err = process.communicate(timeout=60)
    assert (out, err) == (b"", b"glacier-sync: interrupted; run it again to go on\n")
    assert process.returncode == 130
    # A worker that was just being started ends by itself, as its pipe ends.
    until = time.monotonic() + 60
    while processes_of(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_of(process.pid) == []
    assert files_of(to, bagged, archived.parent) == before


@pytest.mark.parametrize("module", ["typer", "glacier_sync.cli.status_command"])
def test_ctrl_c_while_a_command_is_loaded_is_not_lost(module: str) -> None:
    done = subprocess.run(
        [*HEEDING, sys.executable, "-c", INTERRUPTED_IMPORT, module], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "glacier-sync: interrupted; run it again to go on\n"


@pytest.mark.parametrize("words", [["status"], ["run"]])
def test_where_ctrl_c_is_ignored_it_stays_so(place: Installation, words: list[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen([COMMAND, *words], stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.returncode == 0
    assert process.stdout
    assert process.stdout.read()
