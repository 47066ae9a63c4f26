"""Reads the headers of many images at once, in processes that may crash, hang or run out of memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.errors import TransientError

# -P: a module that lies in the current folder (a work's, say) must not be imported.
_COMMAND = (sys.executable, "-P", "-m", "glacier_sync.audit.image_worker")

_MOST_WORKERS = 8
_SECONDS_PER_IMAGE = 60.0
_POLL_SECONDS = 1.0

_STARTING_TAKES = 10  # times as long as an image may, on a busy machine

# Starting a process takes as long as reading some hundreds of images does.
_IMAGES_WORTH_A_PROCESS = 250

# Any pipe holds so much, so that sending never waits for a process that hangs.
_BYTES_AHEAD = 4096

Waiting = deque[tuple[int, bytes]]
"""Images by their place among all, each as it is sent."""


class ReadersNotStartedError(TransientError):
    """The processes that read images don't start."""


class ImageReaders:
    """Processes that read images' headers, started when there are images to read.

    There are at most ``workers`` of them (default: one for each core, at most 8).
    One that crashes, or takes longer than ``seconds`` for an image, is replaced by
    another, and the facts of that image say so. One that somebody kills, as the system
    does that is short of memory, is first taken for another's fault: the image is read once more.
    """

    def __init__(
        self, workers: int | None = None, *, seconds: float = _SECONDS_PER_IMAGE, command: Sequence[str] = _COMMAND
    ) -> None:
        self._workers = workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        self._seconds = seconds
        self._command = command
        self._readers: list[_Reader] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def examine(self, paths: Sequence[Path]) -> list[ImageFacts]:
        """Return the facts of each image, in order. Raises ReadersNotStartedError."""
        facts: dict[int, ImageFacts] = {}
        spared: set[int] = set()
        waiting: Waiting = deque((place, os.fsencode(path) + b"\0") for place, path in enumerate(paths))
        try:
            self._start(len(paths))
            while len(facts) < len(paths):
                for reader in self._readers:
                    reader.send(waiting)
                self._wait()
                for place, reader in enumerate(self._readers):
                    facts.update(reader.received())
                    if reason := reader.failure():
                        facts.update(reader.give_up(reason, waiting, spared))
                        self._readers[place] = self._started()
        except BaseException:
            # Answers that nobody has taken would pass for those about the next images.
            self._stop()
            raise
        return [facts[place] for place in range(len(paths))]

    def _start(self, images: int) -> None:
        wanted = min(self._workers, -(-images // _IMAGES_WORTH_A_PROCESS))
        while len(self._readers) < wanted:
            self._readers.append(self._started())

    def _started(self) -> _Reader:
        return _Reader(self._command, self._seconds)

    def _wait(self) -> None:
        poll = select.poll()
        for reader in self._readers:
            poll.register(reader.answers, select.POLLIN)
        poll.poll(min(_POLL_SECONDS, self._seconds) * 1000)

    def _stop(self) -> None:
        for reader in self._readers:
            reader.end()
        self._readers.clear()


class _Reader:
    """One process, and the images that it was sent and hasn't answered."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin
        assert self._process.stdout
        self._requests: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout
        os.set_blocking(self.answers.fileno(), False)
        self._seconds = seconds
        self._sent: Waiting = deque()
        self._bytes_sent = 0
        self._text = b""
        self._ready = self._ended = False
        self._heard = time.monotonic()

    def send(self, waiting: Waiting) -> None:
        """Send images that wait, some ahead of the answers."""
        while waiting and not (self._sent and self._bytes_sent + len(waiting[0][1]) > _BYTES_AHEAD):
            if not self._sent:
                self._heard = time.monotonic()
            self._sent.append(waiting.popleft())
            request = self._sent[-1][1]
            self._bytes_sent += len(request)
            try:
                self._requests.write(request)
            except BrokenPipeError:
                self._ended = True
                return

    def received(self) -> dict[int, ImageFacts]:
        """Return the facts that have come in, by the images' places."""
        while block := self._block():
            self._heard = time.monotonic()
            self._text += block
        *lines, self._text = self._text.split(b"\n")
        facts = {}
        for line in lines:
            if not self._ready:
                # The first line is empty, and says no more than this.
                self._ready = True
                continue
            place, request = self._sent.popleft()
            self._bytes_sent -= len(request)
            facts[place] = ImageFacts.from_line(line)
        return facts

    def failure(self) -> str | None:
        """Return why the process can't go on, in words about the image that it was at, or None.

        Raises ReadersNotStartedError if it never began.
        """
        if self._ended:
            reason = f"it crashed the program that reads images ({_ending(self._process.wait())})"
        elif (self._sent or not self._ready) and time.monotonic() - self._heard > self._allowed():
            reason = f"it couldn't be read within {self._seconds:g} seconds"
        else:
            return None
        if not self._ready:
            raise ReadersNotStartedError(
                f"the program that reads images doesn't start: expected it within {self._allowed():g} seconds; "
                "what it says on standard error tells why"
            )
        return reason

    def give_up(self, reason: str, waiting: Waiting, spared: set[int]) -> dict[int, ImageFacts]:
        """End the process; return the facts of the image it was at, and let the others wait again.

        That one waits too, if the process was killed and it isn't among the ``spared`` yet.
        """
        was_killed = self._ended and self._process.wait() == -signal.SIGKILL
        self.end()
        if not self._sent:
            return {}
        (place, _), *others = self._sent
        if was_killed and place not in spared:
            spared.add(place)
            waiting.extendleft(reversed(self._sent))
            return {}
        waiting.extendleft(reversed(others))
        return {place: ImageFacts.of_none(reason)}

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        with self._process:
            pass

    def _allowed(self) -> float:
        return self._seconds if self._ready else self._seconds * _STARTING_TAKES

    def _block(self) -> bytes | None:
        """Return what has come in, or None; an end is noted."""
        block = self.answers.read(65536)
        self._ended = self._ended or block == b""
        return block


def _ending(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
