"""Auditing: the ten tests on a work of 1,000 images, with one process that reads them and with one for each core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tests.bench.contenders import headers, our_audit
from tests.bench.model import OURS, Comparison, Contender, Goal, Scale, call, command, lacking

ONE = f"{OURS}, one process"
ALL = f"{OURS}, all cores"
LIMIT = "limit: read each file's beginning and end"

_IMAGES_PER_MIB = 2
_SIZE = (1200, 1800)


def auditing(scale: Scale) -> Iterator[Comparison]:
    """Compare audits of images that are in the page cache, and of images that come from the disk."""
    work = _make_work(scale.folder / "W1", max(scale.mib * _IMAGES_PER_MIB, 20))
    images = sum(1 for path in work.rglob("*") if path.is_file())
    try:
        yield Comparison(
            f"Auditing {images:,} images",
            tuple(_contenders(scale, work, cold=False)),
            base=LIMIT,
            goals=(Goal(f"{ALL}: at most 0.8 times one process", 0.8, (ONE,), ours=ALL),),
        )
        yield Comparison(
            f"Auditing {images:,} images from the disk",
            tuple(_contenders(scale, work, cold=True)),
            base=LIMIT,
        )
    finally:
        shutil.rmtree(work)


def _contenders(scale: Scale, work: Path, *, cold: bool) -> Iterator[Contender]:
    def forget() -> None:
        headers.forget(work)

    before = forget if cold else None
    exiftool = command("exiftool", "-q", "-r", "-fast", "-Orientation", work)
    yield Contender("exiftool", (exiftool,), before, lacking("exiftool", "libimage-exiftool-perl"))
    yield Contender("Pillow, one process", (call(headers.open_with_pillow, work=work),), before)
    yield Contender(ONE, (call(our_audit.audit, work=work, workers=1),), before)
    yield Contender(ALL, (call(our_audit.audit, work=work, workers=scale.workers),), before)
    yield Contender(LIMIT, (call(headers.read_both_ends, work=work, workers=scale.workers),), before)


def _make_work(work: Path, images: int) -> Path:
    """Make a work of scanned pages: noisy JPEGs as masters, Group 4 TIFFs for the web."""
    page = Image.effect_noise(_SIZE, 30)
    exif = Image.Exif()
    exif[274] = 1
    for parent, extension in (("archive", "jpg"), ("images", "tif")):
        group = work / parent / "W1-I1"
        group.mkdir(parents=True)
        first = group / f"I10001.{extension}"
        if extension == "jpg":
            page.save(first, exif=exif)
        else:
            # Half a page of noise is what a page of writing weighs.
            page.convert("1").crop((0, 0, _SIZE[0], _SIZE[1] // 2)).save(first, compression="group4")
        for number in range(2, images // 2 + 1):
            shutil.copyfile(first, group / f"I1{number:04d}.{extension}")
    return work
