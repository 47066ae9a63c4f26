"""RFC 8493 by its sections and versions: each rule with a bag that keeps it and one that breaks it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, manifest, write_zip

from glacier_sync import bags
from glacier_sync.bags.defects import MOST_OF_A_KIND

PAGE = "data/W1/images/I1/0001.jpg"
SHA, MD5 = "manifest-sha512.txt", "manifest-md5.txt"
OLD = ["0.93", "0.94", "0.95", "0.96", "0.97"]

Write = Callable[[BagBuilder, Path], Path]


def declared(version: str, encoding: str = "UTF-8") -> bytes:
    return f"BagIt-Version: {version}\nTag-File-Character-Encoding: {encoding}\n".encode()


def defects_of(path: Path) -> list[str]:
    (report,) = bags.verify(path, workers=1)
    return [str(defect).removeprefix("W1.bag/") for defect in report.defects]


def kinds_of(path: Path) -> set[str]:
    return {type(defect).__name__ for report in bags.verify(path, workers=1) for defect in report.defects}


@pytest.mark.parametrize("version", [*OLD, "1.0"])
def test_2_1_3_completeness_is_by_each_manifest_from_version_1_and_by_all_before(
    version: str, write: Write, tmp_path: Path
) -> None:
    bag = BagBuilder(declaration=declared(version), algorithms=("md5", "sha512"))
    bag.tags = {
        name: b"".join(bag.files()[name].splitlines(keepends=True)[at:][:2]) for name, at in ((MD5, 0), (SHA, 1))
    }
    names = ["data/W1/images/I1/0001.jpg", "data/W1/sources/readme.txt"]
    expected = [f"{names[0]}: isn't listed in {SHA}", f"{names[1]}: isn't listed in {MD5}"]
    assert sorted(defects_of(write(bag, tmp_path))) == (expected if version == "1.0" else [])


@pytest.mark.parametrize("version", OLD)
def test_2_1_3_a_file_in_no_manifest_is_unlisted_in_every_version(version: str, write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(declaration=declared(version), info="A: b\n", overrides={"data/W1/new": b"x"})
    assert defects_of(write(bag, tmp_path)) == ["data/W1/new: isn't listed in any payload manifest"]


@pytest.mark.parametrize("version", [*OLD, "1.0"])
def test_2_1_3_names_are_decoded_from_version_1_on(version: str, write: Write, tmp_path: Path) -> None:
    """Both names are there: which one a line means is the version's to say."""
    bag = BagBuilder(declaration=declared(version), payload={"W1/images/a\n": b"1", "W1/images/a%0A": b"2"})
    found = bag.files()
    if version != "1.0":
        digest = found[SHA].split(b"\n")[1][:128]
        bag.payload = {"W1/images/a%0A": b"2"}
        bag.tags[SHA] = digest + b"  data/W1/images/a%0A\n"
    assert defects_of(write(bag, tmp_path)) == []


