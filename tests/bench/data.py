"""The shapes of bags that are measured, made of noise."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.model import Scale

from glacier_sync.bags import make_bag_zip

_LOCAL_HEADER = struct.Struct("<26xHH")
# Half of each byte is noise, so that a file deflates to about half.
_HALF = bytes(value & 0x0F for value in range(256))


@dataclass(frozen=True)
class Shape:
    """How a bag is cut into files, of at most ``file_size`` bytes each; ``share`` of the scale's size in all."""

    name: str
    file_size: int
    share: float = 1
    compress: bool = False

    def files(self, scale: Scale) -> int:
        """Return how many files a bag of this shape has."""
        return max(int(scale.mib * 2**20 * self.share / self.size(scale)), 1)

    def size(self, scale: Scale) -> int:
        """Return the size of one file in bytes: a bag has at least four."""
        return min(self.file_size, scale.mib * 2**20 // 4)

    def title(self, scale: Scale) -> str:
        """Return the shape in words."""
        kib = self.size(scale) // 2**10
        size = f"{kib} KiB" if kib % 2**10 else f"{kib // 2**10} MiB"
        return f"{self.name}: {self.files(scale):,} files of {size}{', deflated' if self.compress else ''}"


MANY = Shape("a", 2**20)
LARGE = Shape("b", 128 * 2**20)
SMALL = Shape("c", 10 * 2**10, share=0.19)
DEFLATED = Shape("d", 2**20, share=0.25, compress=True)


@dataclass(frozen=True)
class Bag:
    """A zipped bag of one work, and where its entries' bytes are in it: ``extents`` is a JSON file."""

    zip: Path
    extents: Path

    @property
    def folder(self) -> Path:
        """The folder of all that is made of the bag."""
        return self.zip.parent

    def unpacked(self) -> Path:
        """Unpack it beside the zip; return the bag."""
        folder = self.folder / "unpacked"
        with zipfile.ZipFile(self.zip) as archive:
            archive.extractall(folder)
        return folder / self.zip.name.removesuffix(".zip")


@contextmanager
def bag_of(scale: Scale, shape: Shape) -> Iterator[Bag]:
    """Make a bag of a shape; remove it with its folder at the end."""
    try:
        yield _make_bag(scale, shape)
    finally:
        shutil.rmtree(scale.folder / shape.name)


def _make_bag(scale: Scale, shape: Shape) -> Bag:
    folder = scale.folder / shape.name
    work = make_work(folder / "source" / "W1", shape, scale)
    zip_path = folder / "W1.bag.zip"
    make_bag_zip([work], zip_path, algorithms=("sha512",))
    if shape.compress:
        _deflate(zip_path)
    shutil.rmtree(folder / "source")
    extents = folder / "extents.json"
    extents.write_text(json.dumps(_extents(zip_path)), encoding="utf-8")
    return Bag(zip_path, extents)


def _deflate(zip_path: Path) -> None:
    """Compress a zip's entries."""
    whole = zip_path.with_suffix(".deflated")
    with zipfile.ZipFile(zip_path) as stored, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as deflated:
        for entry in stored.infolist():
            deflated.writestr(entry.filename, stored.read(entry))
    whole.replace(zip_path)


def make_work(work: Path, shape: Shape, scale: Scale) -> Path:
    """Make a work's files; return the work."""
    images = work / "images" / "W1-I1"
    images.mkdir(parents=True)
    for number in range(shape.files(scale)):
        data = os.urandom(shape.size(scale))
        (images / f"I1{number:06}.tif").write_bytes(data.translate(_HALF) if shape.compress else data)
    return work


def _extents(zip_path: Path) -> list[tuple[int, int]]:
    """Return where the payload's bytes begin in a zip, and how many they are."""
    found = []
    with zipfile.ZipFile(zip_path) as archive, zip_path.open("rb") as file:
        for entry in archive.infolist():
            if "/data/" in entry.filename:
                file.seek(entry.header_offset)
                name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
                found.append((file.tell() + name + extra, entry.compress_size))
    return found


def emptied(folder: Path) -> None:
    """Make a folder anew. The files that were in it stay beside it, with nothing in them.

    After many files are deleted, a file system may be slow to make new ones: ext4
    passes over what was deleted lately, one by one.
    """
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        folder.rename(aside)
        for path in aside.rglob("*"):
            if path.is_file():
                os.truncate(path, 0)
    folder.mkdir(parents=True)
