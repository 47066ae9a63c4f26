"""``emulator``: it starts, answers and ends."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest
from tests.support.aws import REGION

from glacier_sync.emulator.client import EmulatorClient

from .conftest import COMMAND, Command


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_a_signal_ends_it(ending: signal.Signals) -> None:
    words = [COMMAND, "emulator", "--port", "0", "--restore-delay", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        name, _, url = process.stdout.readline().strip().partition("=")
        assert name == "AWS_ENDPOINT_URL"
        EmulatorClient(url, REGION).create_intake("bucket", "queue")
        process.send_signal(ending)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_one_clear_line(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command("emulator", "--port", str(port))
    assert (ended.status, ended.out) == (2, "")
    assert f"can't listen at 127.0.0.1:{port} (Address already in use)" in ended.error


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be_one(command: Command, port: str) -> None:
    ended = command("emulator", "--port", port)
    assert ended.status == 2
    assert port in ended.error


def test_a_delay_that_cannot_be_one(command: Command) -> None:
    ended = command("emulator", "--port", "0", "--restore-delay", "-1")
    assert ended.status == 2
    assert "--restore-delay" in ended.error


def test_a_host_that_is_not_this_machine(command: Command) -> None:
    ended = command("emulator", "--host", "192.0.2.1", "--port", "0")
    assert ended.status == 2
    assert "192.0.2.1" in ended.error
