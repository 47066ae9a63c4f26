"""What S3 says of an object's content, and whether the bytes that arrived agree.

An ETag is the MD5 of an object stored in one piece, and
``md5(the parts' MD5s)-N`` of one stored in N parts; of neither kind if KMS or
the customer's key encrypts it (Amazon S3 API Reference, "Object", ETag).
Checksums are of the whole object, or composed of the parts' as the ETag is
(Amazon S3 User Guide, "Checking object integrity"). S3 states CRC64NVME of what
was uploaded since the end of 2024 without another one; it takes a fortieth of
MD5's time, and a whole object's is computed from its pieces'.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from awscrt import checksums as crt

MD5 = "MD5"
CRC64NVME = "CRC64NVME"

Digests = Mapping[str, bytes]
"""The digests of some bytes, by algorithm."""


class Hasher(Protocol):
    """What takes bytes and gives their digest."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes taken."""


@dataclass(frozen=True)
class Checksum:
    """A checksum that S3 offers; ``value`` is its digest, ``parts`` None for the whole object's."""

    algorithm: str
    value: bytes
    parts: int | None = None

    def __str__(self) -> str:
        return self.algorithm if self.parts is None else f"{self.algorithm} of {self.parts} parts"


@dataclass(frozen=True)
class _Cyclic:
    """A cyclic redundancy check: going on from a value, and that of two pieces from theirs and the second's length."""

    size: int
    update: Callable[[bytes | memoryview, int], int]
    combine: Callable[[int, int, int], int]


_CYCLIC = {
    "CRC32": _Cyclic(4, zlib.crc32, crt.combine_crc32),
    "CRC32C": _Cyclic(4, crt.crc32c, crt.combine_crc32c),
    CRC64NVME: _Cyclic(8, crt.crc64nvme, crt.combine_crc64nvme),
}
_HASHES = (MD5, "SHA1", "SHA256", "SHA512")


class _CyclicHasher:
    def __init__(self, kind: _Cyclic) -> None:
        self._kind = kind
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._kind.update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._kind.size, "big")


def can_compute(algorithm: str) -> bool:
    """Tell whether an algorithm is known here; S3 has some that are seldom used and aren't."""
    return algorithm in _HASHES or algorithm in _CYCLIC


def can_combine(algorithm: str) -> bool:
    """Tell whether the digest of consecutive pieces follows from each one's."""
    return algorithm in _CYCLIC


def is_strong(algorithm: str) -> bool:
    """Tell whether an algorithm proves content by itself: damage slips through 32 bits once in four billion times."""
    return algorithm not in _CYCLIC or _CYCLIC[algorithm].size > 4


def hasher(algorithm: str) -> Hasher:
    """Return a fresh hasher of an algorithm that ``can_compute`` knows."""
    kind = _CYCLIC.get(algorithm)
    return _CyclicHasher(kind) if kind else hashlib.new(algorithm, usedforsecurity=False)


def combined(algorithm: str, pieces: Sequence[tuple[bytes, int]]) -> bytes:
    """Return the digest of consecutive pieces, each given by its digest and its length in bytes."""
    kind = _CYCLIC[algorithm]

    def join(before: int, piece: tuple[bytes, int]) -> int:
        return kind.combine(before, int.from_bytes(piece[0], "big"), piece[1])

    return reduce(join, pieces, 0).to_bytes(kind.size, "big")


def from_etag(etag: str, *, encrypted: bool) -> Checksum | None:
    """Return the checksum that an ETag is, or None if it is none.

    ``encrypted``: with KMS or a customer's key.
    """
    digest, dash, parts = etag.partition("-")
    if encrypted or len(digest) != 32 or (dash and not parts.isdigit()):
        return None
    try:
        return Checksum(MD5, bytes.fromhex(digest), int(parts) if dash else None)
    except ValueError:
        return None


def from_header(algorithm: str, value: str, *, composite: bool, parts: int | None) -> Checksum:
    """Return the checksum of an ``x-amz-checksum-…`` header, ``digest`` or ``digest-N`` in base64."""
    digest, dash, count = value.partition("-")
    if dash:
        return Checksum(algorithm, base64.b64decode(digest), int(count))
    return Checksum(algorithm, base64.b64decode(digest), parts if composite else None)


def digest_of(checksum: Checksum, pieces: Sequence[Digests]) -> bytes:
    """Return what a checksum comes to for content given by its pieces' digests.

    The pieces are the object's parts for a composite checksum, and one piece
    for the whole object's.
    """
    digests = [piece[checksum.algorithm] for piece in pieces]
    if checksum.parts is None:
        return digests[0]
    whole = hasher(checksum.algorithm)
    whole.update(b"".join(digests))
    return whole.digest()
