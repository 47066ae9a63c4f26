"""The central directory of a zip: its records are the same, whether they are held or read again."""

import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.support.bag_builder import ZipEntry, write_zip

from glacier_sync.bags.central import Directory

STAMP = struct.pack("<HHBl", 0x5455, 5, 1, 1_000_000_001)
DIRECTORIES = {
    "small": (20, STAMP),
    "of many extra fields": (12, STAMP + struct.pack("<HH", 0x7777, 0) * 16_000),
    "of many bytes": (300, STAMP + struct.pack("<HH", 0x7777, 60_000) + bytes(60_000)),
}
LARGE = [name for name in DIRECTORIES if name != "small"]


@contextmanager
def directory_of(name: str, folder: Path) -> Iterator[Directory]:
    count, extra = DIRECTORIES[name]
    entries = [ZipEntry(f"{n}".encode(), bytes(n), extra=extra, offset=count - n) for n in range(count)]
    path = write_zip(folder / "a.zip", entries)
    with path.open("rb") as file:
        yield Directory(path, partial(os.pread, file.fileno()), os.fstat(file.fileno()).st_size)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_record_is_as_it_was_walked(name: str, tmp_path: Path) -> None:
    with directory_of(name, tmp_path) as directory:
        walked = list(directory.walk())
        order = directory.sort()
        numbers = range(len(walked))
        assert order is not None
        assert [walked[number] for number in order] == [directory[number] for number in numbers] == walked[::-1]
        assert [directory.name(number) for number in numbers] == [record.name for record in walked[::-1]]
        assert [directory.size(number) for number in numbers] == [record.size for record in walked[::-1]]
        assert list(directory.names(numbers)) == [(record.name, record.size) for record in walked[::-1]]


@pytest.mark.parametrize("name", LARGE)
def test_a_large_directory_is_not_held(name: str, tmp_path: Path) -> None:
    with directory_of(name, tmp_path) as directory:
        tracemalloc.start()
        try:
            for _ in directory.walk():
                pass
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 4 << 20


def test_records_that_stand_in_another_order_than_their_entries_are_read_a_few_times(tmp_path: Path) -> None:
    count = 5_000
    entries = [ZipEntry(b"%04d" % number * 1_000, offset=count - number) for number in range(count)]
    path = write_zip(tmp_path / "a.zip", entries)
    lengths: list[int] = []
    with path.open("rb") as file:

        def read(length: int, offset: int) -> bytes:
            lengths.append(length)
            return os.pread(file.fileno(), length, offset)

        directory = Directory(path, read, path.stat().st_size)
        names = [record.name for record in directory.walk()]
        directory.sort()
        walked = sum(lengths)
        assert [name for name, _ in directory.names(range(count))] == names[::-1]
    assert sum(lengths) < 3 * walked
