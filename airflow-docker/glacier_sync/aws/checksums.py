"""What S3 says of an object's content, and whether the bytes that arrived agree.

An ETag is the MD5 of an object stored in one piece, and
``md5(the parts' MD5s)-N`` of one stored in N parts; of neither kind if KMS or
the customer's key encrypts it (Amazon S3 API Reference, "Object", ETag).
Checksums are of the whole object, or composed of the parts' as the ETag is
(Amazon S3 User Guide, "Checking object integrity").
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MD5 = "MD5"


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


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def can_compute(algorithm: str) -> bool:
    """Tell whether Python's own library computes an algorithm; CRC-64/NVME and its like it doesn't."""
    return algorithm in ("CRC32", MD5, "SHA1", "SHA256", "SHA512")


def hasher(algorithm: str) -> Hasher:
    """Return a fresh hasher of an algorithm that ``can_compute`` knows."""
    return _Crc32() if algorithm == "CRC32" else hashlib.new(algorithm, usedforsecurity=False)


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


def digest_of(checksum: Checksum, pieces: Sequence[Mapping[str, bytes]]) -> bytes:
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
