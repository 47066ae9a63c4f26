"""Verifying bags: each defect is found, in directories and in zips alike, and named in words."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bag_builder import DECLARATION, BagBuilder, manifest

from glacier_sync import bags

PAGE = "data/W1/images/I1/0001.jpg"
ANSWERS = "data/W1/images/I1/0002.jpg"
SHA = "manifest-sha512.txt"

Write = Callable[[BagBuilder, Path], Path]


def old(version: str) -> bytes:
    return f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()


def defects_of(path: Path) -> list[str]:
    (report,) = bags.verify(path, workers=2)
    return [str(defect).removeprefix("W1.bag/") for defect in report.defects]


def second(folder: Path) -> Path:
    (folder / "2").mkdir()
    return folder / "2"


def sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


def test_a_good_bag_is_reported_with_what_it_holds(write: Write, tmp_path: Path) -> None:
    path = write(BagBuilder(algorithms=("md5", "sha512")), tmp_path)
    assert bags.verify(path, workers=2) == (bags.BagReport("W1", path, ("W1",), 3, 11_010, ("md5", "sha512"), ()),)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"])
def test_every_algorithm_is_computed(algorithm: str, tmp_path: Path) -> None:
    good = BagBuilder(algorithms=(algorithm,))
    assert defects_of(good.zip(tmp_path)) == []
    good.overrides[PAGE] = b"first pagE"
    (defect,) = bags.verify(good.zip(tmp_path), workers=1)[0].defects
    assert isinstance(defect, bags.ChecksumMismatch)
    assert (defect.algorithm, defect.found) == (algorithm, hashlib.new(algorithm, b"first pagE").hexdigest())


def test_sha3_has_no_underscore_in_a_manifests_name(tmp_path: Path) -> None:
    bag = BagBuilder(algorithms=(), tag_algorithms=())
    listing = manifest("sha3_256", {name: data for name, data in bag.files().items() if name.startswith("data/")})
    bag.tags["manifest-sha3256.txt"] = listing
    assert defects_of(bag.zip(tmp_path)) == []


@pytest.mark.parametrize("version", ["0.93", "0.94", "0.95", "0.96", "0.97", "1.0"])
def test_every_version_is_read(version: str, write: Write, tmp_path: Path) -> None:
    assert defects_of(write(BagBuilder(declaration=old(version)), tmp_path)) == []


def test_a_bag_without_payload_files_is_valid_and_holds_no_work(tmp_path: Path) -> None:
    (report,) = bags.verify(BagBuilder(payload={}).folder(tmp_path), workers=1)
    assert (report.works, report.files, report.defects) == ((), 0, ())


DECLARATIONS = {
    "byte-order mark": (b"\xef\xbb\xbf" + DECLARATION, ["bagit.txt: begins with a byte-order mark: expected none"]),
    "three lines": (DECLARATION + b"\n", ["bagit.txt: has 3 lines: expected exactly 2"]),
    "one line": (
        b"BagIt-Version: 1.0\n",
        [
            "bagit.txt: has 1 lines: expected exactly 2",
            "bagit.txt: has the line '': expected 'Tag-File-Character-Encoding: ENCODING'",
        ],
    ),
    "space before the colon": (
        DECLARATION.replace(b"Version:", b"Version :"),
        ["bagit.txt: has the line 'BagIt-Version : 1.0': expected 'BagIt-Version: M.N'"],
    ),
    "unknown version": (
        old("2.0"),
        ["bagit.txt: declares BagIt version 2.0: expected one of 0.93, 0.94, 0.95, 0.96, 0.97, 1.0"],
    ),
    "unknown encoding": (
        DECLARATION.replace(b"UTF-8", b"hex"),
        ["bagit.txt: declares the encoding 'hex', which isn't supported: expected UTF-8"],
    ),
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_wrong_declaration_is_a_defect(name: str, write: Write, tmp_path: Path) -> None:
    data, expected = DECLARATIONS[name]
    assert defects_of(write(BagBuilder(declaration=data), tmp_path)) == expected


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_lines_may_end_otherwise(ends: bytes, tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=())
    bag.overrides = {name: bag.files()[name].replace(b"\n", ends) for name in ("bagit.txt", "bag-info.txt", SHA)}
    assert defects_of(bag.folder(tmp_path)) == []


def test_a_byte_order_mark_is_wrong_in_a_utf8_manifest_and_right_in_utf16(tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=())
    text = bag.files()[SHA]
    bag.overrides = {SHA: b"\xef\xbb\xbf" + text}
    assert defects_of(bag.folder(tmp_path / "8")) == [f"{SHA}: begins with a byte-order mark: expected none in UTF-8"]
    bag.declaration = DECLARATION.replace(b"UTF-8", b"UTF-16")
    bag.overrides = {name: bag.files()[name].decode().encode("utf-16") for name in ("bag-info.txt",)}
    bag.overrides[SHA] = text.decode().encode("utf-16")
    assert defects_of(bag.folder(tmp_path / "16")) == []


def test_a_manifest_in_another_encoding_than_declared_is_a_defect_of_its_own(tmp_path: Path) -> None:
    bag = BagBuilder(declaration=DECLARATION.replace(b"UTF-8", b"ASCII"), tag_algorithms=())
    bag.payload["W1/images/ཀ.jpg"] = b"x"
    (defect,) = defects_of(bag.folder(tmp_path))
    assert defect.startswith(f"{SHA}: isn't in the declared encoding ASCII ('ascii' codec can't decode")


def test_a_changed_file_is_named_with_both_checksums(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(overrides={PAGE: b"first pagE"})
    (defect,) = defects_of(write(bag, tmp_path))
    assert defect.removesuffix("; its CRC-32 in the zip agrees, so it was changed before it was zipped") == (
        f"{PAGE}: sha512 is {sha512(b'first pagE')}, but {SHA} says {sha512(b'first page')}"
    )


def test_checksums_may_be_in_capitals(tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=())
    bag.overrides[SHA] = b"".join(
        line[:128].upper() + line[128:] for line in bag.files()[SHA].splitlines(keepends=True)
    )
    assert defects_of(bag.folder(tmp_path)) == []


def test_every_manifest_is_verified(tmp_path: Path) -> None:
    bag = BagBuilder(algorithms=("md5", "sha512"), tag_algorithms=())
    wrong = hashlib.md5(b"first page").hexdigest().encode()
    bag.overrides["manifest-md5.txt"] = bag.files()["manifest-md5.txt"].replace(wrong, b"0" * 32)
    (defect,) = defects_of(bag.folder(tmp_path))
    assert defect == f"{PAGE}: md5 is {wrong.decode()}, but manifest-md5.txt says {'0' * 32}"


def test_all_defects_are_found_at_once(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(
        declaration=b"",
        info="no colon\nPayload-Oxum: 1.1\n",
        overrides={PAGE: None, ANSWERS: b"x", "data/W1/images/new.jpg": b"new"},
    )
    found = defects_of(write(bag, tmp_path))
    assert [text.partition(":")[0] for text in found] == [
        *["bagit.txt"] * 3, "bag-info.txt", "bag-info.txt", PAGE, "data/W1/images/new.jpg", ANSWERS,
    ]  # fmt: skip


def test_the_oxum_counts_bytes_and_files(write: Write, tmp_path: Path) -> None:
    found = defects_of(write(BagBuilder(info="payload-oxum: 11010.4\n"), tmp_path))
    assert found == ["bag-info.txt: Payload-Oxum is 11010.4, but the payload has 11010.3 (bytes.files)"]


def test_the_oxum_of_the_oldest_bags_is_in_package_info(tmp_path: Path) -> None:
    bag = BagBuilder(declaration=old("0.95"), tags={"package-info.txt": b"Payload-Oxum: 1.1"})
    assert defects_of(bag.folder(tmp_path)) == [
        "package-info.txt: Payload-Oxum is 1.1, but the payload has 11010.3 (bytes.files)"
    ]


INFOS = {
    "Payload-Oxum: 11010.3\nPayload-Oxum: 11010.3\n": "bag-info.txt: has 2 Payload-Oxum: expected one at most",
    "Payload-Oxum: many\n": "bag-info.txt: line 1 has the Payload-Oxum 'many': expected bytes.files, two numbers",
    "A: b\n c\nPayload-Oxum\n": "bag-info.txt: line 3 is 'Payload-Oxum': expected a label, a colon and a value",
}


@pytest.mark.parametrize("info", INFOS)
def test_wrong_metadata_is_a_defect(info: str, tmp_path: Path) -> None:
    assert defects_of(BagBuilder(info=info).folder(tmp_path)) == [INFOS[info]]


def test_metadata_may_be_continued_and_have_colons(tmp_path: Path) -> None:
    info = "External-Description: a: b\n  c\n\td\n\nPayload-Oxum:\t 11010.3\n"
    assert defects_of(BagBuilder(info=info).folder(tmp_path)) == []


@pytest.mark.parametrize(("info", "expected"), [
    ("Payload-Oxum : 11010.3\n", "line 1 has the label 'Payload-Oxum ': expected one without blanks around it"),
    ("Payload-Oxum:11010.3\n", "line 1 is 'Payload-Oxum:11010.3': expected a blank after the colon"),
])  # fmt: skip
def test_blanks_around_the_colon_are_free_before_version_1(
    info: str, expected: str, write: Write, tmp_path: Path
) -> None:
    assert defects_of(write(BagBuilder(info=info, declaration=old("0.97")), tmp_path)) == []
    assert defects_of(write(BagBuilder(info=info), second(tmp_path))) == [f"bag-info.txt: {expected}"]


def test_missing_and_unlisted_files_are_defects(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(info="", overrides={PAGE: None, "data/W1/images/new.jpg": b"new"})
    assert defects_of(write(bag, tmp_path)) == [
        f"{PAGE}: is listed in {SHA}, but isn't in the bag",
        f"data/W1/images/new.jpg: isn't listed in {SHA}",
    ]


@pytest.mark.parametrize(("version", "valid"), [("1.0", False), ("0.97", True)])
def test_from_version_1_every_manifest_lists_every_file(version: str, valid: bool, tmp_path: Path) -> None:
    bag = BagBuilder(declaration=old(version), algorithms=("md5", "sha512"), tag_algorithms=())
    lines = bag.files()["manifest-md5.txt"].splitlines(keepends=True)
    bag.overrides["manifest-md5.txt"] = b"".join(lines[1:])
    assert defects_of(bag.folder(tmp_path)) == ([] if valid else [f"{PAGE}: isn't listed in manifest-md5.txt"])


def test_before_version_1_some_manifest_lists_every_file(tmp_path: Path) -> None:
    bag = BagBuilder(declaration=old("0.97"), info="", overrides={"data/W1/images/new.jpg": b"new"})
    assert defects_of(bag.folder(tmp_path)) == ["data/W1/images/new.jpg: isn't listed in any payload manifest"]


def test_required_elements_are_required(tmp_path: Path) -> None:
    no_manifest = BagBuilder(algorithms=(), tag_algorithms=())
    assert defects_of(no_manifest.zip(tmp_path)) == [f"{SHA}: isn't in the bag: expected a payload manifest"]
    assert defects_of(BagBuilder(payload={}).zip(tmp_path)) == ["data/: isn't in the bag: expected its payload"]
    undeclared = BagBuilder(overrides={"bagit.txt": None}, tag_algorithms=())
    assert defects_of(undeclared.zip(tmp_path)) == ["bagit.txt: isn't in the bag: expected its declaration"]
    assert defects_of(undeclared.folder(tmp_path)) == ["bagit.txt: isn't in the bag: expected its declaration"]


def test_an_unknown_algorithm_names_those_that_are_known(tmp_path: Path) -> None:
    bag = BagBuilder(tags={"manifest-CRC-32.txt": b""}, info="", payload={})
    (defect,) = bags.verify(bag.folder(tmp_path), workers=1)[0].defects
    assert isinstance(defect, bags.UnsupportedAlgorithm)
    assert str(defect).startswith("manifest-CRC-32.txt: crc32 is no supported checksum algorithm: expected blake2b, ")
    assert {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} <= set(defect.expected.split(", "))


LINES = {
    "nonsense": "is 'nonsense': expected a checksum and a name",
    "abcd  data/x": "has a checksum of 4 hexadecimal digits: expected the 128 of sha512",
    f"{'0' * 128}  ../x": "lists '../x', which climbs out with '..': expected a file of the bag",
    f"{'0' * 128}  data/../../x": "lists 'data/../../x', which climbs out with '..': expected a file of the bag",
    f"{'0' * 128}  /etc/passwd": "lists '/etc/passwd', which is absolute: expected a file of the bag",
    f"{'0' * 128}  C:\\x": "lists 'C:\\x', which is absolute: expected a file of the bag",
    f"{'0' * 128}  ~/x": "lists '~/x', which isn't in data/: expected payload files",
    f"{'0' * 128}  bagit.txt": "lists 'bagit.txt', which isn't in data/: expected payload files",
    f"{'0' * 128}  data/x/": "lists 'data/x/', which has an empty component or '.': expected a file of the bag",
}


@pytest.mark.parametrize("line", LINES)
def test_a_manifests_wrong_lines_are_defects(line: str, tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=())
    bag.overrides[SHA] = bag.files()[SHA] + line.encode() + b"\n"
    assert defects_of(bag.folder(tmp_path)) == [f"{SHA}: line 4 {LINES[line]}"]


@pytest.mark.parametrize("end", ["", "\n", "\nContact-Name: x\n"])
@pytest.mark.parametrize(("before", "length"), [(0, 65_536), (0, 65_537), (9000, 65_537)])
def test_a_line_may_have_so_many_characters_wherever_it_stands(
    before: int, length: int, end: str, write: Write, tmp_path: Path
) -> None:
    info = "Payload-Oxum: 11010.3\n" + "External-Description: a page of a book\n" * before
    bag = BagBuilder(info=info + "Bag-Group-Identifier: ".ljust(length, "x") + end)
    expected = f"bag-info.txt: line {before + 2} has over 65536 characters: expected a line of a list"
    assert defects_of(write(bag, tmp_path)) == ([] if length == 65_536 else [expected])


@pytest.mark.parametrize("mark", [b" *", b"\t", b"   ", b"  ./"])
def test_forms_of_other_tools_are_read(mark: bytes, tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=())
    bag.overrides[SHA] = bag.files()[SHA].replace(b"  ", mark) + b"\n"
    assert defects_of(bag.folder(tmp_path)) == []


@pytest.mark.parametrize(("version", "checksum", "valid"), [
    ("1.0", b"same", False), ("1.0", b"other", False), ("0.97", b"same", True), ("0.97", b"other", False),
])  # fmt: skip
def test_a_file_is_listed_once(version: str, checksum: bytes, valid: bool, tmp_path: Path) -> None:
    bag = BagBuilder(declaration=old(version), tag_algorithms=())
    first = bag.files()[SHA].splitlines(keepends=True)[0]
    bag.overrides[SHA] = bag.files()[SHA] + (first if checksum == b"same" else b"0" * 128 + first[128:])
    expected = [f"{SHA}: line 4 lists {PAGE} again: expected each file once"]
    assert defects_of(bag.folder(tmp_path)) == ([] if valid else expected)


def test_names_with_line_breaks_and_percent_signs_are_encoded(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(payload={"W1/images/a\nb\rc%d%0Ae.jpg": b"x"})
    assert b"a%0Ab%0Dc%25d%250Ae.jpg" in bag.files()[SHA]
    assert defects_of(write(bag, tmp_path)) == []


@pytest.mark.parametrize("version", ["0.97", "1.0"])
def test_names_with_percent_signs_that_nobody_encoded_are_found(version: str, tmp_path: Path) -> None:
    bag = BagBuilder(payload={"W1/images/100%.jpg": b"x", "W1/images/a%25.jpg": b"y"}, declaration=old(version))
    bag.tag_algorithms = ()
    bag.overrides[SHA] = bag.files()[SHA].replace(b"%25", b"%")
    assert defects_of(bag.folder(tmp_path)) == []


def test_a_name_that_isnt_utf8_is_kept_and_shown(write: Write, tmp_path: Path) -> None:
    name = os.fsdecode(b"W1/images/caf\xe9.jpg")
    bag = BagBuilder(payload={name: b"x"})
    assert defects_of(write(bag, tmp_path)) == []
    bag.overrides[f"data/{name}"] = b"y"
    (defect,) = defects_of(write(bag, second(tmp_path)))
    assert defect.startswith("data/W1/images/caf\\xe9.jpg: sha512 is ")


def test_a_name_in_another_unicode_form_is_matched(write: Write, tmp_path: Path) -> None:
    composed = "W1/images/caf\u00e9.jpg"
    decomposed = unicodedata.normalize("NFD", composed)
    bag = BagBuilder(payload={composed: b"x"})
    bag.overrides = {f"data/{composed}": None, f"data/{decomposed}": b"x"}
    assert defects_of(write(bag, tmp_path)) == []
    bag.overrides[f"data/{decomposed}"] = b"y"
    assert "sha512 is" in defects_of(write(bag, second(tmp_path)))[0]


def test_an_exact_name_goes_before_another_unicode_form(tmp_path: Path) -> None:
    payload = {f"W1/images/{form}.jpg": form.encode() for form in ("caf\u00e9", "cafe\u0301")}
    bag = BagBuilder(payload=payload)
    assert defects_of(bag.folder(tmp_path)) == []
    bag.overrides = {"data/W1/images/caf\u00e9.jpg": None}
    bag.info = ""
    assert defects_of(bag.folder(tmp_path / "2")) == [
        f"data/W1/images/caf\u00e9.jpg: is listed in {SHA}, but isn't in the bag"
    ]


def test_tag_files_are_verified_against_every_tag_manifest(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(tags={"meta/notes.txt": b"notes"}, overrides={"meta/notes.txt": b"other"})
    (defect,) = defects_of(write(bag, tmp_path))
    assert defect.startswith("meta/notes.txt: sha512 is ")
    assert "but tagmanifest-sha512.txt says" in defect


def test_a_tag_manifest_keeps_to_its_rules(tmp_path: Path) -> None:
    bag = BagBuilder(algorithms=("md5", "sha512"), tag_algorithms=())
    zero = b"0" * 32
    bag.overrides["tagmanifest-md5.txt"] = b"%s  data/x\n%s  tagmanifest-md5.txt\n%s  absent.txt\n" % ((zero,) * 3)
    assert defects_of(bag.folder(tmp_path)) == [
        "tagmanifest-md5.txt: line 1 lists 'data/x', a payload file: expected tag files",
        "tagmanifest-md5.txt: line 2 lists 'tagmanifest-md5.txt', a tag manifest: expected other tag files",
        "absent.txt: is listed in tagmanifest-md5.txt, but isn't in the bag",
        "manifest-md5.txt: isn't listed in tagmanifest-md5.txt",
        "manifest-sha512.txt: isn't listed in tagmanifest-md5.txt",
    ]


def test_a_file_left_to_be_fetched_is_a_defect_that_says_so(write: Write, tmp_path: Path) -> None:
    fetch = f"https://example.org/1 10 {PAGE}\nhttps://example.org/2 - {ANSWERS}\n"
    bag = BagBuilder(info="", tags={"fetch.txt": fetch.encode()}, overrides={PAGE: None})
    assert defects_of(write(bag, tmp_path)) == [
        f"{PAGE}: isn't in the bag: fetch.txt leaves it to be fetched from https://example.org/1, "
        "which is never done here; have the bag completed"
    ]


def test_a_wrong_line_in_fetch_is_a_defect(tmp_path: Path) -> None:
    bag = BagBuilder(tags={"fetch.txt": b"https://example.org/1\nhttps://example.org/2 - ../x\n"})
    assert defects_of(bag.folder(tmp_path)) == [
        "fetch.txt: line 1 is 'https://example.org/1': expected URL, length and name",
        "fetch.txt: line 2 lists '../x', which climbs out with '..': expected a file of the bag",
    ]
