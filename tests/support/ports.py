"""Ports for servers that tests start later. Run as a program, it prints one, or as many as its argument says."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Its own choices: what seeds the tests' would have every session take the same.
_chance = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """Return a port at which nothing listens and that no client is given, so that it stays free until it is taken."""
    below, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    while True:
        # Where clients are given nearly all ports, there is nothing better than one of those.
        wanted = _chance.randrange(10_000, below) if below > 11_000 else 0
        try:
            with socket.create_server(("", wanted)) as listener:
                port = int(listener.getsockname()[1])
        except OSError:
            continue
        if port not in _given:
            _given.add(port)
            return port


@contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port at which nobody answers: one that was let go could be given to anybody, or to who asks there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(free_port())
