"""The forms that zips come in: each is read as it is meant, or refused in words, and never read in part."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.bag_builder import BagBuilder, ZipEnd, ZipEntry, write_zip

from glacier_sync import bags

PAGE = "W1.bag/data/W1/images/I1/0001.jpg"
DATA = b"first page"
CRC = zlib.crc32(DATA)
SIZES = (CRC, len(DATA), len(DATA))
ZIP64 = 0xFFFFFFFF
FOLLOW = 0x8


def field(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def sizes64(*values: int) -> bytes:
    return field(0x0001, struct.pack(f"<{len(values)}Q", *values))


def unicode_path(name: str, raw: bytes = PAGE.encode(), version: bytes = b"\1") -> bytes:
    return field(0x7075, version + struct.pack("<L", zlib.crc32(raw)) + name.encode())


def page(**changes: Any) -> Callable[[list[ZipEntry]], list[ZipEntry]]:
    return lambda entries: [replace(entry, **changes) if entry.name == PAGE.encode() else entry for entry in entries]


def also(entry: ZipEntry) -> Callable[[list[ZipEntry]], list[ZipEntry]]:
    return lambda entries: [*entries, entry]


FOLDER = ZipEntry(b"W1.bag/data/W1/archive/", mode=0o40755, attributes=0x10)
OTHER_SIZES = f"{PAGE}: has other sizes or another CRC-32 in its local header than in the central directory"
OTHER_DESCRIPTOR = f"{PAGE}: has other sizes or another CRC-32 in its data descriptor: expected those of the directory"

ACCEPTED: Mapping[str, tuple[Callable[[list[ZipEntry]], list[ZipEntry]], ZipEnd]] = {
    "comment": (page(), ZipEnd(comment=b"made by hand")),
    "ZIP64 end": (page(), ZipEnd(zip64=True, entries=0xFFFF, size=ZIP64, offset=ZIP64)),
    "ZIP64 end beside a whole end": (page(), ZipEnd(zip64=True)),
    "folder entry": (also(FOLDER), ZipEnd()),
    "deflated folder entry": (also(replace(FOLDER, method=8)), ZipEnd()),
    "extra fields of others": (page(extra=field(0x7875, bytes(11)), local_extra=field(0x7875, bytes(11))), ZipEnd()),
    "extra fields filled up with zeros": (page(extra=bytes(3), local_extra=bytes(3)), ZipEnd()),
    "Unicode path that is the name": (page(extra=unicode_path(PAGE), local_extra=unicode_path(PAGE)), ZipEnd()),
    "Unicode path of an older name": (page(extra=unicode_path("other", b"older")), ZipEnd()),
    "Unicode path of an older name in the local header": (page(local_extra=unicode_path("other", b"older")), ZipEnd()),
    "Unicode path of another version": (
        page(extra=unicode_path("other", version=b"\2"), local_extra=unicode_path("other", version=b"\2")), ZipEnd()
    ),
    "ZIP64 sizes": (
        page(
            size=ZIP64, compressed=ZIP64, extra=sizes64(10, 10), local_sizes=(CRC, ZIP64, ZIP64),
            local_extra=sizes64(10, 10),
        ),
        ZipEnd(),
    ),
    "ZIP64 size in the local header only": (
        page(local_sizes=(CRC, ZIP64, ZIP64), local_extra=sizes64(10, 10)), ZipEnd()
    ),
    "data descriptor": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0), behind=struct.pack("<4s3L", b"PK\7\x08", *SIZES)), ZipEnd()
    ),
    "data descriptor without signature": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0), behind=struct.pack("<3L", *SIZES)), ZipEnd()
    ),
    "data descriptor of ZIP64": (
        page(
            flags=FOLLOW, local_sizes=(0, ZIP64, ZIP64), local_extra=sizes64(0, 0),
            behind=struct.pack("<4sL2Q", b"PK\7\x08", *SIZES),
        ),
        ZipEnd(),
    ),
    "data descriptor of ZIP64 without signature": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0), behind=struct.pack("<L2Q", *SIZES)), ZipEnd()
    ),
    "sizes both before and behind": (
        page(flags=FOLLOW, behind=struct.pack("<4s3L", b"PK\7\x08", *SIZES)), ZipEnd()
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_form_that_other_programs_write_is_read(name: str, tmp_path: Path) -> None:
    change, end = ACCEPTED[name]
    path = write_zip(tmp_path / "W1.bag.zip", change(BagBuilder().entries()), end=end)
    (report,) = bags.verify(path, workers=1)
    assert (report.defects, report.warnings) == ((), ())
    (work,) = bags.unbag(path, tmp_path / "to", workers=1)
    assert (work.path / "images/I1/0001.jpg").read_bytes() == DATA


REFUSED: Mapping[str, tuple[Callable[[list[ZipEntry]], list[ZipEntry]], ZipEnd, str]] = {
    "second end in the comment": (
        page(), ZipEnd(comment=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)),
        "W1.bag.zip: has another end of its central directory in its comment: expected one end",
    ),
    "signature of an end in the comment": (
        page(), ZipEnd(comment=b"PK\5\6" + bytes(30)),
        "W1.bag.zip: has another end of its central directory in its comment: expected one end",
    ),
    "several parts": (
        page(), ZipEnd(disk=1),
        "W1.bag.zip: begins as a zip, but is one of several parts of a zip: it was cut off or damaged: "
        "expected a zip in one file",
    ),
    "several parts by ZIP64": (
        page(), ZipEnd(zip64=True, disks64=2),
        "W1.bag.zip: begins as a zip, but is one of several parts of a zip",
    ),
    "entry in another part": (
        page(disk=1), ZipEnd(), f"{PAGE}: is in another part of the zip: expected a record that makes sense",
    ),
    "ends that contradict each other": (
        page(), ZipEnd(zip64=True, entries64=3),
        "W1.bag.zip: has two ends that contradict each other: expected the same in its end and its ZIP64 end",
    ),
    "ZIP64 end elsewhere than its locator says": (
        page(), ZipEnd(zip64=True, entries=0xFFFF, size=ZIP64, offset=ZIP64, place64=100),
        "W1.bag.zip: has a locator that points elsewhere than to its ZIP64 end: expected its place",
    ),
    "no ZIP64 end": (page(), ZipEnd(offset=ZIP64), "W1.bag.zip: begins as a zip, but needs a ZIP64 end, and has none"),
    "directory larger than the zip": (
        page(), ZipEnd(size=10**9),
        "W1.bag.zip: begins as a zip, but says its central directory has 1000000000 bytes, more than the file",
    ),
    "directory elsewhere": (
        page(), ZipEnd(size=100), "W1.bag.zip: begins as a zip, but has a central directory that is damaged",
    ),
    "more entries than the end counts": (
        page(), ZipEnd(entries=6), "W1.bag.zip: has 7 entries: expected the 6 that its end counts",
    ),
    "no ZIP64 field": (
        page(size=ZIP64), ZipEnd(), f"{PAGE}: has sizes in a ZIP64 field that it doesn't have",
    ),
    "two ZIP64 fields": (
        page(size=ZIP64, extra=sizes64(10) + sizes64(11)), ZipEnd(),
        f"{PAGE}: has sizes in a ZIP64 field that it doesn't have",
    ),
    "short ZIP64 field": (
        page(size=ZIP64, compressed=ZIP64, extra=sizes64(10)), ZipEnd(),
        f"{PAGE}: has sizes in a ZIP64 field that it doesn't have",
    ),
    **{
        f"{name} of {value} bytes": (
            page(
                size=ZIP64, compressed=ZIP64, offset=ZIP64, local_sizes=SIZES,
                extra=sizes64(*(value if kind == name else 10 for kind in ("size", "compressed size", "place"))),
            ),
            ZipEnd(), f"{PAGE}: has a size or a place that no file can have: expected a record that makes sense",
        )
        for name in ("size", "compressed size", "place") for value in (2**60 + 1, 2**63 - 1, 2**64 - 1)
    },
    "directory at a place that no file can have": (
        page(), ZipEnd(zip64=True, offset=ZIP64, offset64=2**64 - 1),
        f"W1.bag.zip: begins as a zip, but says its central directory begins at byte {2**64 - 1}: it was cut off",
    ),
    "extra field that is too long": (
        page(extra=struct.pack("<2H", 7, 9)), ZipEnd(), f"{PAGE}: has an extra field that reaches beyond the others",
    ),
    "bytes behind the extra fields": (
        page(extra=b"\0\0\1"), ZipEnd(), f"{PAGE}: has bytes behind its extra fields",
    ),
    "another Unicode path": (
        page(extra=unicode_path("W1.bag/data/../../evil")), ZipEnd(),
        f"{PAGE}: is a name that its Unicode path field has otherwise, as W1.bag/data/../../evil: expected one",
    ),
    "another Unicode path in the local header": (
        page(local_extra=unicode_path("evil")), ZipEnd(),
        f"{PAGE}: has another name in a field of its local header: expected the same",
    ),
    "other ZIP64 sizes in the local header": (
        page(local_sizes=(CRC, ZIP64, ZIP64), local_extra=sizes64(10, 11)), ZipEnd(), OTHER_SIZES,
    ),
    "ZIP64 field that is too long in the local header": (
        page(local_sizes=(CRC, ZIP64, ZIP64), local_extra=struct.pack("<2H2Q", 1, 0xFF10, 10, 10)), ZipEnd(),
        f"{PAGE}: has an extra field that reaches beyond its local header: expected one inside it",
    ),
    "extra field that is too long in the local header": (
        page(local_extra=struct.pack("<2H", 7, 9)), ZipEnd(),
        f"{PAGE}: has an extra field that reaches beyond its local header: expected one inside it",
    ),
    "bytes behind the extra fields of the local header": (
        page(local_extra=b"\0\0\1"), ZipEnd(), f"{PAGE}: has bytes behind the extra fields of its local header",
    ),
    "two ZIP64 fields in the local header": (
        page(local_sizes=(CRC, ZIP64, ZIP64), local_extra=sizes64(10, 10) + sizes64(10, 11)), ZipEnd(), OTHER_SIZES,
    ),
    "no ZIP64 sizes in the local header": (page(local_sizes=(CRC, ZIP64, ZIP64)), ZipEnd(), OTHER_SIZES),
    "other size in the local header": (page(local_sizes=(CRC, 10, 11)), ZipEnd(), OTHER_SIZES),
    "other CRC-32 in the local header": (page(local_sizes=(CRC + 1, 10, 10)), ZipEnd(), OTHER_SIZES),
    "no sizes in the local header": (page(local_sizes=(0, 0, 0)), ZipEnd(), OTHER_SIZES),
    "no data descriptor": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0)), ZipEnd(),
        f"{PAGE}: is followed by 0 bytes: expected its data descriptor",
    ),
    "other CRC-32 in the data descriptor": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0), behind=struct.pack("<4s3L", b"PK\7\x08", CRC + 1, 10, 10)), ZipEnd(),
        OTHER_DESCRIPTOR,
    ),
    "other size in the data descriptor": (
        page(flags=FOLLOW, local_sizes=(0, 0, 0), behind=struct.pack("<3L", CRC, 10, 11)), ZipEnd(), OTHER_DESCRIPTOR,
    ),
    "bytes between entries": (
        page(behind=b"hidden"), ZipEnd(),
        f"{PAGE}: is followed by 6 bytes that belong to nothing: expected the next entry",
    ),
    "deflate beyond what it can": (
        page(method=8, size=10**6), ZipEnd(), f"{PAGE}: is said to have 1000000 bytes in 12 deflated ones",
    ),
    "difference from another file": (page(flags=0x20), ZipEnd(), f"{PAGE}: is the difference from another file"),
    "strong encryption": (page(flags=0x41), ZipEnd(), f"{PAGE}: is encrypted: expected a zip without a password"),
    "Deflate64": (page(method=9), ZipEnd(), f"{PAGE}: is compressed by the method Deflate64: expected stored or"),
    "folder by its attributes": (
        page(mode=0, attributes=0x10), ZipEnd(), f"{PAGE}: is a folder by its attributes: expected files and folders",
    ),
    "volume label": (page(mode=0, attributes=0x8), ZipEnd(), f"{PAGE}: is a volume label: expected files and folders"),
    "reparse point": (page(mode=0, attributes=0x400), ZipEnd(), f"{PAGE}: is a reparse point: expected files"),
    "folder that is a link": (
        also(replace(FOLDER, mode=0o120777)), ZipEnd(), "W1.bag/data/W1/archive/: is a symbolic link: expected files",
    ),
    "folder with another local header": (
        also(replace(FOLDER, local_name=b"W1.bag/data/W1/evil.jpg")), ZipEnd(),
        "W1.bag/data/W1/archive/: has another name in its local header than in the central directory: expected",
    ),
    "folder with a checksum": (
        also(replace(FOLDER, crc=1)), ZipEnd(), "W1.bag/data/W1/archive/: has a checksum of 00000001, as a file has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_can_be_read_in_two_ways_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    change, end, expected = REFUSED[name]
    path = write_zip(tmp_path / "W1.bag.zip", change(BagBuilder().entries()), end=end)
    found = [str(defect) for report in bags.verify(path, workers=1) for defect in report.defects]
    assert any(defect.startswith(expected) for defect in found), found
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(path, tmp_path / "to", workers=1)
    assert any(str(defect).startswith(expected) for defect in caught.value.defects)
    assert list(tmp_path.iterdir()) == [path]


def test_a_zip_without_entries_holds_no_bag(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.bag.zip", [])
    (report,) = bags.verify(path, workers=1)
    assert [str(defect) for defect in report.defects] == [
        "W1.bag.zip: holds 0 files and no bag: expected a folder with bagit.txt"
    ]


@pytest.mark.parametrize("name", ["data/", "data/empty/"])
def test_an_entry_of_a_folder_in_the_payload_stands_for_the_payload(name: str, tmp_path: Path) -> None:
    folder = ZipEntry(f"W1.bag/{name}".encode(), mode=0o40755)
    path = write_zip(tmp_path / "W1.bag.zip", [*BagBuilder(payload={}).entries(), folder])
    (report,) = bags.verify(path, workers=1)
    assert report.defects == ()


def test_entries_may_stand_in_another_order_than_in_the_directory(tmp_path: Path) -> None:
    entries = BagBuilder().entries()
    data = bytearray(write_zip(tmp_path / "W1.bag.zip", entries).read_bytes())
    start = data.index(b"PK\1\2")
    stop = data.index(b"PK\5\6")
    records = [b"PK\1\2" + record for record in bytes(data[start:stop]).split(b"PK\1\2")[1:]]
    data[start:stop] = b"".join(reversed(records))
    (tmp_path / "W1.bag.zip").write_bytes(data)
    (report,) = bags.verify(tmp_path / "W1.bag.zip", workers=2)
    assert (report.defects, report.files) == ((), 3)


def test_more_entries_than_a_plain_end_can_count_are_read(tmp_path: Path) -> None:
    bag = BagBuilder(payload={f"W1/images/{number}": b"" for number in range(66_000)})
    path = bag.zip(tmp_path)
    (report,) = bags.verify(path, workers=2)
    assert (report.defects, report.files) == ((), 66_000)
