"""``verify`` and ``unbag``: what they judge, what they print, what they leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, write_zip

from .conftest import Command

PAGE = "data/W1/images/I1/0001.jpg"


def altered(name: str = "W1") -> BagBuilder:
    """A bag with two defects, in files of their own."""
    bag = BagBuilder(name=name)
    bag.overrides = {PAGE: b"another page", "data/W1/stray.txt": b"not listed"}
    return bag


def without_work() -> BagBuilder:
    return BagBuilder(name="Letters", payload={"letters/1.txt": b"no work"})


@pytest.fixture
def to(tmp_path: Path) -> Path:
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_valid_bag_is_summed_up_in_a_line(command: Command, tmp_path: Path, kind: str) -> None:
    bag = BagBuilder(algorithms=("sha512", "md5"))
    path = bag.folder(tmp_path) if kind == "folder" else bag.zip(tmp_path)
    ended = command("verify", path)
    size = sum(map(len, bag.payload.values()))
    assert ended.status == 0
    assert ended.out == f"valid    {path}: bag W1: works: W1; 3 files, {size:,} bytes, md5, sha512\n"
    assert ended.err == ""


def test_every_defect_of_every_bag_is_listed(command: Command, tmp_path: Path) -> None:
    good, bad = BagBuilder(name="Good").zip(tmp_path), altered().zip(tmp_path)
    ended = command("verify", bad, good)
    lines = ended.out.splitlines()
    assert ended.status == 1
    assert lines[0].startswith(f"INVALID  {bad}: bag W1: ")
    assert any(PAGE in line and "sha512" in line for line in lines)
    assert any("data/W1/stray.txt" in line for line in lines)
    assert int(lines[0].split()[-2]) == sum(line.startswith("  ") for line in lines)
    assert lines[-1].startswith(f"valid    {good}: ")


def test_defects_that_are_only_counted_are_among_their_number(command: Command, tmp_path: Path) -> None:
    bag = BagBuilder(tag_algorithms=(), info="A: b\n")
    bag.tags["fetch.txt"] = b"".join(b"a:b - data/%d\n" % number for number in range(10_007))
    path = bag.zip(tmp_path)
    ended = command("verify", path)
    assert ended.out.splitlines()[0] == f"INVALID  {path}: bag W1: 10007 defect(s)"


def test_a_file_that_is_no_zip_is_an_invalid_bag(command: Command, tmp_path: Path, to: Path) -> None:
    path = tmp_path / "W1.bag.zip"
    path.write_text("no zip at all")
    verified, unbagged = command("verify", path), command("unbag", path, "--to", to)
    assert (verified.status, unbagged.status) == (1, 1)
    assert "W1.bag.zip: is no zip" in verified.out
    assert "W1.bag.zip: is no zip" in unbagged.error
    assert tree(to) == []


def test_what_holds_no_bag_is_an_invalid_one(command: Command, tmp_path: Path, to: Path) -> None:
    path = write_zip(tmp_path / "W1.bag.zip", [ZipEntry(b"W1/images/1.jpg", b"a page")])
    (tmp_path / "W2").mkdir()
    ended = command("verify", path, tmp_path / "W2")
    assert ended.status == 1
    assert ended.out.count("INVALID") == 2
    assert command("unbag", path, "--to", to).status == 1
    assert tree(to) == []


def test_what_does_not_exist_is_wrong_use_before_anything_is_done(command: Command, tmp_path: Path, to: Path) -> None:
    good = BagBuilder().zip(tmp_path)
    missing = tmp_path / "missing.zip"
    verified, unbagged = command("verify", good, missing), command("unbag", good, missing, "--to", to)
    assert (verified.status, unbagged.status) == (2, 2)
    assert verified.out == unbagged.out == ""
    assert f"{missing} doesn't exist" in verified.error
    assert f"{missing} doesn't exist" in unbagged.error
    assert tree(to) == []


def test_what_is_no_file_is_told_and_the_others_are_verified(command: Command, tmp_path: Path) -> None:
    good = BagBuilder().zip(tmp_path)
    ended = command("verify", os.devnull, good)
    assert ended.status == 2
    assert os.devnull in ended.error
    assert ended.out.startswith("valid")


def test_a_bag_without_a_work_is_valid_and_cannot_be_unbagged(command: Command, tmp_path: Path, to: Path) -> None:
    path = without_work().zip(tmp_path)
    verified, unbagged = command("verify", path), command("unbag", path, "--to", to)
    assert verified.status == 0
    assert ": it holds no work; 1 files" in verified.out
    assert unbagged.status == 1
    assert "no work" in unbagged.error
    assert tree(to) == []


def test_verify_as_json(command: Command, tmp_path: Path) -> None:
    good, bad = BagBuilder(name="Good").folder(tmp_path), altered().zip(tmp_path)
    ended = command("verify", "--json", good, bad)
    assert ended.status == 1
    assert ended.err == ""
    first, second = ended.facts
    assert first == {
        "path": str(good),
        "bag": "Good",
        "valid": True,
        "works": ["W1"],
        "files": 3,
        "bytes": sum(map(len, BagBuilder().payload.values())),
        "algorithms": ["sha512"],
        "defects": [],
        "warnings": [],
    }
    assert not second["valid"]
    kinds = {defect["kind"] for defect in second["defects"]}
    assert kinds >= {"ChecksumMismatch", "UnlistedFile"}
    assert any(PAGE in defect["message"] for defect in second["defects"])


def test_errors_leave_the_json_one_document(command: Command, tmp_path: Path, to: Path) -> None:
    good, bad = BagBuilder(name="Good").zip(tmp_path), altered("Bad").zip(tmp_path)
    verified = command("verify", "--json", os.devnull, good)
    assert [found["bag"] for found in verified.facts] == ["Good"]
    assert os.devnull in verified.error
    unbagged = command("unbag", "--json", bad, good, "--to", to)
    assert unbagged.status == 1
    assert [work["rid"] for work in unbagged.facts] == ["W1"]
    assert str(bad) in unbagged.error


def test_unbag_prints_the_works_with_their_paths(command: Command, tmp_path: Path, to: Path) -> None:
    files = {"images/I1/1.jpg": b"a page"}
    two = {f"{work}/{name}": data for work in ("W2", "W3") for name, data in files.items()}
    ended = command("unbag", BagBuilder().zip(tmp_path), BagBuilder("Two", two).zip(tmp_path), "--to", to)
    assert ended.status == 0
    assert ended.out.splitlines() == [f"{work}\t{to}/{work}" for work in ("W1", "W2", "W3")]
    assert (to / "W1" / "images" / "I1" / "0001.jpg").read_bytes() == b"first page"
    assert (to / "W3" / "images" / "I1" / "1.jpg").read_bytes() == b"a page"


def test_unbag_as_json(command: Command, tmp_path: Path, to: Path) -> None:
    bag = BagBuilder()
    ended = command("unbag", bag.zip(tmp_path), "--to", to, "--json")
    assert ended.status == 0
    assert ended.facts == [
        {
            "rid": "W1",
            "path": str(to / "W1"),
            "bag_dir": str(to / "W1" / "W1.bag"),
            "files": 3,
            "bytes": sum(map(len, bag.payload.values())),
            "proven": True,
            "warnings": [],
        }
    ]


def test_warnings_are_told_and_can_be_made_errors(
    command: Command, tmp_path: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = BagBuilder(algorithms=("md5",)).zip(tmp_path)
    warning = "W1.bag/manifest-md5.txt: is the bag's proof, by md5 alone, which can be forged"
    verified, unbagged = command("verify", path), command("unbag", path, "--to", to)
    assert (verified.status, unbagged.status) == (0, 0)
    assert f"\n  warning: {warning}" in verified.out
    assert unbagged.out == f"W1\t{to}/W1\n"
    assert f"glacier-sync: warning: {warning}" in unbagged.err
    assert command("verify", path, "--json").facts[0]["warnings"][0]["kind"] == "WeakAlgorithm"
    monkeypatch.setenv("GLACIER_SYNC_BAG_WARNINGS_AS_ERRORS", "WeakAlgorithm, MissingTagFile")
    verified = command("verify", path)
    assert verified.status == 1
    assert f"\n  {warning}" in verified.out
    monkeypatch.setenv("GLACIER_SYNC_BAG_WARNINGS_AS_ERRORS", "Weak")
    assert command("verify", path).status == 2


def test_an_invalid_bag_leaves_nothing_and_stops_no_other(command: Command, tmp_path: Path, to: Path) -> None:
    files = {"W2/images/I1/1.jpg": b"a page"}
    ended = command("unbag", altered().zip(tmp_path), BagBuilder("Good", files).zip(tmp_path), "--to", to)
    assert ended.status == 1
    assert PAGE in ended.error
    assert ended.out == f"W2\t{to}/W2\n"
    assert [path.name for path in to.iterdir()] == ["W2"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_every_defect_is_listed_of_what_is_not_unbagged(
    command: Command, tmp_path: Path, to: Path, options: list[str]
) -> None:
    strays = {f"stray{number}": b"x" for number in range(5)}
    path = BagBuilder(payload={"W1/images/1": b"1", **strays}).zip(tmp_path)
    ended = command("unbag", path, "--to", to, *options)
    assert ended.status == 1
    told, *listed = ended.err.splitlines()
    why = "belongs to no work, and would be lost: expected works only"
    assert told.endswith(f"W1.bag/data/stray2: {why}; and 2 more")
    assert listed == [f"  W1.bag/data/stray{number}: {why}" for number in (3, 4)]
    assert tree(to) == []


@pytest.mark.parametrize("there", [False, True])
def test_there_must_be_a_folder_to_unbag_to(command: Command, tmp_path: Path, there: bool) -> None:
    path = tmp_path / "nowhere"
    if there:
        path.touch()
    ended = command("unbag", BagBuilder().zip(tmp_path), "--to", path)
    assert ended.status == 2
    assert f"{path} isn't there: expected a folder to unpack to" in ended.error


@pytest.mark.parametrize(
    "words",
    [
        ("verify", ""),
        ("unbag", "W1.zip", "--to", ""),
        ("unbag", "", "--to", "."),
        ("sync", ""),
        ("diff", ""),
        ("sync-options", ""),
    ],
)
def test_an_empty_path_is_not_the_folder_one_stands_in(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    BagBuilder().zip(tmp_path).rename(tmp_path / "W1.zip")
    monkeypatch.chdir(tmp_path)
    ended = command(*words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.error == "a path is empty: expected the name of a file or a folder; look at what was given"
    assert tree(tmp_path) == ["W1.zip"]


def test_a_work_that_exists_already_is_left_as_it_is(command: Command, tmp_path: Path, to: Path) -> None:
    work = to / "W1"
    work.mkdir()
    (work / "mine.txt").write_text("mine")
    ended = command("unbag", BagBuilder().zip(tmp_path), "--to", to)
    assert ended.status == 2
    assert f"{work} exists already" in ended.error
    assert tree(to) == ["W1/mine.txt"]


def test_done_in_part_is_not_told_as_nothing_done(command: Command, tmp_path: Path, to: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    ended = command("unbag", path, path, "--to", to)
    assert ended.status == 1
    assert ended.out == f"W1\t{to}/W1\n"
    assert "exists already" in ended.error


def test_names_are_printed_escaped_and_kept_byte_for_byte(command: Command, tmp_path: Path, to: Path) -> None:
    strange = "W1/images/I1/page\x1b[31m\udcff.jpg"
    bag = BagBuilder(payload={strange: b"a page"})
    bag.overrides = {f"data/{strange}": b"another"}
    path = bag.zip(tmp_path)
    ended = command("verify", path)
    assert ended.status == 1
    assert "\x1b" not in ended.out
    assert r"page\x1b[31m\xff.jpg" in ended.out
    messages = [defect["message"] for found in command("verify", "--json", path).facts for defect in found["defects"]]
    assert any(r"page\x1b[31m\xff.jpg" in message for message in messages)
    bag.overrides = {}
    assert command("unbag", bag.zip(tmp_path), "--to", to).status == 0
    assert (to / os.fsdecode(os.fsencode(strange))).read_bytes() == b"a page"


def test_a_strange_path_is_printed_escaped(command: Command, tmp_path: Path) -> None:
    parent = tmp_path / os.fsdecode(b"dir\n\xff")
    parent.mkdir()
    ended = command("verify", BagBuilder().zip(parent))
    assert ended.status == 0
    assert ended.out.count("\n") == 1
    assert r"dir\n\udcff" in ended.out
    ended = command("verify", "--json", parent / "W1.bag.zip")
    assert os.fsencode(ended.facts[0]["path"]) == os.fsencode(parent / "W1.bag.zip")


def test_works_without_a_bag_are_unpacked_where_that_is_asked_for(command: Command, tmp_path: Path, to: Path) -> None:
    path = write_zip(tmp_path / "W1.zip", [ZipEntry(b"W1/images/1.jpg", b"page")])
    assert command("unbag", path, "--to", to).status == 1
    assert tree(to) == []
    ended = command("unbag", path, "--to", to, "--plain")
    assert ended.status == 0
    assert ended.out == f"W1\t{to / 'W1'}\n"
    assert ended.err == "glacier-sync: W1 isn't proven: it came without a bag\n"
    assert tree(to) == ["W1.bag/bagit.txt", "W1.bag/manifest-sha512.txt", "W1/images/1.jpg"]
