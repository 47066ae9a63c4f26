"""Warnings: told apart from defects, in directories and zips alike, and errors where the site says so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.support.bag_builder import DECLARATION, BagBuilder

from glacier_sync import bags
from glacier_sync.bags.defects import MOST_OF_A_KIND
from glacier_sync.errors import ConfigurationError

PAGE = "W1/images/I1/0001.jpg"
SHA = "manifest-sha512.txt"
COMPOSED, DECOMPOSED = "W1/images/caf\u00e9.jpg", unicodedata.normalize("NFD", "W1/images/caf\u00e9.jpg")

Write = Callable[[BagBuilder, Path], Path]


def renamed() -> BagBuilder:
    """A bag with a file that another system unpacked and packed again under another Unicode form of its name."""
    bag = BagBuilder(payload={COMPOSED: b"x"})
    bag.overrides = {f"data/{COMPOSED}": None, f"data/{DECOMPOSED}": b"x"}
    return bag


def marked(before: bytes, after: bytes) -> BagBuilder:
    """A bag whose manifest was written by a checksum program."""
    bag = BagBuilder(payload={PAGE: b"x", f"{PAGE}2": b"y"})
    bag.tags[SHA] = bag.files()[SHA].replace(before, after)
    return bag


def raw_percent() -> BagBuilder:
    """A bag whose manifest has a name with ``%25`` as it is."""
    bag = BagBuilder(payload={"W1/images/a%25.jpg": b"x"})
    bag.tags[SHA] = bag.files()[SHA].replace(b"%2525", b"%25")
    return bag


def holding(*names: str) -> BagBuilder:
    return BagBuilder(payload={PAGE: b"x", **dict.fromkeys(names, b"y")})


WARNED: Mapping[str, tuple[BagBuilder, list[str]]] = {
    "WeakAlgorithm": (
        BagBuilder(algorithms=("md5", "sha1")),
        [
            f"manifest-{name}.txt: is the bag's proof, by md5 and sha1 alone, which can be forged: "
            "expected sha256 or sha512 too"
            for name in ("md5", "sha1")
        ],
    ),
    "MissingTagFile: bag-info.txt": (
        BagBuilder(overrides={"bag-info.txt": None}, tag_algorithms=()),
        [
            "bag-info.txt: isn't in the bag: expected what says whose bag it is, and its Oxum",
            "tagmanifest-sha512.txt: isn't in the bag: expected a tag manifest, which proves the tag files",
        ],
    ),
    "MissingTagFile: package-info.txt": (
        BagBuilder(declaration=DECLARATION.replace(b"1.0", b"0.95")),
        ["package-info.txt: isn't in the bag: expected what says whose bag it is, and its Oxum"],
    ),
    "UnlistedTagFile": (
        BagBuilder(overrides={"notes/new.txt": b"x"}),
        ["notes/new.txt: isn't listed in any tag manifest, so nothing proves it: expected every tag file in one"],
    ),
    "SystemFile: files": (
        holding("W1/images/.DS_Store", "W1/images/I1/THUMBS.DB", "W1/images/._0001.jpg"),
        [
            f"data/W1/images/{name}: has a name that an operating system left there: expected files of works only"
            for name in (".DS_Store", "I1/THUMBS.DB", "._0001.jpg")
        ],
    ),
    "SystemFile: folder": (
        holding("W1/images/@eaDir/1.jpg", "W1/images/@eaDir/2.jpg"),
        [
            "data/W1/images/@eaDir/1.jpg: is in a folder that an operating system left there: "
            "expected files of works only"
        ],
    ),
    "UnportableName": (
        holding("W1/images/a:b", "W1/images/a\tb", "W1/images/Con.jpg", "W1/images/end.", "W1/images/\udcff"),
        [
            f"data/W1/images/{name}: has a name that {why}: expected one that every system can have"
            for name, why in (
                ("a:b", "has the character :, which Windows refuses"),
                ("a\\tb", "has control characters"),
                ("Con.jpg", "is that of a device on Windows"),
                ("end.", "ends with a dot or a space, which Windows drops"),
                ("\\xff", "isn't UTF-8"),
            )
        ],
    ),
    "SimilarNames: case": (
        holding("W1/images/i1/0001.jpg"),
        [
            "data/W1/images/i1/0001.jpg: and data/W1/images/I1/0001.jpg differ by case or Unicode form only: "
            "expected names that every file system keeps apart"
        ],
    ),
    "SimilarNames: Unicode form": (
        holding(COMPOSED, DECOMPOSED),
        [
            f"data/{COMPOSED}: and data/{DECOMPOSED} differ by case or Unicode form only: "
            "expected names that every file system keeps apart"
        ],
    ),
    "OtherUnicodeForm": (
        renamed(),
        [
            f"data/{DECOMPOSED}: is listed in {SHA} as 'data/W1/images/caf\\xe9.jpg', "
            "another Unicode form of its name: expected its name byte for byte"
        ],
    ),
    "MarkedNames: binary mode": (
        marked(b"  ", b" *"),
        [f"{SHA}: has '*' or './' before names, in line 1 first: expected names alone"],
    ),
    "MarkedNames: folder": (
        marked(b"  data", b"  ./data"),
        [f"{SHA}: has '*' or './' before names, in line 1 first: expected names alone"],
    ),
    "OtherEncoding": (
        raw_percent(),
        [
            f"data/W1/images/a%25.jpg: is listed in {SHA} as 'data/W1/images/a%.jpg' by its version's rules: "
            "expected its name, encoded as the version of BagIt does"
        ],
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_a_warning_leaves_a_bag_valid_unless_the_site_makes_it_an_error(
    name: str, write: Write, tmp_path: Path
) -> None:
    bag, expected = WARNED[name]
    kind = name.partition(":")[0]
    path = write(bag, tmp_path)
    (report,) = bags.verify(path, workers=1)
    assert report.defects == ()
    assert sorted(str(warning).replace("W1.bag/", "") for warning in report.warnings) == sorted(expected)
    assert {type(warning).__name__ for warning in report.warnings} == {kind}
    (strict,) = bags.verify(path, workers=1, warnings_as_errors=[kind])
    assert (strict.defects, strict.warnings) == (report.warnings, ())


def test_warnings_that_are_only_counted_are_errors_as_the_others_are(tmp_path: Path) -> None:
    count = MOST_OF_A_KIND + 5
    path = holding(*(f"W1/images/{number}." for number in range(count))).zip(tmp_path)
    (report,) = bags.verify(path, workers=1, warnings_as_errors=["UnportableName"])
    assert (bags.number_of(report.defects), report.warnings) == (count, ())
    (report,) = bags.verify(path, workers=1)
    assert (report.defects, bags.number_of(report.warnings)) == ((), count)


def test_a_file_that_was_fetched_is_found_by_another_unicode_form_of_its_name(write: Write, tmp_path: Path) -> None:
    bag = renamed()
    bag.tags["fetch.txt"] = f"https://example.org/ 1 data/{COMPOSED}\n".encode()
    (report,) = bags.verify(write(bag, tmp_path), workers=1)
    assert report.defects == ()
    assert [type(warning) for warning in report.warnings] == [bags.OtherUnicodeForm]


def test_a_file_that_one_manifest_finds_by_its_form_and_another_misses_is_unfetched(tmp_path: Path) -> None:
    bag = renamed()
    bag.algorithms = ("sha256", "sha512")
    composed, decomposed = COMPOSED.encode(), DECOMPOSED.encode()
    line = bag.files()[SHA]
    bag.tags = {
        SHA: line + line.replace(composed, decomposed),
        "fetch.txt": b"https://example.org/ 1 data/%b\n" % composed,
    }
    (report,) = bags.verify(bag.zip(tmp_path), workers=1)
    assert [type(defect) for defect in report.defects] == [bags.UnfetchedFile]


def test_a_tag_manifest_that_cant_be_read_on_isnt_missing(write: Write, tmp_path: Path) -> None:
    bag = BagBuilder(overrides={"tagmanifest-sha512.txt": b"\n" * 20_000})
    (report,) = bags.verify(write(bag, tmp_path), workers=1)
    assert {type(defect) for defect in report.defects} == {bags.InvalidTagFile}
    assert report.warnings == ()


def test_every_kind_of_warning_has_a_bag_that_has_it() -> None:
    assert {name.partition(":")[0] for name in WARNED} == set(bags.WARNINGS)


def test_a_good_bag_has_no_warnings(write: Write, tmp_path: Path) -> None:
    (report,) = bags.verify(write(BagBuilder(algorithms=("md5", "sha256")), tmp_path), workers=1)
    assert report.warnings == ()


def test_a_kind_that_doesnt_exist_is_wrong_use(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    with pytest.raises(ConfigurationError, match=r"Weak is no kind of warning: expected some of MarkedNames, "):
        bags.verify(path, workers=1, warnings_as_errors=["WeakAlgorithm", "Weak"])
    with pytest.raises(ConfigurationError, match="Weak is no kind of warning"):
        bags.unbag(path, tmp_path / "to", workers=1, warnings_as_errors=["Weak"])


def test_unbagging_returns_the_warnings_of_each_works_bag(tmp_path: Path) -> None:
    bag = BagBuilder(algorithms=("md5",))
    (work,) = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
    assert [type(warning) for warning in work.warnings] == [bags.WeakAlgorithm]
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(bag.zip(tmp_path), tmp_path / "not", workers=1, warnings_as_errors=["WeakAlgorithm"])
    assert caught.value.defects == work.warnings
    assert not (tmp_path / "not").exists()


def test_an_invalid_bags_report_has_its_warnings_too(tmp_path: Path) -> None:
    bag = BagBuilder(algorithms=("md5",), overrides={f"data/{PAGE}": b"first pagE"})
    path = bag.zip(tmp_path)
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(path, tmp_path / "to", workers=1)
    (defect,), (warning,) = caught.value.defects, caught.value.warnings
    assert isinstance(defect, bags.ChecksumMismatch)
    assert bags.error_facts(caught.value) == {
        "path": str(path),
        "valid": False,
        "defects": [
            {
                "kind": "ChecksumMismatch",
                "path": f"W1.bag/data/{PAGE}",
                "algorithm": "md5",
                "expected": defect.expected,
                "found": defect.found,
                "message": str(defect),
            }
        ],
        "warnings": [
            {
                "kind": "WeakAlgorithm",
                "path": "W1.bag/manifest-md5.txt",
                "algorithm": None,
                "expected": "sha256 or sha512 too",
                "found": "is the bag's proof, by md5 alone, which can be forged",
                "message": str(warning),
            }
        ],
    }
    assert bags.error_text(caught.value) == f"{defect}\nwarning: {warning}\n"
    (report,) = bags.verify(path, workers=1)
    assert bags.report_facts(report)["defects"] == bags.error_facts(caught.value)["defects"]
