"""A proxy in front of the emulator that breaks chosen answers, and remembers what was asked."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

# Longer than anybody waits for an answer.
_LONGEST_HOLD_SECONDS = 300


@dataclass
class Fault:
    """What is done to one answer. ``held`` is set when a request arrives that waits for ``release``.

    With ``on`` it waits for its request, whatever the others are: one whose
    method, path and SQS action contain the text.
    """

    on: str = ""
    keep: int | None = None  # of the body, this many bytes; then the connection ends
    reset: bool = False  # after ``keep`` bytes the connection is reset, not closed
    status: int | None = None  # an error instead of the answer
    code: str = "InternalError"
    body: bytes | None = None  # this instead of the answer's body
    flip: int | None = None  # this byte of the body is changed
    ranged: bool = True  # False: the request's range is ignored
    passed: bool = True  # False: the request is answered here, and never arrives
    first: Callable[[], object] | None = None  # happens before the request is passed on
    pause: float = 0  # seconds before each tenth of the body
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
        self._lock = Lock()
        self.hits: Callable[[str, dict[str, str]], bool]
        self.reset()

    def reset(self) -> None:
        """Forget faults and requests."""
        self.faults: deque[Fault] = deque()
        self.hits = _is_ranged_get
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []
        # What SQS was asked for; nothing of objects' contents.
        self.queries: list[bytes] = []

    def remember(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Keep a request; requests come at the same time."""
        with self._lock:
            self.requests.append((method, path, headers.get("range", "")))
            self.headers.append(headers.copy())
            self.queries.append(body if "x-amz-target" in headers else b"")

    def fault(self, method: str, path: str, headers: dict[str, str]) -> Fault:
        """Return what is to be done to the answer of a request."""
        name = f"{method} {path} {headers.get('x-amz-target', '')}"
        for fault in self.faults:
            if fault.on and fault.on in name:
                self.faults.remove(fault)
                return fault
        if self.faults and not self.faults[0].on and self.hits(method, headers):
            return self.faults.popleft()
        return Fault()

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
        size = int(headers.get("content-length", 0))
        sent = self.rfile.read(size)
        if len(sent) < size:
            # The sender died in the middle: no server would take that for a request.
            self.close_connection = True
            return
        self.proxy.remember(self.command, self.path, headers, sent)
        fault = self.proxy.fault(self.command, self.path, headers)
        if fault.first:
            fault.first()
        if fault.release:
            fault.held.set()
            fault.release.wait(_LONGEST_HOLD_SECONDS)
        if not fault.ranged:
            del headers["range"]
        if fault.passed:
            self._answer(*self._asked(sent, headers), fault)
        else:
            self._answer(fault.status or 200, {}, b"", fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server looks for these names

    def _asked(self, sent: bytes, headers: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.proxy.target, timeout=60)
        upstream.request(self.command, self.path, sent, {**headers, "connection": "close"})
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        return answer.status, answer.headers, body

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault) -> None:
        if fault.status and "x-amz-target" in self.headers:
            body = json.dumps({"__type": f"com.amazonaws.sqs#{fault.code}", "message": "broken on purpose"}).encode()
        elif fault.status:
            body = f"<Error><Code>{fault.code}</Code><Message>broken on purpose</Message></Error>".encode()
        body = body if fault.body is None else fault.body
        if fault.flip is not None:
            body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
        length = headers["content-length"] if self.command == "HEAD" and not fault.status else str(len(body))
        self.send_response_only(fault.status or status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", length)
        self.end_headers()
        if self.command != "HEAD":
            self._write(body if fault.keep is None else body[: fault.keep], fault.pause)
        if fault.keep is not None:
            self.close_connection = True
            self.wfile.flush()
            if fault.reset:
                linger: Any = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()

    def _write(self, body: bytes, pause: float) -> None:
        if not pause:
            self.wfile.write(body)
            return
        step = -(-len(body) // 10)
        for start in range(0, len(body), step):
            time.sleep(pause)
            self.wfile.write(body[start : start + step])

    def log_message(self, *args: object) -> None:
        """Say nothing."""
