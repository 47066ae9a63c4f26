"""Checksum algorithms, by the names that manifests give them (RFC 8493 §2.4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Protocol


class Hasher(Protocol):
    """What ``hashlib.new`` returns."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def copy(self) -> Hasher:
        """Return another of the same state."""

    def hexdigest(self) -> str:
        """Return the checksum in hexadecimal."""


def normalised(name: str) -> str:
    """Return an algorithm's name as manifests' names have it: ``SHA-512`` is ``sha512``."""
    return re.sub("[^a-z0-9]", "", name.lower())


_HASHLIB_NAMES = {normalised(name): name for name in hashlib.algorithms_guaranteed if not name.startswith("shake")}

SUPPORTED = tuple(sorted(_HASHLIB_NAMES))
WEAK = frozenset({"md5", "sha1"})
"""Algorithms for which somebody can make another file of the same checksum."""

HEX_DIGITS = {name: 2 * hashlib.new(_HASHLIB_NAMES[name], usedforsecurity=False).digest_size for name in SUPPORTED}


class Hashing:
    """Hashes many files with the same algorithms; copying a hasher takes a fifth of the time that making one takes."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._empty = list(hashers(algorithms).values())

    def begin(self) -> list[Hasher]:
        """Return an empty hasher for each algorithm, in their order."""
        return [hasher.copy() for hasher in self._empty]


def hashers(algorithms: Iterable[str]) -> dict[str, Hasher]:
    """Return an empty hasher for each of the supported ``algorithms``."""
    return {name: hashlib.new(_HASHLIB_NAMES[name], usedforsecurity=False) for name in algorithms}
