"""The limits: reading and hashing, or reading and writing, on all cores, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from tests.bench.model import Work

Extent = tuple[int, int]
Item = TypeVar("Item")

_BLOCK = 2**18
_BATCH = 8 * 2**20


def hash_extents(file: str, extents: str, workers: int, *, inflate: bool = False) -> Work:
    """Return reading and hashing the entries of a zip, nothing else: no verifier can be faster."""
    found = _read(extents)
    descriptor = os.open(file, os.O_RDONLY)

    def work(share: list[Extent]) -> None:
        buffer = memoryview(bytearray(_BATCH))
        for batch in _batches(share):
            _hash_batch(descriptor, batch, buffer, inflate=inflate)

    return partial(_on_all_cores, work, found, workers)


def copy_extents(file: str, extents: str, to: str, workers: int) -> Work:
    """Return writing the entries of a zip as files, nothing hashed: no unpacking can be faster."""
    found = _read(extents)
    source = os.open(file, os.O_RDONLY)

    def work(share: list[Extent]) -> None:
        buffer = memoryview(bytearray(_BLOCK))
        for offset, size in share:
            target = os.open(f"{to}/{offset}", os.O_WRONLY | os.O_CREAT, 0o666)
            for start, length in _blocks(offset, size):
                os.write(target, buffer[: os.preadv(source, [buffer[:length]], start)])
            os.close(target)

    return partial(_on_all_cores, work, found, workers)


def _read(extents: str) -> list[Extent]:
    return [(offset, size) for offset, size in json.loads(Path(extents).read_text(encoding="utf-8"))]


def _on_all_cores(work: Callable[[list[Item]], None], items: list[Item], workers: int) -> None:
    """Fork, a process for each worker, and wait for all."""
    children = []
    for number in range(workers):
        child = os.fork()
        if not child:
            status = 1
            try:
                work(items[number * len(items) // workers : (number + 1) * len(items) // workers])
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert not any(os.waitpid(child, 0)[1] for child in children)


def _batches(extents: list[Extent]) -> Iterator[list[Extent]]:
    """Yield neighbouring small entries together, and each large one alone."""
    batch: list[Extent] = []
    for offset, size in extents:
        if batch and offset + size - batch[0][0] > _BATCH:
            yield batch
            batch = []
        batch.append((offset, size))
    if batch:
        yield batch


def _hash_batch(descriptor: int, batch: list[Extent], buffer: memoryview, *, inflate: bool) -> None:
    if len(batch) > 1 and not inflate and batch[0][1] < _BLOCK:
        begin = batch[0][0]
        os.preadv(descriptor, [buffer[: batch[-1][0] + batch[-1][1] - begin]], begin)
        for offset, size in batch:
            hashlib.sha512(buffer[offset - begin : offset - begin + size]).digest()
        return
    for offset, size in batch:
        digest = hashlib.sha512()
        engine = zlib.decompressobj(-zlib.MAX_WBITS) if inflate else None
        for start, length in _blocks(offset, size):
            data = buffer[: os.preadv(descriptor, [buffer[:length]], start)]
            digest.update(engine.decompress(data) if engine else data)


def _blocks(offset: int, size: int) -> Iterator[Extent]:
    for start, end in pairwise([*range(offset, offset + size, _BLOCK), offset + size]):
        yield start, end - start
