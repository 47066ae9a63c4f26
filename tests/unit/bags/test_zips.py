"""Zips that aren't what they seem: each is refused by name, and none writes outside its folder."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, write_zip

from glacier_sync import bags

PAGE = "W1.bag/data/W1/images/I1/0001.jpg"

Forge = Callable[[list[ZipEntry]], list[ZipEntry]]


def with_page(**changes: object) -> Forge:
    """Forge the first page's entry."""
    return lambda entries: [
        replace(entry, **changes) if os.fsdecode(entry.name) == PAGE else entry for entry in entries
    ]


def with_also(name: bytes, **changes: object) -> Forge:
    """Add an entry."""
    return lambda entries: [*entries, replace(ZipEntry(name, b"x"), **changes)]


class OnlyWritten(io.RawIOBase):
    """A file that can't be gone back in, as a pipe."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


CUT = b"\x4b\xcc\x2c\x2a\x2e\x51\x28\x48"
FORGERIES: dict[str, tuple[Forge, str]] = {
    "other local name": (
        with_page(local_name=PAGE.replace("1.jpg", "2.jpg").encode()),
        f"{PAGE}: has another name in its local header than in the central directory",
    ),
    "other local method": (
        with_page(local_method=8),
        f"{PAGE}: is compressed or encrypted otherwise by its local header than by the central directory",
    ),
    "encrypted": (with_page(flags=1), f"{PAGE}: is encrypted: expected a zip without a password"),
    "bzip2": (with_page(method=12), f"{PAGE}: is compressed by the method bzip2: expected stored or deflated"),
    "unknown method": (with_page(method=77), f"{PAGE}: is compressed by the method 77: expected stored or deflated"),
    "no local header": (with_page(offset=7), f"{PAGE}: shares bytes with another entry: expected each for itself"),
    "wrong stored size": (with_page(size=11), f"{PAGE}: is stored with 10 bytes: expected the 11 it is said to have"),
    "cut deflate": (
        with_page(method=8, raw=CUT),
        f"{PAGE}: ends early, after 7 inflated bytes: expected a whole deflate stream",
    ),
    "empty deflate": (
        with_page(method=8, raw=b"", data=b""),
        f"{PAGE}: ends early, after 0 inflated bytes: expected a whole deflate stream",
    ),
    "short deflate": (
        with_page(method=8, raw=b"\x03\x00", data=b"", size=10),
        f"{PAGE}: inflates to 0 bytes: expected the 10 it declares",
    ),
    "no deflate": (with_page(method=8, raw=b"\xff\xff"), f"{PAGE}: can't be inflated (Error -1 Invalid deflate block"),
    "bomb": (
        with_page(method=8, data=b"\0" * 5_000_000, size=10),
        f"{PAGE}: inflates to more: expected the 10 bytes it declares",
    ),
    "bytes behind deflate": (
        with_page(method=8, raw=b"\x03\x00rest", size=0),
        f"{PAGE}: has bytes behind its compressed ones: expected none",
    ),
    "link": (
        with_page(mode=stat.S_IFLNK | 0o777),
        f"{PAGE}: is a symbolic link: expected files and folders only",
    ),
    "device": (
        with_page(mode=stat.S_IFCHR),
        f"{PAGE}: is a special file (mode 20000): expected files",
    ),
    "folder as file": (with_page(mode=stat.S_IFDIR), f"{PAGE}: is a special file (mode 40000): expected files"),
    "twice": (with_also(PAGE.encode()), f"{PAGE}: is in the zip twice: expected each name once"),
    "file and folder": (with_also(f"{PAGE}/x".encode()), f"{PAGE}: is a file and a folder: expected one of them"),
    "full folder": (
        with_also(b"W1.bag/data/W1/images/"),
        "W1.bag/data/W1/images/: is a folder with 1 bytes: expected none",
    ),
    "climbing": (
        with_also(b"W1.bag/../../evil"),
        "W1.bag/../../evil: is a name that climbs out with '..': expected one inside a bag",
    ),
    "climbing by backslash": (
        with_also(b"W1.bag/data/..\\..\\evil"),
        "W1.bag/data/..\\..\\evil: is a name that climbs out with '..': expected one inside a bag",
    ),
    "absolute": (with_also(b"/tmp/evil"), "/tmp/evil: is a name that is absolute: expected one inside a bag"),
    "drive": (with_also(b"C:\\evil"), "C:\\evil: is a name that is absolute: expected one inside a bag"),
    "NUL": (with_also(b"W1.bag/data/x\0y"), "W1.bag/data/x\\x00y: is a name that has a NUL byte: expected one"),
    "dot": (with_also(b"W1.bag/./x"), "W1.bag/./x: is a name that has an empty component or '.': expected one"),
    "empty component": (with_also(b"W1.bag//x"), "W1.bag//x: is a name that has an empty component or '.': expected"),
    "no name": (with_also(b""), ": is a name that is empty: expected one inside a bag"),
    "long": (
        with_also(b"W1.bag/" + b"x" * 256),
        f"W1.bag/{'x' * 256}: is a name that has a component of over 255 bytes",
    ),
    "long path": (
        with_also(b"W1.bag/" + b"x/" * 2044 + b"x"),
        f"W1.bag/{'x/' * 2044}x: is a name that has over 4095 bytes: expected one inside a bag",
    ),
    "outside": (with_also(b"readme.txt"), "readme.txt: belongs to no bag of this zip: expected bags only"),
    "outside in a folder": (
        with_also(b"__MACOSX/x"),
        "__MACOSX/x: belongs to no bag of this zip: expected bags only",
    ),
}


def defects_of(path: Path) -> list[str]:
    return [str(defect) for report in bags.verify(path, workers=2) for defect in report.defects]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_entry_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    forge, expected = FORGERIES[name]
    path = write_zip(tmp_path / "W1.bag.zip", forge(BagBuilder().entries()))
    assert any(defect.startswith(expected) for defect in defects_of(path)), defects_of(path)
    (tmp_path / "to").mkdir()
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(path, tmp_path / "to", workers=2)
    assert any(str(defect).startswith(expected) for defect in caught.value.defects)
    assert sorted(tmp_path.rglob("*")) == [path, tmp_path / "to"]


def test_a_wrong_crc_counts_where_no_manifest_vouches(tmp_path: Path) -> None:
    entries = BagBuilder(tags={"notes.txt": b"notes"}, tag_algorithms=()).entries()
    entries = [replace(entry, crc=0x1234) if b"notes" in entry.name else entry for entry in entries]
    (defect,) = defects_of(write_zip(tmp_path / "W1.bag.zip", entries))
    assert defect == "W1.bag/notes.txt: has the CRC-32 011ba68c: expected 00001234, as the zip says"


def test_a_changed_file_tells_whether_the_zip_was_damaged(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"first page", b"first pagE"))
    assert defects_of(path)[0].endswith("; its CRC-32 in the zip differs too, so the zip was damaged")
    forged = BagBuilder(overrides={"data/W1/images/I1/0001.jpg": b"first pagE"}).zip(tmp_path)
    assert defects_of(forged)[0].endswith("; its CRC-32 in the zip agrees, so it was changed before it was zipped")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99, 0.9999])
def test_a_cut_off_zip_is_said_to_be_cut_off(keep: float, tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    (defect,) = defects_of(path)
    assert defect.startswith(
        "W1.bag.zip: begins as a zip, but has no end of its central directory: it was cut off or damaged"
    )


def test_bytes_around_a_zip_are_refused(tmp_path: Path) -> None:
    entries = BagBuilder().entries()
    path = write_zip(tmp_path / "W1.bag.zip", entries, behind=b"more")
    assert defects_of(path) == ["W1.bag.zip: has bytes behind its end: expected nothing there"]
    path = write_zip(tmp_path / "W1.bag.zip", entries, before=b"less")
    assert defects_of(path) == ["W1.bag.zip: has 4 bytes before its first entry: expected none"]
    path.write_bytes(BagBuilder(name="W1").zip(tmp_path).read_bytes() * 2)
    assert "bytes before its first entry" in defects_of(path)[0]


def test_a_zip_that_lost_its_beginning_is_refused(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    path.write_bytes(path.read_bytes()[20:])
    found = defects_of(path)
    assert f"{PAGE}: begins before the zip: bytes are missing, or its end is damaged: expected a whole zip" in found
    assert "W1.bag.zip: lacks 20 bytes before its first entry: expected a whole zip" in found


def test_places_that_are_all_wrong_by_as_much_are_refused(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"PK\1\2|PK\5\6", bytes(data)):
        at = found.start() + (42 if found.group() == b"PK\1\2" else 16)
        struct.pack_into("<L", data, at, struct.unpack_from("<L", data, at)[0] + 100)
    path.write_bytes(data)
    assert defects_of(path) == ["W1.bag.zip: lacks 100 bytes before its first entry: expected a whole zip"]


def test_entries_that_the_end_doesnt_count_are_refused(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    data = bytearray(path.read_bytes())
    data[-12:-10] = struct.pack("<H", 3)
    path.write_bytes(data)
    assert defects_of(path) == ["W1.bag.zip: has 7 entries: expected the 3 that its end counts"]


def test_a_comment_is_allowed(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"made by hand"
    assert defects_of(path) == []
    path.write_bytes(path.read_bytes()[:-3])
    assert defects_of(path) == ["W1.bag.zip: is cut off in its comment: expected a whole zip"]


def test_a_bomb_of_overlapping_entries_is_never_inflated(tmp_path: Path) -> None:
    quoted = b"\x03\x00"
    entries = [ZipEntry(b"W1.bag/data/W1/images/0", bytes(1_000_000), method=8)]
    entries += [
        ZipEntry(f"W1.bag/data/W1/images/{n}".encode(), method=8, raw=quoted, size=2**31, offset=0)
        for n in range(1, 50)
    ]
    totals: set[int] = set()
    path = write_zip(tmp_path / "W1.bag.zip", entries)
    (report,) = bags.verify(path, workers=1, progress=lambda _, total: totals.add(total))
    assert sum("shares bytes with another entry" in str(defect) for defect in report.defects) == 50
    assert totals <= {0}


def test_names_are_taken_byte_for_byte_whatever_their_flag(tmp_path: Path) -> None:
    name = "W1/images/ཀ.jpg"
    bag = BagBuilder(payload={name: b"x", os.fsdecode(b"W1/images/\xff.jpg"): b"y"})
    plain = bag.zip(tmp_path)
    assert defects_of(plain) == []
    flagged = [replace(entry, flags=0x800) if b"\xff" not in entry.name else entry for entry in bag.entries()]
    assert defects_of(write_zip(tmp_path / "W1.bag.zip", flagged)) == []


def test_a_name_that_is_falsely_flagged_as_utf8_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.bag.zip", [ZipEntry(b"W1.bag/\xff", flags=0x800)])
    found = "W1.bag/\\xff: is a name that isn't UTF-8, though it is said to be: expected one inside a bag"
    assert found in defects_of(path)


def test_sizes_beyond_4_gib_are_read_from_zip64_fields(tmp_path: Path) -> None:
    source = BagBuilder().folder(tmp_path)
    path = tmp_path / "W1.bag.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                with archive.open(str(file.relative_to(tmp_path)), "w", force_zip64=True) as out:
                    out.write(file.read_bytes())
    assert defects_of(path) == []


def test_a_zip_that_was_streamed_has_its_sizes_behind_its_entries(tmp_path: Path) -> None:
    source = BagBuilder().folder(tmp_path)
    path = tmp_path / "W1.bag.zip"
    with path.open("wb") as file, zipfile.ZipFile(OnlyWritten(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted(source.rglob("*")):
            archive.write(member, str(member.relative_to(tmp_path)))
    assert any(info.flag_bits & 8 for info in zipfile.ZipFile(path).infolist())
    assert defects_of(path) == []


def test_a_long_extra_field_is_passed_over(tmp_path: Path) -> None:
    extra = struct.pack("<2H", 0x7777, 300) + bytes(300)
    entries = [replace(entry, local_extra=extra) for entry in BagBuilder().entries()]
    assert defects_of(write_zip(tmp_path / "W1.bag.zip", entries)) == []


def test_a_zip_may_hold_several_bags_and_each_is_reported(tmp_path: Path) -> None:
    first = BagBuilder(name="A", payload={"W1/images/1": b"1"})
    second = BagBuilder(name="B", payload={"W2/images/2": b"2", "W3/sources/3": b"3"})
    second.overrides["data/W2/images/2"] = b"?"
    path = write_zip(tmp_path / "AB.zip", [*first.entries(), *second.entries()])
    reports = bags.verify(path, workers=2)
    assert [(report.name, report.works, len(report.defects)) for report in reports] == [
        ("A", ("W1",), 0),
        ("B", ("W2", "W3"), 1),
    ]


def test_a_zip_of_too_many_bags_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W.zip", [ZipEntry(f"W{number}/bagit.txt".encode()) for number in range(20_001)])
    assert defects_of(path) == ["W.zip: holds 20001 bags: expected 20000 at most in one zip"]


def test_a_bag_may_be_at_the_root_or_in_a_folder_of_any_name(tmp_path: Path) -> None:
    files = BagBuilder().files()
    root = write_zip(tmp_path / "W7.bag.zip", [ZipEntry(name.encode(), data) for name, data in files.items()])
    assert [(report.name, report.defects) for report in bags.verify(root, workers=1)] == [("W7", ())]
    folder = write_zip(tmp_path / "x.zip", [ZipEntry(f"any/{name}".encode(), data) for name, data in files.items()])
    assert [(report.name, report.defects) for report in bags.verify(folder, workers=1)] == [("any", ())]


def test_a_bag_inside_the_bag_at_the_root_is_refused(tmp_path: Path) -> None:
    entries = [ZipEntry(name.encode(), data) for name, data in BagBuilder().files().items()]
    path = write_zip(tmp_path / "W1.bag.zip", [*entries, ZipEntry(b"W2.bag/bagit.txt", b"")])
    assert defects_of(path) == [
        "W2.bag/bagit.txt: is a bag inside the bag at the zip's root: expected one or the other"
    ]


def test_a_folder_that_is_named_as_a_bag_is_one_without_a_declaration(tmp_path: Path) -> None:
    path = BagBuilder(overrides={"bagit.txt": None}, tag_algorithms=()).zip(tmp_path)
    assert defects_of(path) == ["W1.bag/bagit.txt: isn't in the bag: expected its declaration"]


def test_a_zip_without_a_bag_says_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.zip", [ZipEntry(b"W1/images/1.jpg", b"x")])
    assert defects_of(path) == ["W1.zip: holds 1 files and no bag: expected a folder with bagit.txt"]
    path = write_zip(tmp_path / "W2.zip", [ZipEntry(b"W1\\bagit.txt", b"x")])
    assert defects_of(path) == [
        "W2.zip: holds 1 files and no bag; its names use backslashes for folders: expected a folder with bagit.txt"
    ]


def test_two_bags_of_one_name_are_refused(tmp_path: Path) -> None:
    one = BagBuilder(name="W1").entries()
    other = [replace(entry, name=entry.name.replace(b"W1.bag/", b"W1/", 1)) for entry in BagBuilder().entries()]
    path = write_zip(tmp_path / "W1.bag.zip", [*one, *other])
    assert defects_of(path) == ["W1.bag/: and W1/ are bags of one name: expected each bag once"]
