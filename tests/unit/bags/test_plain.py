"""Zips of works without a bag: taken only where asked for, checked as far as they can be, and recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.support.bag_builder import SOME_FILES, BagBuilder, ZipEntry, write_zip

from glacier_sync import bags


def plain_zip(path: Path, *works: str, **other: bytes) -> Path:
    files = {f"{work}/{name}": data for work in works for name, data in SOME_FILES.items()}
    return write_zip(path, [ZipEntry(name.encode(), data) for name, data in (files | other).items()])


def unbag(path: Path, to: Path, workers: int = 1) -> tuple[bags.UnbaggedWork, ...]:
    return bags.unbag(path, to, workers=workers, plain=True)


def test_works_without_a_bag_are_unpacked_and_recorded_as_not_proven(tmp_path: Path) -> None:
    found = unbag(plain_zip(tmp_path / "W9.zip", "W1", "W2"), tmp_path / "to")
    assert [(work.rid, work.proven, work.files, work.bag_dir) for work in found] == [
        (rid, False, 3, tmp_path / "to" / "W9.bag") for rid in ("W1", "W2")
    ]
    for work in found:
        for name, data in SOME_FILES.items():
            assert (work.path / name).read_bytes() == data
    lines = (tmp_path / "to" / "W9.bag" / "manifest-sha512.txt").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert listed == {
        f"data/{rid}/{name}": hashlib.sha512(data).hexdigest()
        for rid in ("W1", "W2")
        for name, data in SOME_FILES.items()
    }


def test_fixity_works_the_same_afterwards(tmp_path: Path) -> None:
    (work,) = unbag(plain_zip(tmp_path / "W1.zip", "W1"), tmp_path / "to")
    expected = bags.expected_files(work.bag_dir, "W1")
    assert not bags.compare(work.path, expected, workers=1, drop_cache=False)
    (work.path / "images/I1/0001.jpg").write_bytes(b"first pagE")
    assert bags.compare(work.path, expected, workers=1, drop_cache=False).changed == ("images/I1/0001.jpg",)


def test_a_zip_that_is_the_work_itself_has_its_name(tmp_path: Path) -> None:
    entries = [ZipEntry(name.encode(), data) for name, data in SOME_FILES.items()]
    (work,) = unbag(write_zip(tmp_path / "W1.zip", entries), tmp_path / "to")
    assert (work.rid, work.path) == ("W1", tmp_path / "to" / "W1")
    assert (work.path / "images/I1/0001.jpg").read_bytes() == b"first page"
    assert not bags.compare(work.path, bags.expected_files(work.bag_dir, "W1"), workers=1, drop_cache=False)


def test_a_bag_is_a_bag_all_the_same(tmp_path: Path) -> None:
    (work,) = unbag(BagBuilder().zip(tmp_path), tmp_path / "to")
    assert work.proven
    damaged = BagBuilder(name="W2", overrides={"data/W1/images/I1/0001.jpg": b"other"})
    with pytest.raises(bags.InvalidBagError, match="but manifest-sha512"):
        unbag(damaged.zip(tmp_path), tmp_path / "to")


def test_without_being_asked_for_a_plain_zip_is_an_invalid_bag(tmp_path: Path) -> None:
    with pytest.raises(bags.InvalidBagError, match="holds 3 files and no bag"):
        bags.unbag(plain_zip(tmp_path / "W1.zip", "W1"), tmp_path / "to", workers=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_checksum_of_the_zip_is_found_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    entries = [ZipEntry(b"W1/images/%d" % number, b"page") for number in range(1500)]
    entries[700].crc = 1
    with pytest.raises(bags.InvalidBagError, match="W1/images/700: has the CRC-32") as caught:
        unbag(write_zip(tmp_path / "W1.zip", entries), tmp_path / "to", workers)
    assert len(caught.value.defects) == 1
    assert not (tmp_path / "to").exists()


def test_what_is_no_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(bags.InvalidBagError, match="holds no work: expected one in the zip"):
        unbag(write_zip(tmp_path / "W1.zip", [ZipEntry(b"letters/1.txt", b"x")]), tmp_path / "to")
    with pytest.raises(bags.InvalidBagError, match=r"notes.txt: belongs to no work, and would be lost"):
        unbag(plain_zip(tmp_path / "W2.zip", "W1", **{"notes.txt": b"x"}), tmp_path / "to")
    (tmp_path / "W3.zip").write_bytes(b"no zip")
    with pytest.raises(bags.InvalidBagError, match="is no zip"):
        unbag(tmp_path / "W3.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()
