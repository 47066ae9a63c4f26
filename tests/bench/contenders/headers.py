"""Reading the headers of images: by Pillow alone, and the bytes without a look at them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tests.bench.model import Work

_BEGINNING, _END = 64 * 1024, 4096


def open_with_pillow(work: str) -> Work:
    """Return opening each image and reading its EXIF block."""
    images = _images(work)

    def run() -> None:
        for path in images:
            with Image.open(path) as image:
                image.getexif()

    return run


def read_both_ends(work: str, workers: int) -> Work:
    """Return reading what an audit has to read of each image."""
    images = _images(work)

    def read(path: Path) -> None:
        file = os.open(path, os.O_RDONLY)
        os.pread(file, _BEGINNING, 0)
        os.pread(file, _END, max(os.fstat(file).st_size - _END, 0))
        os.close(file)

    def run() -> None:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(read, images))

    return run


def forget(work: Path) -> None:
    """Drop a work's files from the page cache, so that they are read from the disk."""
    for path in _images(str(work)):
        file = os.open(path, os.O_RDONLY)
        os.fdatasync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def _images(work: str) -> list[Path]:
    return sorted(path for path in Path(work).rglob("*") if path.is_file())
