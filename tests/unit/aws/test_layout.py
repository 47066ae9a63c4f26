import hashlib
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync.aws import layout
from glacier_sync.aws.checksums import Checksum, can_compute, digest_of, from_etag, from_header, hasher
from glacier_sync.aws.layout import Span, plan, spans_of, uniform_sizes

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=30)


@given(sizes, st.integers(1, 100))
def test_ranges_hold_every_byte_once_and_parts_whole(parts: list[int], range_size: int) -> None:
    spans = spans_of(parts)
    ranges = plan(sum(parts), spans, range_size)
    assert [piece for each in ranges for piece in each.pieces] == list(spans)
    for each in ranges:
        assert (each.span.start, each.span.end) == (each.pieces[0].start, each.pieces[-1].end)
        assert each.span.end - each.span.start <= range_size or len(each.pieces) == 1


@given(st.integers(0, 1000), st.integers(1, 100))
def test_an_object_without_parts_is_cut_evenly(size: int, range_size: int) -> None:
    ranges = plan(size, (), range_size)
    assert ranges[0].span.start == 0
    assert ranges[-1].span.end == size
    assert all(one.span.end == other.span.start for one, other in pairwise(ranges))
    assert all(each.span.end - each.span.start == range_size for each in ranges[:-1])
    assert all(each.pieces == (each.span,) for each in ranges)


def test_very_large_parts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_LARGEST_PART", 10)
    assert [each.span for each in plan(24, spans_of([12, 12]), 8)] == [Span(0, 8), Span(8, 16), Span(16, 24)]
    assert [each.span for each in plan(24, spans_of([12, 12]), 12)] == [Span(0, 12), Span(12, 24)]


def test_pieces_of_one_size() -> None:
    assert uniform_sizes(0, 5) == (0,)
    assert uniform_sizes(10, 5) == (5, 5)
    assert uniform_sizes(11, 5) == (5, 5, 1)


@given(st.binary(), st.binary())
def test_crc32_is_zlibs(first: bytes, second: bytes) -> None:
    crc = hasher("CRC32")
    crc.update(first)
    crc.update(second)
    assert crc.digest() == zlib.crc32(first + second).to_bytes(4, "big")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "MD5", "SHA1", "SHA256", "SHA512"])
def test_what_can_be_computed_is(algorithm: str) -> None:
    assert can_compute(algorithm)
    assert hasher(algorithm).digest()


def test_what_cannot_be_computed() -> None:
    assert not can_compute("XXHASH128")
    assert not can_compute("XXHASH3")


def test_etags() -> None:
    digest = hashlib.md5(b"content").hexdigest()
    assert from_etag(digest, encrypted=False) == Checksum("MD5", bytes.fromhex(digest))
    assert from_etag(f"{digest}-7", encrypted=False) == Checksum("MD5", bytes.fromhex(digest), 7)
    assert from_etag(digest, encrypted=True) is None
    assert from_etag("no-etag-of-s3", encrypted=False) is None
    assert from_etag("z" * 32, encrypted=False) is None
    assert from_etag(f"{digest}-x", encrypted=False) is None


def test_checksum_headers() -> None:
    assert from_header("CRC32", "AAAAAQ==", composite=False, parts=9) == Checksum("CRC32", b"\0\0\0\1")
    assert from_header("CRC32", "AAAAAQ==", composite=True, parts=9) == Checksum("CRC32", b"\0\0\0\1", 9)
    assert from_header("CRC32", "AAAAAQ==-4", composite=True, parts=None) == Checksum("CRC32", b"\0\0\0\1", 4)


def test_a_composite_checksum_is_one_of_the_parts_digests() -> None:
    parts = [hashlib.sha256(part).digest() for part in (b"a", b"b")]
    composed = Checksum("SHA256", hashlib.sha256(b"".join(parts)).digest(), 2)
    assert digest_of(composed, [{"SHA256": part} for part in parts]) == composed.value
    assert digest_of(Checksum("SHA256", b""), [{"SHA256": parts[0]}]) == parts[0]
