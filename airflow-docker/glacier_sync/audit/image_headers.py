"""What the headers of image files say, read with Pillow; pixels are never decoded.

A header may say anything: an image that can't be read, or that should not be, is
described by its facts. What Pillow itself can't stand ends the process that
``image_worker`` is, and never the audit.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from glacier_sync.audit.image_facts import ImageFacts

_MAX_HEADER_BYTES = 64 * 1024**2
_MAX_HEADER_READS = 200_000
_MAX_REASON = 200

# Pillow's Image.open refuses more than this many pixels by default (Pillow
# documentation, "Image module", DecompressionBombError), and so do its users.
_MAX_PIXELS = 178_956_970

_JPEG = b"\xff\xd8\xff"
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 4096
_SCAN_BYTES = 1024**2
_TIFF = (b"II*\0", b"MM\0*", b"II+\0")
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"
_NEITHER = "it is neither JPEG nor TIFF"
_WITH_METADATA = ("PNG", "JPEG2000", "WEBP", "GIF", "BMP")

# Tags of TIFF 6.0, "Baseline Field Reference Guide"; 34377 is Photoshop's.
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _SAMPLES_PER_PIXEL = 258, 259, 262, 277
_ORIENTATION, _PHOTOSHOP = 274, 34377
_STRIPS_AND_TILES = ((273, 279), (324, 325))
_GROUP_4 = 4
_COMPRESSIONS = {1: "none", 2: "CCITT RLE", 3: "CCITT Group 3", 5: "LZW", 7: "JPEG", 8: "Deflate", 32773: "PackBits"}
_BILEVEL_OR_GRAY = (0, 1)

# "Adobe Photoshop File Formats Specification", Image Resource IDs.
_THUMBNAIL = 0x040C


def examine(path: Path) -> ImageFacts:
    """Return the facts of an image.

    Not for several threads at once: Pillow tells some defects as warnings, and
    all threads have the same ones.
    """
    try:
        with warnings.catch_warnings(record=True) as noted, _HeaderReader(path) as stream:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _read(stream, noted)
    except Exception as error:  # noqa: BLE001 - Pillow raises anything on a damaged file; all of it is reported
        return ImageFacts.of_none(_in_words(error))


class _UnfitError(Exception):
    """Why a file isn't read on, in words."""


class _HeaderReader(io.BufferedReader):
    """Reads a header, and gives up on one that has no end."""

    def __init__(self, path: Path) -> None:
        # A pipe that took a file's place since the folder was listed must not be waited for.
        super().__init__(io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)))
        self._bytes = self._reads = 0
        if not stat.S_ISREG(os.fstat(self.fileno()).st_mode):
            raise _UnfitError("it is no regular file")

    def read(self, size: int | None = -1, /) -> bytes:
        left = _MAX_HEADER_BYTES - self._bytes
        content = super().read(left + 1 if size is None or not 0 <= size <= left else size)
        self._bytes += len(content)
        self._reads += 1
        if self._bytes > _MAX_HEADER_BYTES or self._reads > _MAX_HEADER_READS:
            raise _UnfitError(f"its header is longer than {_MAX_HEADER_BYTES // 1024**2} MiB, or never ends")
        return content


Noted = list[warnings.WarningMessage]


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "its header needs more memory than any image's should"
    text = str(error) if isinstance(error, SyntaxError | OSError | _UnfitError) else ""
    return (text or repr(error))[:_MAX_REASON]


def _read(stream: BinaryIO, noted: Noted) -> ImageFacts:
    start = stream.read(4)
    stream.seek(0)
    if not start:
        return ImageFacts.of_none("it is empty")
    if start.startswith(_JPEG):
        return _read_jpeg(stream, noted)
    if start in _TIFF:
        return _read_tiff(stream, noted)
    if start == _BIG_ENDIAN_BIG_TIFF:
        return ImageFacts.of_none("it is a BigTIFF in big-endian order, which Pillow doesn't read")
    return _read_other(stream, noted)


def _read_jpeg(stream: BinaryIO, noted: Noted) -> ImageFacts:
    image = JpegImageFile(stream)
    unreadable = _too_large(image.size) or _cut_short_jpeg(stream, has_scan=bool(image.tile))
    orientation, bad_metadata = _exif_orientation(image.info.get("exif"))
    return ImageFacts(
        "JPEG",
        unreadable,
        # What Pillow warns of in a JPEG is its EXIF block.
        bad_metadata=bad_metadata or _first(noted),
        orientation=orientation,
        thumbnail=_THUMBNAIL in image.info.get("photoshop", {}),
    )


def _read_tiff(stream: BinaryIO, noted: Noted) -> ImageFacts:
    unreadable = None
    try:
        image = TiffImageFile(stream)
        tags = image.tag_v2
        unreadable = _too_large(image.size)
    except SyntaxError as error:
        # Pillow has no reader for these pixels; the tags may be well all the same.
        unreadable = f"it has pixels that no reader takes ({_in_words(error)})"
        tags = _tiff_tags(stream)
    return ImageFacts(
        "TIFF",
        unreadable or _broken_pages(stream) or _cut_short_tiff(tags, stream) or _first(noted),
        _tiff_defects(tags),
        _first(noted),
        _plain(tags.get(_ORIENTATION)),
        _has_thumbnail(tags.get(_PHOTOSHOP)),
    )


