"""Draws tiny images, whole and damaged, and works made of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin

ORIENTATION = 274
PHOTOSHOP = 34377


def photoshop_thumbnail(content: bytes = b"thumbnail") -> bytes:
    """Two Photoshop image resources: a caption with a name of odd length, and a thumbnail."""
    caption = b"8BIM" + struct.pack(">H", 0x0404) + b"\x02ab\0" + struct.pack(">I", 3) + b"abc\0"
    return caption + b"8BIM" + struct.pack(">HH", 0x040C, 0) + struct.pack(">I", len(content)) + content


def draw_jpeg(
    path: Path, *, orientation: int | None = None, thumbnail: bool = False, size: tuple[int, int] = (8, 8)
) -> Path:
    """A gray JPEG; it has an EXIF block only if it has an orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    if thumbnail:
        block = b"Photoshop 3.0\0" + photoshop_thumbnail()
        options["extra"] = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    Image.new("L", size, 128).save(path, format="JPEG", **options)
    return path


def draw_tiff(
    path: Path,
    *,
    mode: str = "1",
    compression: str | None = "group4",
    orientation: int | None = None,
    thumbnail: bool = False,
) -> Path:
    """A TIFF, as the web images of a book are: 1 bit deep, Group 4 compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if orientation is not None:
        tags[ORIENTATION] = orientation
    if thumbnail:
        tags[PHOTOSHOP] = photoshop_thumbnail()
        tags.tagtype[PHOTOSHOP] = 7
    Image.new(mode, (16, 16)).save(path, format="TIFF", compression=compression, tiffinfo=tags)
    return path


def write_tiff(path: Path, tags: Iterable[tuple[int, int, int, int]], pixels: bytes = b"\0" * 32) -> Path:
    """A little-endian TIFF of just these tags: (tag, type, count, value or offset); pixels lie at byte 8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = sorted(tags)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + b"\0" * 4)
    return path


def bilevel_tags(**changed: int) -> list[tuple[int, int, int, int]]:
    """Tags of a 16 x 16 bilevel TIFF for write_tiff, uncompressed and 32 bytes long."""
    values = {"width": 16, "height": 16, "bits": 1, "compression": 1, "photometric": 1, "offset": 8, "length": 32}
    numbers = {
        "width": 256,
        "height": 257,
        "bits": 258,
        "compression": 259,
        "photometric": 262,
        "offset": 273,
        "length": 279,
    }
    return [(numbers[name], 4, 1, value) for name, value in (values | changed).items()]


def draw_work(folder: Path, rid: str = "W1TEST", *, groups: int = 1, images: int = 2) -> Path:
    """A work that passes its audit: archive JPEGs and Group 4 web TIFFs in each image group."""
    work = folder / rid
    for number in range(1, groups + 1):
        group = f"I{number:04d}"
        for image in range(1, images + 1):
            draw_jpeg(work / "archive" / f"{rid}-{group}" / f"{group}{image:04d}.jpg")
            draw_tiff(work / "images" / f"{rid}-{group}" / f"{group}{image:04d}.tif")
        (work / "images" / f"{rid}-{group}" / "dimensions.json").write_text("[]")
    return work
