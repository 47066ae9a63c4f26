"""Zips are written as Python's zipfile writes them, byte for byte, whatever they hold and however large they are."""

from __future__ import annotations

import os
import struct
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_sync.bags.zip_writing import ZipWriter

TIMES = st.integers(-(2**31), 2**31 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
FILES = st.dictionaries(NAMES, st.tuples(TIMES, st.lists(st.binary(max_size=300), max_size=3)), max_size=5)

Files = Mapping[str, tuple[int, list[bytes]]]


def ours(file: IO[bytes], files: Files) -> None:
    with tempfile.TemporaryFile() as directory:
        writer = ZipWriter(file, directory)
        for name, (modified, chunks) in files.items():
            with writer.entry(name, modified) as entry:
                for chunk in chunks:
                    entry.write(chunk)
        writer.finish()


def pythons(file: IO[bytes], files: Files) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, (modified, chunks) in files.items():
            entry = zipfile.ZipInfo(name, max(time.gmtime(modified)[:6], (1980, 1, 1, 0, 0, 0)))
            entry.external_attr = 0o100644 << 16
            entry.extra = struct.pack("<HHBl", 0x5455, 5, 1, modified)
            with archive.open(entry, "w", force_zip64=True) as out:
                for chunk in chunks:
                    out.write(chunk)


def assert_same(folder: Path, files: Files, *, begin: int = 0) -> None:
    found = []
    for name, write in (("ours", ours), ("python's", pythons)):
        with (folder / name).open("w+b") as file:
            # What stands before is a hole that takes no room.
            file.truncate(begin)
            file.seek(begin)
            write(file, files)
            file.seek(begin)
            found.append(file.read())
    assert found[0] == found[1]


@settings(max_examples=60, deadline=None)
@given(files=FILES)
def test_any_files(files: Files) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_same(Path(folder), files)


@pytest.mark.parametrize("sizes", [[2**18 - 1], [2**18], [2**18 + 1], [100, 2**18, 100], [2**17] * 5, [3 * 2**18]])
def test_files_larger_than_what_is_held_back(tmp_path: Path, sizes: list[int]) -> None:
    files = {name: (1, [os.urandom(size) for size in sizes]) for name in ("a", "b", "c")}
    assert_same(tmp_path, files)


@pytest.mark.parametrize("begin", [2**31 - 1, 2**31, 2**32, 5 * 2**30])
def test_entries_beyond_2_and_4_gib(tmp_path: Path, begin: int) -> None:
    assert_same(tmp_path, {"a": (1, [b"page"]), "b": (2, [b"another"])}, begin=begin)


@pytest.mark.parametrize("count", [0xFFFF, 0x10000])
def test_as_many_entries_as_a_short_end_counts_and_more(tmp_path: Path, count: int) -> None:
    assert_same(tmp_path, {str(number): (0, []) for number in range(count)})


def test_names_that_are_not_utf_8_are_written_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("w+b") as file:
        ours(file, {"\udcff": (0, [b"x"])})
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
    # The library takes names without the flag for code page 437.
    assert (entry.filename.encode("cp437"), entry.flag_bits) == (b"\xff", 0)


def test_entries_take_no_memory() -> None:
    def peak(count: int) -> int:
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as directory:
            writer = ZipWriter(file, directory)
            tracemalloc.start()
            for number in range(count):
                with writer.entry(f"images/{number:0100}", 0) as entry:
                    entry.write(b"page")
            writer.finish()
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return found

    # Less than a byte for each entry more.
    assert peak(12_000) < peak(2_000) + 10_000