def test_2_1_3_payload_manifests_list_payload_and_tag_manifests_dont(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder()
    page = b"0" * 128 + f"  {PAGE}\n".encode()
    bag.tags[SHA] = bag.files()[SHA] + b"0" * 128 + b"  bagit.txt\n"
    bag.overrides["tagmanifest-sha512.txt"] = bag.files()["tagmanifest-sha512.txt"] + page
    assert defects_of(write(bag, tmp_path)) == [
        f"{SHA}: line 4 lists 'bagit.txt', which isn't in data/: expected payload files",
        f"tagmanifest-sha512.txt: line 4 lists '{PAGE}', a payload file: expected tag files",
    ]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384", "sha3512", "blake2b"])
def test_2_2_1_tag_manifests_are_verified_without_a_payload_manifest_of_theirs(
    algorithm: str, write: Write, tmp_path: Path
) -> None:
    name = {"sha3512": "sha3_512"}.get(algorithm, algorithm)
    bag = BagBuilder(tag_algorithms=())
    tags = {known: data for known, data in bag.files().items() if not known.startswith("data/")}
    bag.overrides = {f"tagmanifest-{algorithm}.txt": manifest(name, tags)}
    (tmp_path / "good").mkdir()
    assert defects_of(write(bag, tmp_path / "good")) == []
    bag.overrides["bag-info.txt"] = b"Payload-Oxum: 11010.3\nNew: line\n"
    (defect,) = defects_of(write(bag, tmp_path))
    assert defect.startswith(f"bag-info.txt: {algorithm} is ")


def test_2_2_1_a_tag_manifest_of_version_1_lists_no_tag_manifest(write: Write, tmp_path: Path) -> None:
    line = b"0" * 128 + b"  tagmanifest-md5.txt\n"
    bag = BagBuilder()
    bag.overrides["tagmanifest-sha512.txt"] = bag.files()["tagmanifest-sha512.txt"] + line
    assert defects_of(write(bag, tmp_path)) == [
        "tagmanifest-sha512.txt: line 4 lists 'tagmanifest-md5.txt', a tag manifest: expected other tag files"
    ]


@pytest.mark.parametrize(("version", "valid"), [("0.97", True), ("1.0", False)])
def test_2_2_2_payload_oxum_may_be_repeated_before_version_1(
    version: str, valid: bool, write: Write, tmp_path: Path
) -> None:
    bag = BagBuilder(declaration=declared(version), info="Payload-Oxum: 11010.3\nPayload-Oxum: 11010.3\n")
    expected = [] if valid else ["bag-info.txt: has 2 Payload-Oxum: expected one at most"]
    assert defects_of(write(bag, tmp_path)) == expected


def test_2_2_3_a_bag_with_fetch_is_complete_when_its_files_are_there(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(tags={"fetch.txt": f"https://example.org/1 10 {PAGE}\n".encode()})
    assert defects_of(write(bag, tmp_path)) == []


@pytest.mark.parametrize(("line", "expected"), [
    (f"https://example.org/1 11 {PAGE}", f"line 1 says that {PAGE} has 11 bytes: expected the 10 it has"),
    (f"example 10 {PAGE}", f"line 1 is 'example 10 {PAGE}': expected URL, length and name"),
    ("https://example.org/1 - bagit.txt", "line 1 lists 'bagit.txt', which isn't in data/: expected payload files"),
])  # fmt: skip
def test_2_2_3_lines_of_fetch_make_sense(line: str, expected: str, write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(tags={"fetch.txt": f"{line}\n".encode()})
    assert defects_of(write(bag, tmp_path)) == [f"fetch.txt: {expected}"]


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8", "ISO-8859-1", "UTF-16", "UTF-16LE", "UTF-32", "Shift_JIS"])
def test_2_3_tag_files_are_in_the_declared_encoding(encoding: str, write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(declaration=declared("1.0", encoding), tag_algorithms=())
    files = bag.files()
    bag.overrides = {name: files[name].decode().encode(encoding) for name in (SHA, "bag-info.txt")}
    assert defects_of(write(bag, tmp_path)) == []


def test_2_3_metadata_in_another_encoding_than_declared_is_a_defect(write: Write, tmp_path: Path) -> None:
    info = "Contact-Name: Ren\u00e9\nPayload-Oxum: 11010.3\n".encode("latin-1")
    (defect,) = defects_of(write(BagBuilder(tag_algorithms=(), overrides={"bag-info.txt": info}), tmp_path))
    assert defect.startswith("bag-info.txt: isn't in the declared encoding UTF-8 ('utf-8' codec can't decode byte 0xe9")


@pytest.mark.parametrize(
    "encoding", ["hex", "rot13", "punycode", "idna", "unicode_escape", "undefined", "no-such", "UTF-7"]
)
def test_2_3_what_names_cant_be_read_in_is_refused(encoding: str, tmp_path: Path) -> None:
    bag = BagBuilder(declaration=declared("1.0", encoding))
    assert defects_of(bag.zip(tmp_path)) == [
        f"bagit.txt: declares the encoding '{encoding}', which isn't supported: expected UTF-8"
    ]


@pytest.mark.parametrize("version", ["1.00", "01.0", "0.92", "0.98", "2.0"])
def test_2_1_1_only_versions_that_there_are_are_read(version: str, write: Write, tmp_path: Path) -> None:
    found = defects_of(write(BagBuilder(declaration=declared(version)), tmp_path))
    assert any(defect.startswith(f"bagit.txt: declares BagIt version {version}: expected one of") for defect in found)


def test_cheap_checks_come_before_checksums(write: Write, tmp_path: Path) -> None:
    changed = {PAGE: b"?", "data/W1/images/I1/0002.jpg": None, "data/W1/new": b"x", "bagit.txt": b""}
    found = bags.verify(write(BagBuilder(overrides=dict(changed)), tmp_path), workers=1)[0].defects
    order = ["InvalidDeclaration", "WrongOxum", "MissingFile", "UnlistedFile", "ChecksumMismatch"]
    assert list(dict.fromkeys(type(defect).__name__ for defect in found)) == order
    missing = next(defect for defect in found if isinstance(defect, bags.MissingFile))
    assert (missing.algorithm, len(missing.expected)) == ("sha512", 128)


ABSURD = {
    "a manifest of line breaks": (SHA, b"\n" * 20_000_000, "has over 1000 blank lines: expected a list"),
    "a manifest of one line": (SHA, b"a" * 5_000_000, "line 1 has over 65536 characters: expected a line of a list"),
    "a manifest of nonsense": (SHA, b"?\n" * 3_000_000, "line 1 is '?': expected a checksum and a name"),
    "metadata of line breaks": ("bag-info.txt", b"\r" * 9_000_000, "has over 1000 blank lines: expected a list"),
    "metadata without end": ("bag-info.txt", b"A: b\n" + b" c\n" * 3_000_000, ""),
    "metadata that is too large": ("bag-info.txt", b"A: b\n" * 4_000_000, "has 20000000 bytes: expected a tag file of"),
    "a declaration that is too large": ("bagit.txt", b"\n" * 9_000, "has 9000 bytes: expected a tag file of 4096"),
    "an Oxum that is no number": (
        "bag-info.txt",
        b"Payload-Oxum: " + b"9" * 50_000 + b".1\n",
        "line 1 has the Payload",
    ),
    "a fetch list of nonsense": ("fetch.txt", b"?\n" * 3_000_000, "line 1 is '?': expected URL, length and name"),
    "zeros": (SHA, bytes(3_000_000), "line 1 has over 65536 characters: expected a line of a list"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_tag_files_end_in_a_defect_soon(name: str, write: Write, tmp_path: Path) -> None:
    file, data, expected = ABSURD[name]
    bag = BagBuilder(tag_algorithms=(), overrides={file: data})
    path = write(bag, tmp_path)
    begun = time.process_time()
    found = defects_of(path)
    assert not expected or any(defect.startswith(f"{file}: {expected}") for defect in found), found[:3]
    assert len(found) <= 2 * MOST_OF_A_KIND
    # No measure of speed: what isn't bounded takes minutes.
    assert time.process_time() - begun < 60


@pytest.mark.parametrize("kind", ["manifest", "tagmanifest"])
def test_very_many_manifests_end_in_a_defect_soon(kind: str, write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=(), overrides={f"{kind}-x{number:05}.txt": b"" for number in range(5_000)})
    path = write(bag, tmp_path)
    begun = time.process_time()
    assert f"{kind}-x00099.txt: is one of 5001 manifests: expected 100 at most" in defects_of(path)
    assert time.process_time() - begun < 20


def test_of_very_many_defects_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    bag = BagBuilder(info="A: b\n")
    lines = b"".join(b"%0128d  data/W1/images/%d\n" % (0, number) for number in range(MOST_OF_A_KIND + 5))
    bag.tags[SHA] = bag.files()[SHA] + lines
    found = bags.verify(bag.zip(tmp_path), workers=1)[0].defects
    assert len(found) == MOST_OF_A_KIND + 1
    assert str(found[-1]) == (
        f"W1.bag/: has 5 more defects of the kind MissingFile: expected the first {MOST_OF_A_KIND} to tell enough"
    )
    assert bags.number_of(found) == MOST_OF_A_KIND + 5
    error = bags.InvalidBagError(Path("W1.bag.zip"), found)
    assert f"{MOST_OF_A_KIND + 5} defects: " in str(error)
    assert str(error).endswith(f"; and {MOST_OF_A_KIND + 2} more")


NAMES = {
    "..": "climbs out with '..'",
    "data/../../evil": "climbs out with '..'",
    "data/..\\..\\evil": "climbs out with '..'",
    "/etc/passwd": "is absolute",
    "\\\\server\\share": "is absolute",
    "C:/evil": "is absolute",
    "data/a\0b": "has a NUL byte",
    "data//a": "has an empty component or '.'",
    "data/./a": "has an empty component or '.'",
    f"data/{'x' * 256}": "has a component of over 255 bytes",
    f"data/{'ཀ' * 86}": "has a component of over 255 bytes",
    f"data/{'x/' * 2046}x": "has over 4095 bytes",
    f"data/{'ཀ/' * 1023}x": "has over 4095 bytes",
}


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_outside_in_a_manifest_fetch_or_zip(name: str, tmp_path: Path) -> None:
    why = NAMES[name]
    raw = os.fsencode(name)
    listing = BagBuilder(tag_algorithms=())
    listing.overrides[SHA] = listing.files()[SHA] + b"0" * 128 + b"  " + raw + b"\n"
    (defect,) = bags.verify(listing.zip(tmp_path), workers=1)[0].defects
    assert isinstance(defect, bags.InvalidTagFile)
    assert why in str(defect)
    fetch = BagBuilder(tags={"fetch.txt": b"https://example.org/ - " + raw + b"\n"})
    (defect,) = bags.verify(fetch.zip(tmp_path), workers=1)[0].defects
    assert why in str(defect)
    entries = [*BagBuilder().entries(), ZipEntry(b"W1.bag/" + raw, b"x")]
    if why != "is absolute":
        found = kinds_of(write_zip(tmp_path / "W1.bag.zip", entries))
        assert found == {"UnsafeName"}


def test_names_with_control_characters_and_of_devices_are_kept_with_a_warning(tmp_path: Path) -> None:
    payload = {"W1/images/a\x1bb": b"1", "W1/images/CON": b"2", "W1/images/back\\slash": b"3", "W1/images/x:y": b"4"}
    path = BagBuilder(payload=payload).zip(tmp_path)
    (work,) = bags.unbag(path, tmp_path / "to", workers=1)
    assert {f"W1/images/{file.name}": file.read_bytes() for file in (work.path / "images").iterdir()} == payload
    assert {type(warning).__name__ for warning in work.warnings} == {"UnportableName"}


def test_names_that_differ_by_case_or_unicode_form_are_both_kept_where_the_disk_can(tmp_path: Path) -> None:
    payload = {f"W1/images/{name}": name.encode() for name in ("A", "a", "caf\u00e9", "cafe\u0301")}
    (work,) = bags.unbag(BagBuilder(payload=payload).zip(tmp_path), tmp_path / "to", workers=1)
    assert {f"W1/images/{file.name}": file.read_bytes() for file in (work.path / "images").iterdir()} == payload


def test_a_pipe_in_the_place_of_a_tag_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = BagBuilder().folder(tmp_path)
    for name in ("bagit.txt", SHA, "bag-info.txt"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert "SpecialFile" in kinds_of(folder)


def test_a_link_to_another_bags_payload_is_refused(tmp_path: Path) -> None:
    folder = BagBuilder().folder(tmp_path)
    (folder / "data").rename(tmp_path / "elsewhere")
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    assert "data: is a symbolic link: expected files and folders only" in defects_of(folder)


@pytest.mark.parametrize("layout", ["structure 1", "structure 2"])
@pytest.mark.parametrize("several", [False, True])
def test_works_of_both_structures_are_found(layout: str, several: bool, tmp_path: Path) -> None:
    names = ["images/W{0}-I1/1.jpg"] if layout == "structure 1" else ["W{0}-I1/images/1.jpg"]
    works = (1, 2) if several else (1,)
    payload = {f"W{work}/{name.format(work)}": b"x" for work in works for name in names}
    bag = BagBuilder(payload=payload)
    (report,) = bags.verify(bag.zip(tmp_path), workers=1)
    assert (report.works, report.defects) == (tuple(f"W{work}" for work in works), ())
    found = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
    assert tuple(work.rid for work in found) == report.works
