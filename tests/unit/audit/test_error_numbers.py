"""Each error number: the work that it is found in, drawn here, and what is said about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.images import draw_jpeg, draw_tiff, draw_work

from glacier_sync.audit import CATALOG, ErrorNumber, Outcome, WorkReport
from glacier_sync.audit.error_numbers import REMEDIES

GROUP = "W1TEST-I0001"
ARCHIVE, IMAGES = f"archive/{GROUP}", f"images/{GROUP}"

Spoil = Callable[[Path], object]

FOUND: dict[int, tuple[str, Spoil, str]] = {
    101: (
        "WebImageAttributes",
        lambda work: (work / "images").rename(work / "pictures"),
        "the work has no folder images",
    ),
    102: (
        "NoFilesInFolder",
        lambda work: (work / "notes.txt").touch(),
        "the work's root holds the file notes.txt; expected only folders",
    ),
    103: (
        "NoFoldersInImageGroups",
        lambda work: (work / ARCHIVE / "old").mkdir(),
        f"{ARCHIVE} holds the folder old; expected only files",
    ),
    104: (
        "NoFoldersInImageGroups",
        lambda work: (work / IMAGES / "old").mkdir(),
        f"{IMAGES} holds folders (1); expected only files",
    ),
    105: (
        "FileSequence",
        lambda work: (work / ARCHIVE / "I00010001.jpg").unlink(),
        f"{ARCHIVE} lacks image 0001 (of 2)",
    ),
    106: (
        "FileSequence",
        lambda work: (work / IMAGES / "cover.tif").touch(),
        f"{IMAGES} is no sequence of numbered images",
    ),
    107: (
        "FileSequence",
        lambda work: (work / IMAGES / "x0002.tif").touch(),
        f"{IMAGES} has image 0002 twice: I00010002.tif and x0002.tif; expected it once",
    ),
    109: (
        "FileSequence",
        lambda work: draw_tiff(work / IMAGES / "I00010004.tif"),
        f"{IMAGES} has 3 images that are numbered up to 4; expected 4",
    ),
    110: (
        "WebImageAttributes",
        lambda work: (work / IMAGES / "I00010003.jpg").write_text("not an image"),
        f"{IMAGES}/I00010003.jpg can't be read as JPEG or TIFF: it is neither JPEG nor TIFF",
    ),
    111: (
        "WebImageAttributes",
        lambda work: draw_tiff(work / IMAGES / "I00010003.tif", compression="tiff_lzw"),
        f"{IMAGES}/I00010003.tif is no valid 1-bit TIFF: its compression is LZW, not CCITT T.6 (Group 4)",
    ),
    112: (
        "FileSizeTests",
        lambda work: os.truncate(work / IMAGES / "I00010002.tif", 500_000),
        f"{IMAGES}/I00010002.tif has 500,000 bytes, more than 409,600 (MaximumImageFileSize=400K)",
    ),
    114: (
        "FileSizeTests",
        lambda work: os.mkfifo(work / IMAGES / "I00010003.tif"),
        f"{IMAGES}/I00010003.tif is no regular file",
    ),
    115: (
        "EXIFArchiveTest",
        lambda work: draw_jpeg(work / ARCHIVE / "I00010001.jpg", orientation=6),
        f"{ARCHIVE}/I00010001.jpg has the EXIF orientation 6 (turned by 90 degrees); expected none, 0 or 1",
    ),
    116: (
        "EXIFImageTest",
        lambda work: draw_jpeg(work / IMAGES / "I00010003.jpg", orientation=3),
        f"{IMAGES}/I00010003.jpg has the EXIF orientation 3 (turned by 180 degrees); expected none, 0 or 1",
    ),
    117: (
        "EXIFArchiveThumbnail",
        lambda work: draw_jpeg(work / ARCHIVE / "I00010001.jpg", thumbnail=True),
        f"{ARCHIVE}/I00010001.jpg holds a Photoshop thumbnail; expected none",
    ),
    118: (
        "EXIFImageThumbnail",
        lambda work: draw_tiff(work / IMAGES / "I00010001.tif", thumbnail=True),
        f"{IMAGES}/I00010001.tif holds a Photoshop thumbnail; expected none",
    ),
    119: (
        "ImageFileNameFormat",
        lambda work: draw_tiff(work / IMAGES / "p0003.tif"),
        f"{IMAGES}/p0003.tif is not named after its image group; expected I00010001.tif, say",
    ),
}


@pytest.mark.parametrize("number", FOUND)
def test_each_error_is_found_alone_by_its_test_and_in_words(
    tmp_path: Path, audit: Callable[..., WorkReport], number: int
) -> None:
    test, spoil, message = FOUND[number]
    work = draw_work(tmp_path)
    assert audit(work).outcome is Outcome.PASSED
    spoil(work)
    (result,) = audit(work, test, ErrorsAsWarning="").results
    assert message in [finding.message for finding in result.findings if finding.number == number]
    assert result.outcome is (Outcome.NOT_RUN if number == 101 else Outcome.FAILED)
    as_warnings = ",".join(str(finding.number) for finding in result.findings)
    (result,) = audit(work, test, ErrorsAsWarning=as_warnings).results
    assert result.outcome is (Outcome.NOT_RUN if number == 101 else Outcome.WARNINGS)


def test_a_size_that_is_none_is_113(tmp_path: Path, audit: Callable[..., WorkReport]) -> None:
    (result,) = audit(draw_work(tmp_path), "FileSizeTests", MaximumImageFileSize="large").results
    (finding,) = result.findings
    assert (finding.number, result.outcome) == (113, Outcome.FAILED)
    assert finding.message == "MaximumImageFileSize='large' is no size: expected a number and K, M or G, as 400K"


def test_every_number_has_its_work_and_a_remedy() -> None:
    # A repeated number is 107, which names both files; 108 says nothing more, and is reported by no test.
    assert set(FOUND) | {113, 108} == set(ErrorNumber)
    assert set(REMEDIES) == set(ErrorNumber)


def test_every_test_can_find_something() -> None:
    assert {test for test, _, _ in FOUND.values()} == {test.short_name for test in CATALOG}
