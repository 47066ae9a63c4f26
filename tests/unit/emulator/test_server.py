import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import IO

import pytest
from tests.support.aws import REGION
from tests.support.ports import free_port

from glacier_sync.emulator.client import EmulatorClient
from glacier_sync.emulator.server import Emulator, serve
from glacier_sync.errors import ConfigurationError

SERVE = """
from glacier_sync.emulator.server import serve
serve("127.0.0.1", 0, 0, ready=lambda url: print(url, flush=True))
"""


def started(program: str) -> tuple[subprocess.Popen[str], IO[str]]:
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_cleanly(number: signal.Signals) -> None:
    child, output = started(SERVE)
    url = output.readline().strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
    child.send_signal(number)
    rest, errors = child.communicate(timeout=60)
    assert (child.returncode, rest, errors) == (0, "", "")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as raised:
            serve("127.0.0.1", port, 0)
    assert raised.value.message == (
        f"the emulator can't listen at 127.0.0.1:{port} (Address already in use): "
        "expected a free port of this machine; stop what uses it, or choose another with --port"
    )


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000), ("203.0.113.1", 0)])
def test_an_address_that_is_not_this_machines(host: str, port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"can't listen at {re.escape(host)}:{port}"), Emulator(host, port):
        pass


def test_without_moto() -> None:
    program = (
        "import sys; sys.modules['moto'] = None\n"
        "import glacier_sync.emulator.client\n"
        "from glacier_sync.emulator.server import Emulator\n"
        "from glacier_sync.errors import ConfigurationError\n"
        "try:\n  Emulator().__enter__()\n"
        "except ConfigurationError as error:\n  print(error.message)\n"
    )
    child, _ = started(program)
    output, errors = child.communicate(timeout=60)
    assert output.startswith("the emulator needs moto, and moto")
    assert "install requirements-emulator.lock" in output
    assert errors == ""


def test_a_port_is_free_again_afterwards() -> None:
    port = free_port()
    with Emulator(port=port) as first:
        url = first.url
    with Emulator(port=port) as second:
        assert second.url == url
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200


def test_two_emulators_restore_each_for_itself(tmp_path: Path) -> None:
    with Emulator(restore_delay=3600) as slow, Emulator() as fast:
        (tmp_path / "zip").write_bytes(b"content")
        for emulator, name in ((slow, "slow"), (fast, "fast")):
            client = EmulatorClient(emulator.url, REGION)
            client.create_intake(f"two-{name}", f"two-{name}")
            client.put_archived(tmp_path / "zip", f"two-{name}", "k")
            client.request_restore(f"two-{name}", "k")
        queue = client.sqs.get_queue_url(QueueName="two-fast")["QueueUrl"]
        seen = ""
        while "ObjectRestore:Completed" not in seen:
            messages = client.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MaxNumberOfMessages=10)
            seen += "".join(message["Body"] for message in messages["Messages"])
        assert client.s3.head_object(Bucket="two-slow", Key="k")["Restore"] == 'ongoing-request="true"'


def test_the_address_of_all_interfaces_is_one_to_connect_to() -> None:
    with Emulator("0.0.0.0") as emulator, urllib.request.urlopen(emulator.url) as answer:
        assert answer.status == 200
