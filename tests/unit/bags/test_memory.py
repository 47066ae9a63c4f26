"""Bags of any size are read in 256 MB, workers included: in one large file, in very many, with long manifests."""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from tests.support.bag_builder import DECLARATION, BagBuilder, ZipEntry, write_zip
from tests.support.memory import peak_memory

from glacier_sync.bags.files import NameList, SeenNames
from glacier_sync.bags.folders import list_tree
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.matching import find_works
from glacier_sync.bags.placing import plan_places
from glacier_sync.bags.portability import odd_names
from glacier_sync.bags.sources import Bag
from glacier_sync.bags.zip_writing import ZipWriter

MOST = 256_000_000
ZEROS = memoryview(bytes(2**24))
ZEROS_SHA256 = "f8c6a4d9640d5154fd53d271e811269c35a3c6853ab8a72426acd23a280f965d"
# More than those whose names are held for the sake of speed.
FILES = 55_000
VERIFY = "bags.verify(pathlib.Path(sys.argv[1]), workers=2)[0].defects and sys.exit(1)"
UNBAG = "bags.unbag(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), workers=2)"


class Sparse(io.FileIO):
    """A file in which long stretches of zeros are holes."""

    def write(self, data: object) -> int:
        if data is ZEROS:
            self.seek(len(ZEROS), io.SEEK_CUR)
            return len(ZEROS)
        return super().write(data)  # type: ignore[call-overload, no-any-return]


def write_bag(path: Path, algorithm: str, files: Iterable[tuple[str, Iterable[memoryview], str]]) -> Path:
    """Write a bag as a zip: names with their bytes and checksums, one after the other."""
    with tempfile.TemporaryFile() as directory, tempfile.TemporaryFile() as manifest, Sparse(path, "w+b") as file:
        writer = ZipWriter(file, directory)
        for name, chunks, digest in files:
            with writer.entry(f"W1.bag/data/W1/images/{name}", 0) as entry:
                for chunk in chunks:
                    entry.write(chunk)
            manifest.write(f"{digest}  data/W1/images/{name}\n".encode())
        with writer.entry("W1.bag/bagit.txt", 0) as entry:
            entry.write(DECLARATION)
        manifest.seek(0)
        with writer.entry(f"W1.bag/manifest-{algorithm}.txt", 0) as entry:
            while block := manifest.read(2**20):
                entry.write(block)
        writer.finish()
    return path


def pages(count: int) -> Iterator[tuple[str, Iterable[memoryview], str]]:
    data = memoryview(b"page")
    digest = hashlib.sha512(data).hexdigest()
    return ((f"{number // 1000:0200}/{number:040}.tif", [data], digest) for number in range(count))


def memory_for(what: str, *arguments: Path) -> int:
    return peak_memory(sys.executable, "-c", f"import pathlib, sys\nfrom glacier_sync import bags\n{what}", *arguments)


def test_a_million_files_with_a_manifest_of_hundreds_of_megabytes(tmp_path: Path) -> None:
    """What each file more takes is measured, and a million reckoned from it."""
    bags = [write_bag(tmp_path / f"{count}.zip", "sha512", pages(count)) for count in (FILES, 2 * FILES)]
    # A sample may miss a peak, and what is missed of the first counts many times.
    few = max(memory_for(VERIFY, bags[0]) for _ in range(2))
    many = memory_for(VERIFY, bags[1])
    each = (many - few) / FILES
    assert many + each * (1_000_000 - 2 * FILES) < MOST, f"{few:,} bytes for {FILES:,} files, {many:,} for twice that"


def test_a_list_of_files_to_be_fetched_takes_no_more_for_more_of_them(tmp_path: Path) -> None:
    found = []
    for count in (200_000, 800_000):
        (tmp_path / f"{count}").mkdir()
        lines = b"".join(b"https://example.org/ - data/%d\n" % number for number in range(count))
        bag = BagBuilder(tags={"fetch.txt": lines}).folder(tmp_path / f"{count}")
        found.append(memory_for("bags.verify(pathlib.Path(sys.argv[1]), workers=1)", bag))
    few, many = found
    assert many < few + 10_000_000, f"{few:,} bytes for fewer, {many:,} for four times as many"


