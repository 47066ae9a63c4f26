"""What the headers of image files say, read with Pillow; pixels are never decoded.

A header may say anything: an image that can't be read, or that should not be, is
described by its facts. It never stops the audit.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from glacier_sync.audit.image_facts import ImageFacts

_READERS = 8
_MAX_HEADER_BYTES = 64 * 1024**2
_MAX_HEADER_READS = 1_000_000

# Pillow's Image.open refuses more than this many pixels by default (Pillow
# documentation, "Image module", DecompressionBombError), and so do its users.
_MAX_PIXELS = 178_956_970

_JPEG = b"\xff\xd8\xff"
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 64 * 1024
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEITHER = "it is neither JPEG nor TIFF"
_WITH_METADATA = ("PNG", "JPEG2000", "WEBP", "GIF", "BMP")

# Tags of TIFF 6.0, "Baseline Field Reference Guide"; 34377 is Photoshop's.
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _SAMPLES_PER_PIXEL = 258, 259, 262, 277
_ORIENTATION, _PHOTOSHOP = 274, 34377
_STRIPS_AND_TILES = ((273, 279), (324, 325))
_GROUP_4 = 4
_BILEVEL_OR_GRAY = (0, 1)

# "Adobe Photoshop File Formats Specification", Image Resource IDs.
_THUMBNAIL = 0x040C


def examine_all(files: Sequence[tuple[Path, str | None]]) -> list[ImageFacts]:
    """Return the facts of each file, several read at a time.

    A file comes with the reason why it can't be opened at all, or None.
    """
    with _pillow_warnings() as noted, ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda file: _examine(file[0], file[1], noted), files))


class _Noted(threading.local):
    """The warnings about the image that this thread is reading."""

    def __init__(self) -> None:
        self.messages: list[str] = []


# The warnings module has one set of filters for all threads: audits of two works
# that read images at once would undo each other's settings.
_one_at_a_time = threading.Lock()


@contextmanager
def _pillow_warnings() -> Iterator[_Noted]:
    noted = _Noted()

    def note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if category is not Image.DecompressionBombWarning:
            noted.messages.append(str(message))

    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield noted


class _HeaderReader(io.BufferedReader):
    """Reads a header, and gives up on one that has no end."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._bytes = self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self._bytes += len(content)
        self._reads += 1
        if self._bytes > _MAX_HEADER_BYTES or self._reads > _MAX_HEADER_READS:
            raise _EndlessHeaderError
        return content


class _EndlessHeaderError(Exception):
    def __str__(self) -> str:
        return f"its header is longer than {_MAX_HEADER_BYTES // 1024**2} MiB, or never ends"


def _examine(path: Path, defect: str | None, noted: _Noted) -> ImageFacts:
    if defect:
        return ImageFacts(unreadable=f"it {defect}", bad_metadata=f"it {defect}")
    noted.messages.clear()
    try:
        with _HeaderReader(path) as stream:
            facts = _read(stream, noted)
    except Exception as error:  # noqa: BLE001 - Pillow raises anything on a damaged file; all of it is reported
        reason = _in_words(error)
        return ImageFacts(unreadable=reason, bad_metadata=reason)
    return facts


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    return text if isinstance(error, (SyntaxError, OSError, _EndlessHeaderError)) and text else f"{error!r}"


def _read(stream: BinaryIO, noted: _Noted) -> ImageFacts:
    start = stream.read(4)
    stream.seek(0)
    if not start:
        return ImageFacts(unreadable="it is empty", bad_metadata="it is empty")
    if start.startswith(_JPEG):
        return _read_jpeg(stream, noted)
    if start in _TIFF:
        return _read_tiff(stream, noted)
    return _read_other(stream, noted)


def _read_jpeg(stream: BinaryIO, noted: _Noted) -> ImageFacts:

    image = JpegImageFile(stream)
    unreadable = _too_large(image.size) or _cut_short_jpeg(stream, has_scan=bool(image.tile))
    orientation, bad_metadata = _exif_orientation(image.info.get("exif"))
    thumbnail = _THUMBNAIL in image.info.get("photoshop", {})
    # What Pillow warns of in a JPEG is its EXIF block.
    return ImageFacts(unreadable, (), bad_metadata or _first(noted), orientation, thumbnail)


def _read_tiff(stream: BinaryIO, noted: _Noted) -> ImageFacts:

    unreadable = None
    try:
        image = TiffImageFile(stream)
        tags = image.tag_v2
        unreadable = _too_large(image.size)
    except SyntaxError as error:
        # Pillow has no reader for these pixels; the tags may be well all the same.
        unreadable = f"it has pixels that no reader takes ({error})"
        tags = _tiff_tags(stream)
    orientation = tags.get(_ORIENTATION)
    thumbnail = _has_thumbnail(tags.get(_PHOTOSHOP))
    defects = _tiff_defects(tags)
    unreadable = unreadable or _cut_short_tiff(tags, stream)
    return ImageFacts(unreadable or _first(noted), defects, _first(noted), orientation, thumbnail)


