"""``./local-airflow.sh demo``, as a newcomer runs it: real services, twice, and interrupted."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.support.ports import free_port

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / "local-airflow.sh"

SYNCED = ["W1GS0001", "W1GS0042", "W1GS0077", "W1GS0078", "W1GS0015"]

pytestmark = pytest.mark.timeout(900)


class Machine:
    """A newcomer's account: a state folder, two ports, and none of this process's settings."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_port()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHON") if name in os.environ}
        self.environment = {
            **kept,
            "GLACIER_SYNC_HOME": str(state),
            "GLACIER_SYNC_AIRFLOW_PORT": str(self.port),
            "GLACIER_SYNC_EMULATOR_PORT": str(free_port()),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SCRIPT, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=400)
        return process.returncode, output

    def processes(self) -> list[int]:
        """Every live process that belongs to this machine's services."""
        mark = f"GLACIER_SYNC_HOME={self.state}\0".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdecimal() and mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "state")
    yield made
    made.run("-d")
    assert made.processes() == []


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].endswith(".bag")
    }


def check_outcome(machine: Machine, status: int, output: str) -> None:
    assert status == 0, output
    samples = machine.state / "demo" / "samples" / "works"
    archived = {place.name: place for place in (machine.state / "archive").glob("Archive?/??/*")}
    assert sorted(archived) == sorted(SYNCED)
    for rid, place in archived.items():
        assert files(place) == files(samples / rid)
        assert f"{rid}: audit Passed; {place}" in output
    assert "I1GS00230002.tif isn't the file that was put into the bag" in output
    assert "W1GS0064 failed its audit: File Sequence Test" in output
    assert "lacks image 0003 (of 4)" in output
    assert re.search(r"phases +restored [\d:]+, downloaded [\d:]+, debagged [\d:]+, synced [\d:]+", output)
    assert f"http://127.0.0.1:{machine.port}" in output


def asked_for_a_token(page: str, user: str, password: str) -> httpx.Response:
    return httpx.post(f"{page}/auth/token", json={"username": user, "password": password}, timeout=60)


def test_the_demo_works_twice_and_is_stopped_as_it_says(machine: Machine) -> None:
    status, output = machine.run("demo")
    check_outcome(machine, status, output)
    user, password = re.search(r"log in as +(\S+), password (\S+) ", output).groups()  # type: ignore[union-attr]
    page = f"http://127.0.0.1:{machine.port}"
    assert asked_for_a_token(page, user, password).is_success
    assert asked_for_a_token(page, user, "wrong").status_code == 401
    assert machine.run("status")[0] == 0

    status, output = machine.run("demo")
    assert "the demo of before still runs; stopping it first" in output
    check_outcome(machine, status, output)

    command = re.search(r"^stop it +(.+)$", output, re.MULTILINE).group(1)  # type: ignore[union-attr]
    subprocess.run(["bash", "-c", command], cwd=PROJECT, check=True, env={"PATH": os.environ["PATH"], "HOME": "/"})
    assert machine.processes() == []
    assert machine.run("status")[0] == 3


def pressed_until_it_ends(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C as the impatient do; return what is said after it.

    Once isn't always enough: bash forgets some of those that come when a command
    substitution ends.
    """
    for _ in range(60):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=2)[0]
    pytest.fail("it doesn't end")


@pytest.mark.parametrize("moment", ["starting the AWS emulator", "starting api-server", "restored "])
def test_ctrl_c_leaves_nothing_running(machine: Machine, moment: str) -> None:
    process = machine.start("demo")
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if moment in line:
            break
    else:
        pytest.fail(f"{moment!r} never came: {seen}")
    time.sleep(0.5)
    rest = pressed_until_it_ends(process)
    assert process.returncode == 130, seen + rest
    assert machine.processes() == []


def test_a_taken_port_is_told_before_anything_is_started(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", machine.port)):
        status, output = machine.run("demo")
    assert status == 2, output
    assert f"port {machine.port} on 127.0.0.1 can't be used" in output
    assert machine.processes() == []


def test_a_state_folder_with_real_work_is_refused(machine: Machine) -> None:
    from glacier_sync.events import RestoredObject
    from glacier_sync.ledger import Ledger
    from glacier_sync.settings import Settings

    real = RestoredObject("real", "W1.bag.zip", None, "e", 1, "ObjectRestore:Completed", None, None, None)
    machine.state.mkdir()
    with Ledger.open(Settings(home=machine.state)) as ledger:
        ledger.record("queue", "message", [real], [])
    status, output = machine.run("demo")
    assert status == 2, output
    assert "holds real work" in output
    assert machine.processes() == []
