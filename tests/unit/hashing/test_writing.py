"""Files written by workers: room taken at once, zeros left out where the source left them out."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder

from glacier_sync import bags
from glacier_sync.hashing.writing import NewFile, UnwrittenError

LARGE = 8 << 20


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A limit of this process on the length of files stands in for a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE - 1, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_too_small_for_a_large_file_shows_before_a_byte_is_written(small_disk: None, tmp_path: Path) -> None:
    with pytest.raises(UnwrittenError, match="File too large"):
        NewFile(str(tmp_path / "new"), LARGE, sparse=False)
    assert (tmp_path / "new").stat().st_size == 0


def test_room_for_a_large_file_is_taken_at_once(tmp_path: Path) -> None:
    file = NewFile(str(tmp_path / "new"), LARGE, sparse=False)
    assert (tmp_path / "new").stat().st_blocks * 512 >= LARGE
    file.close()


def test_zeros_take_no_room_where_the_zip_had_them_compressed(tmp_path: Path) -> None:
    data = bytes(1 << 20) + b"end" + bytes(1 << 20)
    bag = BagBuilder(payload={"W1/images/1": data, "W1/images/2": bytes(600_000)})
    (work,) = bags.unbag(bag.zip(tmp_path, compress=True), tmp_path / "to", workers=1)
    one, two = work.path / "images" / "1", work.path / "images" / "2"
    assert one.read_bytes() == data
    assert two.read_bytes() == bytes(600_000)
    assert one.stat().st_blocks * 512 < len(data) / 2
    assert two.stat().st_blocks * 512 < 300_000


def hollow(path: Path, data: bytes) -> Path:
    """Replace a file by one of the same bytes whose zeros are holes, wherever ``data`` has none."""
    whole = path.read_bytes()
    at = whole.index(data)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(len(whole))
        file.write(whole[:at])
        file.seek(at + len(data))
        file.write(whole[at + len(data) :])
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_zeros_take_no_room_where_a_zip_that_doesnt_compress_had_holes(tmp_path: Path, workers: int) -> None:
    zeros = bytes(48 << 20)
    path = BagBuilder(payload={"W1/images/1": b"begin" + zeros + b"end", "W1/images/2": b"x" * 600_000}).zip(tmp_path)
    assert hollow(path, zeros).stat().st_blocks * 512 < 2 << 20
    (work,) = bags.unbag(path, tmp_path / "to", workers=workers)
    found = work.path / "images" / "1"
    assert found.read_bytes() == b"begin" + zeros + b"end"
    assert found.stat().st_blocks * 512 < 2 << 20
    assert (work.path / "images" / "2").read_bytes() == b"x" * 600_000


def test_zeros_take_their_room_where_they_did_in_the_zip(tmp_path: Path) -> None:
    zeros = bytes(9 << 20)
    (work,) = bags.unbag(BagBuilder(payload={"W1/images/1": zeros}).zip(tmp_path), tmp_path / "to", workers=1)
    assert (work.path / "images" / "1").stat().st_blocks * 512 >= len(zeros)


def test_what_stands_already_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(UnwrittenError, match="File exists"):
        NewFile(str(tmp_path / "old"), 1, sparse=False)
    assert (tmp_path / "old").read_bytes() == b"old"
