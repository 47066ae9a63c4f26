"""The emulator as a server: in this process for tests, or until a signal for the command."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from glacier_sync.errors import ConfigurationError

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

    from glacier_sync.emulator.restores import Restores


class Emulator:
    """S3, SQS and restores at ``url``, on threads of this process, while its block lasts.

    ``port`` 0 stands for any free one; a restore takes ``restore_delay``
    seconds. It accepts all credentials. What it holds is in memory, and shared
    by all emulators of one process: use fresh names of buckets and queues.
    Raises ConfigurationError if the port is taken or moto isn't installed.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, restore_delay: float = 0) -> None:
        self._host = host
        self._port = port
        self._restore_delay = restore_delay
        self._server: BaseWSGIServer | None = None
        self._restores: Restores | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        # Only what serves needs moto, and nothing in production does.
        try:
            from glacier_sync.emulator.application import make_server  # noqa: PLC0415 - moto may be absent
            from glacier_sync.emulator.restores import Restores  # noqa: PLC0415 - moto may be absent
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"the emulator needs moto, and {error.name} isn't installed: "
                "install requirements-emulator.lock (pip install -r requirements-emulator.lock)",
                cause=str(error),
            ) from error
        with _listening(self._host, self._port) as listener:
            self._restores = Restores(self._restore_delay)
            self._server = make_server(listener, self._restores)
        self._restores.start()
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="emulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server and self._thread and self._restores:
            self._restores.stop()
            self._server.shutdown()
            self._thread.join()

    @property
    def port(self) -> int:
        """The port it listens at."""
        return self._server.port if self._server else self._port

    @property
    def url(self) -> str:
        """The address for ``AWS_ENDPOINT_URL``; it answers as soon as the block has begun."""
        host = "127.0.0.1" if self._host in ("", "0.0.0.0") else self._host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def serve(host: str, port: int, restore_delay: float, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; ``ready`` is called with the URL once it answers.

    Must run in the main thread. Raises ConfigurationError as ``Emulator`` does.
    """
    ended = Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with Emulator(host, port, restore_delay=restore_delay) as emulator:
            if ready:
                ready(emulator.url)
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        # Negative numbers are the resolver's, which has texts of its own.
        reason = os.strerror(number) if number and number > 0 else getattr(error, "strerror", str(error))
        raise ConfigurationError(
            f"the emulator can't listen at {host}:{port} ({reason}): "
            "expected a free port of this machine; stop what uses it, or choose another with --port",
            cause=str(error),
        ) from error