def _read_other(stream: BinaryIO, noted: _Noted) -> ImageFacts:

    try:
        with Image.open(stream, formats=_WITH_METADATA) as image:
            orientation, bad_metadata = _exif_orientation(image.info.get("exif"))
            return ImageFacts(f"{_NEITHER} but {image.format}", (), bad_metadata or _first(noted), orientation)
    except UnidentifiedImageError:
        return ImageFacts(unreadable=_NEITHER, bad_metadata="it is no image that can be read")


def _first(noted: _Noted) -> str | None:
    return f"its header is damaged: {noted.messages[0]}" if noted.messages else None


def _too_large(size: tuple[int, int]) -> str | None:
    width, height = size
    if width * height <= _MAX_PIXELS:
        return None
    return f"it claims to have {width} x {height} pixels, more than the {_MAX_PIXELS:,} that are safe to decode"


def _exif_orientation(block: bytes | None) -> tuple[object, str | None]:

    exif = Image.Exif()
    try:
        exif.load(block or b"")
        return exif.get(_ORIENTATION), None
    except Exception as error:  # noqa: BLE001 - Pillow raises anything on a damaged block; all of it is reported
        return None, f"its EXIF block is damaged: {_in_words(error)}"


def _cut_short_jpeg(stream: BinaryIO, *, has_scan: bool) -> str | None:
    """Look for the end-of-image marker, which entropy-coded data can't hold (ITU-T T.81, B.1.1.5).

    It is the last of most files; cameras append to it, so the rest is searched if it isn't.
    """
    scan = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    for start in (max(scan, end - _TAIL_BYTES), scan):
        stream.seek(start)
        last = b""
        while has_scan and (block := stream.read(_TAIL_BYTES)):
            if _END_OF_IMAGE in last + block:
                return None
            last = block[-1:]
    return "it is cut short: its end-of-image marker is missing"


def _cut_short_tiff(tags: ImageFileDirectory_v2, stream: BinaryIO) -> str | None:
    size = stream.seek(0, os.SEEK_END)
    strips = [(_integers(tags.get(offsets)), _integers(tags.get(lengths))) for offsets, lengths in _STRIPS_AND_TILES]
    if not any(offsets for offsets, _ in strips):
        return "it is damaged: its tags don't say where its pixels are"
    ends = [offset + length for pair in strips for offset, length in zip(*pair, strict=False)]
    end = max(ends, default=0)
    return f"it is cut short: it has {size:,} bytes of {end:,}" if end > size else None


def _tiff_tags(stream: BinaryIO) -> ImageFileDirectory_v2:

    stream.seek(0)
    header = stream.read(8)
    if header[2:3] == b"+" or header[3:4] == b"+":
        header += stream.read(8)
    tags = ImageFileDirectory_v2(header)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def _tiff_defects(tags: ImageFileDirectory_v2) -> tuple[str, ...]:
    number = partial(_number, tags)
    if number(_BITS_PER_SAMPLE, 1) != 1 or number(_SAMPLES_PER_PIXEL, 1) != 1:
        return ()
    defects = []
    if (photometric := number(_PHOTOMETRIC, None)) not in _BILEVEL_OR_GRAY:
        defects.append(f"it is neither bilevel nor gray (photometric interpretation {photometric})")
    if (compression := number(_COMPRESSION, 1)) != _GROUP_4:
        defects.append(f"it isn't compressed by CCITT T.6, Group 4 (compression {compression})")
    return tuple(defects)


def _number(tags: ImageFileDirectory_v2, tag: int, default: Any) -> Any:
    value = tags.get(tag, default)
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _integers(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))


def _has_thumbnail(resources: object) -> bool:
    """Look for the thumbnail in a TIFF's block of image resources.

    Each is: 8BIM, a 2-byte id, a name and its length padded to an even size, a 4-byte
    length, and the data padded to an even size.
    """
    if not isinstance(resources, bytes):
        return False
    offset = 0
    while resources[offset : offset + 4] == b"8BIM" and len(resources) >= offset + 12:
        if int.from_bytes(resources[offset + 4 : offset + 6], "big") == _THUMBNAIL:
            return True
        name = resources[offset + 6] + 1
        data = offset + 6 + name + name % 2
        length = int.from_bytes(resources[data : data + 4], "big")
        offset = data + 4 + length + length % 2
    return False
