"""Ranges of an object: brought, or proved to be there, and hashed piece by piece on the way."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from threading import Event, Lock
from typing import TYPE_CHECKING

import urllib3.exceptions
from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from glacier_sync.aws.checksums import CRC64NVME, Digests, hasher
from glacier_sync.aws.errors import ServiceUnavailableError
from glacier_sync.aws.layout import Range, Span
from glacier_sync.aws.partfile import PartFile
from glacier_sync.aws.source import Source

if TYPE_CHECKING:
    from botocore.response import StreamingBody

PIECE_PROOF = CRC64NVME
"""The algorithm by which a piece of an earlier try is proved to be what it was when it was written."""

# Small enough to stay in a core's cache from the socket through the hashing to the file.
_CHUNK = 2**18
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.1

_BROKEN_OFF = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, urllib3.exceptions.HTTPError)


class RangeReader:
    """Reads an object's ranges into a part file; ``work`` runs in each of several threads.

    ``known`` has the digests of all pieces when the work is done, ``received``
    the bytes that are in place so far, ``reused`` those of them that an
    earlier try had brought. Memory: one chunk of 256 KiB a thread.
    """

    def __init__(self, source: Source, part: PartFile, ranges: Iterable[Range], algorithms: Collection[str]) -> None:
        self.known: dict[Span, Digests] = {}
        self.received = 0
        self.reused = 0
        self._source = source
        self._part = part
        self._ranges = deque(ranges)
        self._algorithms = algorithms
        self._counting = Lock()
        self._stopped = Event()

    def work(self) -> None:
        """Bring ranges until none is left, or until ``stop``."""
        while not self._stopped.is_set():
            try:
                wanted = self._ranges.popleft()
            except IndexError:
                return
            if not self._prove(wanted):
                self._fetch(wanted)

    def stop(self) -> None:
        """End the work of all threads at their next chunk."""
        self._stopped.set()

    def _prove(self, wanted: Range) -> bool:
        claimed = self._part.finished.get(wanted.span)
        if claimed is None:
            return False
        digests = [hash_span(self._part.descriptor, piece, self._algorithms) for piece in wanted.pieces]
        if claimed != tuple(each[PIECE_PROOF].hex() for each in digests):
            return False
        self.known.update(zip(wanted.pieces, digests, strict=True))
        with self._counting:
            self.received += wanted.span.end - wanted.span.start
            self.reused += wanted.span.end - wanted.span.start
        return True

    def _fetch(self, wanted: Range) -> None:
        hashing = _PieceHasher(wanted.pieces, self._algorithms)
        cause = ""
        for attempt in range(_TRIES):
            if hashing.position == wanted.span.end:
                break
            if attempt:
                pause = random.uniform(0, _FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311 - spreads requests, no secret
                self._stopped.wait(pause)
            body = self._source.open(Span(hashing.position, wanted.span.end))
            try:
                self._receive(body, hashing, wanted.span.end)
            except _BROKEN_OFF as error:
                cause = f"{type(error).__name__}: {error}"
            finally:
                body.close()
            if self._stopped.is_set():
                return
        if hashing.position < wanted.span.end:
            raise ServiceUnavailableError(
                f"can't {self._source.request.doing} for now: the connection broke off {_TRIES} times; "
                "what arrived is kept, check the network or try again later",
                cause=cause,
            )
        digests = hashing.digests()
        self.known.update(zip(wanted.pieces, digests, strict=True))
        self._part.finish(wanted.span, [each[PIECE_PROOF].hex() for each in digests])

    def _receive(self, body: StreamingBody, hashing: _PieceHasher, end: int) -> None:
        while hashing.position < end and not self._stopped.is_set():
            chunk = body.read(min(_CHUNK, end - hashing.position))
            if not chunk:
                return
            _write(self._part.descriptor, chunk, hashing.position)
            hashing.update(chunk)
            with self._counting:
                self.received += len(chunk)


class _PieceHasher:
    """Hashes consecutive bytes, piece by piece; ``position`` is where the next ones belong."""

    def __init__(self, pieces: Sequence[Span], algorithms: Collection[str]) -> None:
        self.position = pieces[0].start
        self._pieces = pieces
        self._hashers = [{name: hasher(name) for name in algorithms} for _ in pieces]
        self._current = 0

    def update(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            while self._pieces[self._current].end == self.position:
                self._current += 1
            taken = rest[: self._pieces[self._current].end - self.position]
            for each in self._hashers[self._current].values():
                each.update(taken)
            self.position += len(taken)
            rest = rest[len(taken) :]

    def digests(self) -> list[Digests]:
        return [{name: each.digest() for name, each in hashers.items()} for hashers in self._hashers]


def hash_span(descriptor: int, span: Span, algorithms: Collection[str]) -> Digests:
    """Return the digests of a span of an open file."""
    hashers = {name: hasher(name) for name in algorithms}
    position = span.start
    while position < span.end:
        chunk = os.pread(descriptor, min(_CHUNK, span.end - position), position)
        if not chunk:
            break
        for each in hashers.values():
            each.update(chunk)
        position += len(chunk)
    return {name: each.digest() for name, each in hashers.items()}


def _write(descriptor: int, chunk: bytes, position: int) -> None:
    rest = memoryview(chunk)
    while rest:
        written = os.pwrite(descriptor, rest, position)
        position += written
        rest = rest[written:]