def _read_other(stream: BinaryIO, noted: Noted) -> ImageFacts:
    try:
        with Image.open(stream, formats=_WITH_METADATA) as image:
            orientation, bad_metadata = _exif_orientation(image.info.get("exif"))
            return ImageFacts(
                unreadable=f"{_NEITHER} but {image.format}",
                bad_metadata=bad_metadata or _first(noted),
                orientation=orientation,
            )
    except UnidentifiedImageError:
        return ImageFacts(unreadable=_NEITHER, bad_metadata="it is no image that can be read")


def _first(noted: Noted) -> str | None:
    return f"its header is damaged: {noted[0].message!s:.{_MAX_REASON}}" if noted else None


def _plain(value: object) -> int | str | None:
    return value if value is None or isinstance(value, int) else f"{value!s:.20}"


def _too_large(size: tuple[int, int]) -> str | None:
    width, height = size
    if width * height <= _MAX_PIXELS:
        return None
    return f"it claims to have {width} x {height} pixels, more than the {_MAX_PIXELS:,} that are safe to decode"


def _exif_orientation(block: bytes | None) -> tuple[int | str | None, str | None]:
    exif = Image.Exif()
    try:
        exif.load(block or b"")
        return _plain(exif.get(_ORIENTATION)), None
    except Exception as error:  # noqa: BLE001 - Pillow raises anything on a damaged block; all of it is reported
        return None, f"its EXIF block is damaged: {_in_words(error)}"


def _cut_short_jpeg(stream: BinaryIO, *, has_scan: bool) -> str | None:
    """Look for the end-of-image marker, which entropy-coded data can't hold (ITU-T T.81, B.1.1.5).

    It is the last of most files; cameras append to it, so the rest is searched if it isn't.
    """
    file, scan = stream.fileno(), stream.tell()
    tail = max(scan, os.fstat(file).st_size - _TAIL_BYTES)
    if has_scan and (_END_OF_IMAGE in os.pread(file, _TAIL_BYTES, tail) or _has_end_of_image(file, scan)):
        return None
    return "it is cut short: its end-of-image marker is missing"


def _has_end_of_image(file: int, place: int) -> bool:
    last = b""
    while block := os.pread(file, _SCAN_BYTES, place):
        if _END_OF_IMAGE in last + block:
            return True
        place += len(block)
        last = block[-1:]
    return False


def _broken_pages(stream: BinaryIO) -> str | None:
    """Follow the links from page to page (TIFF 6.0, section 2, "Image File Directory")."""
    order, big, place = _first_page(stream)
    count, size, link = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}L")
    seen: set[int] = set()
    while place:
        if place in seen:
            return "its pages are linked in a circle"
        seen.add(place)
        stream.seek(place)
        try:
            (tags,) = struct.unpack(count, stream.read(struct.calcsize(count)))
            stream.seek(tags * size, os.SEEK_CUR)
            (place,) = struct.unpack(link, stream.read(struct.calcsize(link)))
        except (struct.error, OverflowError, OSError):
            return f"it is cut short: its page {len(seen)} is missing"
    return None


def _first_page(stream: BinaryIO) -> tuple[str, bool, int]:
    """Return a TIFF's byte order, whether it is a BigTIFF, and where its first page is."""
    stream.seek(0)
    header = stream.read(16)
    order, big = ("<" if header[:2] == b"II" else ">"), b"+" in header[2:4]
    (place,) = struct.unpack_from(f"{order}{'Q' if big else 'L'}", header, 8 if big else 4)
    return order, big, place


def _cut_short_tiff(tags: ImageFileDirectory_v2, stream: BinaryIO) -> str | None:
    size = os.fstat(stream.fileno()).st_size
    strips = [(_integers(tags.get(offsets)), _integers(tags.get(lengths))) for offsets, lengths in _STRIPS_AND_TILES]
    if not any(offsets for offsets, _ in strips):
        return "it is damaged: its tags don't say where its pixels are"
    ends = [offset + length for pair in strips for offset, length in zip(*pair, strict=False)]
    end = max(ends, default=0)
    return f"it is cut short: it has {size:,} bytes of {end:,}" if end > size else None


def _tiff_tags(stream: BinaryIO) -> ImageFileDirectory_v2:
    _, big, place = _first_page(stream)
    stream.seek(0)
    tags = ImageFileDirectory_v2(stream.read(16 if big else 8))
    stream.seek(place)
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
        defects.append(f"its compression is {_COMPRESSIONS.get(compression, compression)}, not CCITT T.6 (Group 4)")
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
    length, and the data padded to an even size. (Pillow's own reader of these
    copies the rest of the block for each of them.)
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