@pytest.mark.parametrize(("name", "method"), [("W1.bag/data/%040d", 12), ("__MACOSX/%040d", 0)])
def test_a_million_entries_with_something_wrong_with_each(name: str, method: int, tmp_path: Path) -> None:
    # More than those whose records are held for the sake of speed.
    few, many = (
        memory_for(
            "bags.verify(pathlib.Path(sys.argv[1]), workers=1)",
            write_zip(tmp_path / f"{count}.zip", [ZipEntry((name % n).encode(), method=method) for n in range(count)]),
        )
        for count in (160_000, 320_000)
    )
    each = (many - few) / 160_000
    assert many + each * 680_000 < MOST, f"{few:,} bytes for 160,000 entries, {many:,} for twice that"


def test_very_long_names_and_urls_that_are_wrong(tmp_path: Path) -> None:
    names = (b"W1.bag/data/%d" % number + b"\xff" * 60_000 for number in range(4_000))
    zips = [write_zip(tmp_path / "names.zip", map(ZipEntry, names))]
    urls = b"".join(b"https://example.org/%b - data/%d\n" % (b"a" * 65_000, number) for number in range(4_000))
    zips.append(BagBuilder(tags={"fetch.txt": urls}).zip(tmp_path, compress=True))
    found = [memory_for("bags.verify(pathlib.Path(sys.argv[1]), workers=1)", path) for path in zips]
    assert max(found) < 90_000_000


def test_very_long_names_that_are_right(tmp_path: Path) -> None:
    folders = (b"\xff" * 250 + b"/") * 15
    names = (b"W1.bag/data/W1/images/%d/" % number + folders + b"x" for number in range(8_000))
    path = write_zip(tmp_path / "W1.bag.zip", map(ZipEntry, names))
    assert memory_for("bags.verify(pathlib.Path(sys.argv[1]), workers=1)", path) < 90_000_000


def test_very_many_small_bags(tmp_path: Path) -> None:
    entries = (BagBuilder(name=f"W{n}", payload={f"W{n}/images/1": b"1"}).entries() for n in range(2_000))
    path = write_zip(tmp_path / "W.zip", chain.from_iterable(entries))
    assert memory_for("bags.verify(pathlib.Path(sys.argv[1]), workers=1)", path) < 80_000_000


def test_names_in_very_many_folders_one_in_the_other(tmp_path: Path) -> None:
    names = (b"W1.bag/data/W1/images/%d/" % number + b"a/" * 2000 + b"x" for number in range(200))
    path = write_zip(tmp_path / "W1.bag.zip", [*BagBuilder().entries(), *map(ZipEntry, names)])
    assert memory_for("bags.verify(pathlib.Path(sys.argv[1]), workers=1)", path) < 60_000_000


def test_as_many_folders_as_files_take_some_bytes_each(tmp_path: Path) -> None:
    files = NameList()
    for number in range(FILES // 5):
        files.add(f"data/W1/images/{number:0200}/1.tif", 1)
    inspection = Inspection(Bag("W1", "W1.bag/", files), [], works={"W1": "data/W1/"})
    tracemalloc.start()
    try:
        plan = plan_places([inspection], tmp_path)
        made = sum(1 for _ in plan.folders(SeenNames()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (made, plan.defects) == (FILES // 5 + 3, [])
    assert peak < 100 * FILES // 5


@pytest.mark.parametrize(
    "go_through",
    [lambda names: find_works(names, "W1"), lambda names: deque(odd_names(names, "W1.bag/"), maxlen=0)],
    ids=["works", "odd names"],
)
def test_folders_that_are_gone_through_take_next_to_nothing(go_through: Callable[[Iterable[str]], object]) -> None:
    names = (f"data/W1/images/{number:0200}./1.tif" for number in range(FILES))
    tracemalloc.start()
    try:
        go_through(names)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * FILES


def test_empty_folders_of_a_directory_are_not_held(tmp_path: Path) -> None:
    count = 5_000
    for number in range(count):
        (tmp_path / "data" / f"{number:0240}").mkdir(parents=True)
    tracemalloc.start()
    try:
        tree = list_tree(tmp_path)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tree.folders == {"data"}
    assert held < 100 * count


def test_unbagging_takes_hardly_more_than_verifying(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "W1.zip", "sha512", pages(5_000))
    verifying = max(memory_for(VERIFY, path) for _ in range(3))
    assert memory_for(UNBAG, path, tmp_path / "to") < verifying + 10_000_000


def test_one_file_of_more_than_4_gib(tmp_path: Path) -> None:
    chunks = [ZEROS] * 260
    path = write_bag(tmp_path / "W1.zip", "sha256", [("large.tif", chunks, ZEROS_SHA256)])
    assert path.stat().st_size > 2**32
    assert memory_for(VERIFY, path) < MOST / 3
