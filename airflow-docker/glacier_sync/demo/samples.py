"""The demo's sample works: small, drawn here, and the same every time."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageDraw

from glacier_sync import bags
from glacier_sync.works import staging_key

_PAGES = 4
_DRAWN_ON = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Sample:
    """One zipped bag: the key it is stored under, its works, and what is wrong with it, if anything."""

    key: str
    zip_path: Path
    works: tuple[Path, ...]
    fault: str | None = None


def make_samples(folder: Path) -> list[Sample]:
    """Make the sample works and their zipped bags in a folder of the demo's own, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unusual = "Archive0/15/W1GS0015/W1GS0015 དེབ་ + Übersicht.bag.zip"
    return [
        _sample(folder, "W1GS0001"),
        _sample(folder, "W1GS0042", pages=8),
        _sample(folder, "W1GS0077", "W1GS0078"),
        _sample(folder, "W1GS0015", key=unusual),
        _corrupt(_sample(folder, "W1GS0023", fault="a page was altered after the bag was made")),
        _sample(folder, "W1GS0064", missing_page=3, fault="page 3 was never digitised"),
    ]


def _sample(
    folder: Path,
    *rids: str,
    key: str | None = None,
    pages: int = _PAGES,
    missing_page: int | None = None,
    fault: str | None = None,
) -> Sample:
    works = tuple(_work(folder / "works" / rid, pages, missing_page) for rid in rids)
    zip_path = folder / "zips" / f"{rids[0]}.bag.zip"
    zip_path.parent.mkdir(exist_ok=True)
    bags.make_bag_zip(works, zip_path)
    return Sample(key or staging_key(rids[0]), zip_path, works, fault)


def _work(folder: Path, pages: int, missing_page: int | None) -> Path:
    for parent, suffix in (("archive", "tif"), ("images", "jpg")):
        group = folder / parent / f"{folder.name}-I1GS{folder.name[-4:]}"
        group.mkdir(parents=True)
        for page in range(1, pages + 1):
            if page != missing_page:
                _draw_page(folder.name, page, group / f"I1GS{folder.name[-4:]}{page:04d}.{suffix}")
    return folder


def _draw_page(rid: str, page: int, path: Path) -> None:
    """Draw a page: for the archive black on white in CCITT Group 4, for the web a small JPEG."""
    image = Image.new("L", (620, 160), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((8, 8, 611, 151), outline=0, width=3)
    draw.text((40, 60), f"{rid}, page {page}", fill=0, font_size=28)
    if path.suffix == ".tif":
        image.convert("1").save(path, compression="group4")
    else:
        image.save(path, quality=60)
    os.utime(path, (_DRAWN_ON, _DRAWN_ON))


def _corrupt(sample: Sample) -> Sample:
    """Alter one page in the zip, whose own checksum is right: only the bag's manifest tells."""
    whole = sample.zip_path.with_suffix(".whole")
    sample.zip_path.rename(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(sample.zip_path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            altered = entry.filename.endswith("0002.tif")
            target.writestr(entry, content[:-1] + bytes([content[-1] ^ 1]) if altered else content)
    whole.unlink()
    return sample
