"""A proxy in front of the emulator that breaks chosen answers, and remembers what was asked."""

from __future__ import annotations

import http.client
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What is done to one answer. ``held`` is set when a request arrives that waits for ``release``."""

    keep: int | None = None  # of the body, this many bytes; then the connection ends
    reset: bool = False  # after ``keep`` bytes the connection is reset, not closed
    status: int | None = None  # an error instead of the answer
    code: str = "InternalError"
    body: bytes | None = None  # this instead of the answer's body
    flip: int | None = None  # this byte of the body is changed
    ranged: bool = True  # False: the request's range is ignored
    release: Event | None = None
    held: Event = field(default_factory=Event)


def _is_ranged_get(method: str, headers: dict[str, str]) -> bool:
    return method == "GET" and "range" in headers


def every_request(method: str, headers: dict[str, str]) -> bool:
    return True


class FaultProxy:
    """``faults`` are spent in order on the requests that ``hits`` chooses: ranged GETs unless told otherwise."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.url = ""
        self.hits: Callable[[str, dict[str, str]], bool]
        self.reset()

    def reset(self) -> None:
        """Forget faults and requests."""
        self.faults: deque[Fault] = deque()
        self.hits = _is_ranged_get
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def ranges(self) -> list[str]:
        """The ranges that were asked for."""
        return [wanted for method, _, wanted in self.requests if method == "GET" and wanted]


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy(target)

    class Handler(_Handler):
        pass

    Handler.proxy = proxy
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = self.rfile.read(int(headers.get("content-length", 0)))
        self.proxy.requests.append((self.command, self.path, headers.get("range", "")))
        self.proxy.headers.append(headers.copy())
        fault = Fault()
        if self.proxy.faults and self.proxy.hits(self.command, headers):
            fault = self.proxy.faults.popleft()
        if fault.release:
            fault.held.set()
            fault.release.wait(60)
        if not fault.ranged:
            del headers["range"]
        upstream = http.client.HTTPConnection(self.proxy.target, timeout=60)
        upstream.request(self.command, self.path, sent, {**headers, "connection": "close"})
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        self._answer(answer, body, fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server looks for these names

    def _answer(self, answer: http.client.HTTPResponse, body: bytes, fault: Fault) -> None:
        if fault.status:
            body = f"<Error><Code>{fault.code}</Code><Message>broken on purpose</Message></Error>".encode()
        body = body if fault.body is None else fault.body
        if fault.flip is not None:
            body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
        length = answer.headers["content-length"] if self.command == "HEAD" and not fault.status else str(len(body))
        self.send_response_only(fault.status or answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if fault.keep is None else body[: fault.keep])
        if fault.keep is not None:
            self.close_connection = True
            self.wfile.flush()
            if fault.reset:
                linger: Any = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()

    def log_message(self, *args: object) -> None:
        """Say nothing."""
