"""Two programs judge every valid bag and every defect alike, but where it is stated, and why, in docs/bags.md."""

from __future__ import annotations

import errno
import logging
import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from zipfile import ZipFile

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bag_builder import make_work
from tests.support.judged_bags import CASES

from glacier_sync import bags

DOCUMENT = (Path(__file__).parents[3] / "docs" / "bags.md").read_text(encoding="utf-8")

ACCEPTS, REFUSES, FAILS, WAITS = "accepts", "refuses", "fails", "waits for ever"


@dataclass(frozen=True)
class Difference:
    """What two programs say of a bag, and why this one says so; ``section`` is RFC 8493's."""

    section: str
    bag: str
    theirs: str
    ours: str
    why: str


LINES = Difference(
    "2.1.1", "other lines in `bagit.txt`, another order of them, other blanks", ACCEPTS, REFUSES,
    "it has exactly two lines, of one form",
)  # fmt: skip
VERSION = Difference(
    "2.1.1", "a version that there isn't, as 0.98, 1 or 1.00", ACCEPTS, REFUSES, "nobody knows its rules"
)
UNCLEAN = Difference(
    "5.1", "`.`, `..` or nothing between two slashes in a manifest", ACCEPTS, REFUSES,
    "a name that has to be interpreted may lead elsewhere",
)  # fmt: skip
ENCODED = Difference(
    "2.1.3", "`%25`, `%0a`, or over two `%0A` or `%0D` in a manifest", REFUSES, ACCEPTS,
    "a percent sign and line breaks are encoded so in 1.0",
)  # fmt: skip
TAG_MANIFESTS = Difference(
    "2.2.1", "a tag manifest of 1.0 that lists another one, or not every payload manifest", ACCEPTS, REFUSES,
    "it lists every payload manifest, and no tag manifest",
)  # fmt: skip
BLANKS = Difference(
    "2.2.2", "a blank before the colon in `bag-info.txt` of 1.0, or none behind it", ACCEPTS, REFUSES,
    "from 1.0 on the form is exact",
)  # fmt: skip
LENGTH = Difference(
    "2.2.3", "a length in `fetch.txt` that isn't the file's, or no number", ACCEPTS, REFUSES,
    "the length is that of the file in bytes",
)  # fmt: skip
UNKNOWN = Difference(
    "2.4", "a manifest whose algorithm nobody knows, or has capitals, beside others",
    ACCEPTS, REFUSES, "every manifest counts, and no file may contradict one",
)  # fmt: skip
NORMALISED = Difference(
    "2.4", "one manifest only, whose name has the algorithm as `SHA-512` or `sha3256`", REFUSES, ACCEPTS,
    "it is clear which algorithm is meant; the second is the name that the rule makes",
)  # fmt: skip
LINKS = Difference(
    "5.1", "a symbolic link that stays in the bag, or a pipe beside the payload", ACCEPTS, REFUSES,
    "a bag holds files and folders",
)  # fmt: skip

DIFFERENCES: Mapping[str, Difference] = {
    "third line in the declaration": LINES,
    "blank line in the declaration": LINES,
    "lines of the declaration exchanged": LINES,
    "blank before the declaration's colon": LINES,
    "two blanks in the declaration": LINES,
    "version 0.98": VERSION,
    "version 1.00": VERSION,
    "version 01.0": VERSION,
    "version 1.1": VERSION,
    "version 1": VERSION,
    "file in one manifest of two": Difference(
        "2.1.3", "a file of 1.0 that one payload manifest lists and another doesn't", ACCEPTS, REFUSES,
        "each payload manifest lists every file",
    ),
    "nonsense in a manifest": (
        nonsense := Difference(
            "2.1.3", "a line in a manifest that is no checksum and name, as a comment", ACCEPTS, REFUSES,
            "it may have been a file's before it was damaged",
        )
    ),
    "comment in a manifest": nonsense,
    "tag file in a payload manifest": Difference(
        "2.1.3", "a tag file in a payload manifest", ACCEPTS, REFUSES, "it lists payload files only"
    ),
    "unlisted file in another Unicode form": Difference(
        "2.1.3", "a file no manifest lists, and one it lists, which differ by Unicode form only", ACCEPTS, REFUSES,
        "they are two files, and each is to be listed",
    ),
    "three line breaks in a name": ENCODED,
    "line break encoded in small letters": ENCODED,
    "percent sign": ENCODED,
    "encoded line break in a name of 0.97": Difference(
        "2.1.3", "`%0A` in a file's name, before 1.0", REFUSES, ACCEPTS, "nothing was encoded then"
    ),
    "blank at a name's end": Difference("2.1.3", "a blank at a name's end", REFUSES, ACCEPTS, "it is part of the name"),
    "form feed in a name": Difference(
        "2.3", "a form feed or the like in a name", REFUSES, ACCEPTS,
        "lines end with LF, CR or both, and with nothing else",
    ),
    "changed tag file in 0.96": Difference(
        "2.2.1", "a tag file that was changed, before 0.97", ACCEPTS, REFUSES,
        "tag manifests are checked in any version",
    ),
    "tag manifest in a tag manifest": TAG_MANIFESTS,
    "payload manifest in no tag manifest": TAG_MANIFESTS,
    "wrong Oxum in small letters": Difference(
        "2.2.2", "a wrong `payload-oxum`, in small letters", ACCEPTS, REFUSES, "capitals make no difference in a label"
    ),
    "Oxum twice": Difference("2.2.2", "two `Payload-Oxum` in 1.0", ACCEPTS, REFUSES, "there is one at most"),
    "two Oxums that contradict each other in 0.97": Difference(
        "2.2.2", "two `Payload-Oxum` before 1.0, of which the second is wrong", ACCEPTS, REFUSES, "all are checked"
    ),
    "Oxum that is one number": Difference(
        "2.2.2", "a `Payload-Oxum` that is one number", FAILS, REFUSES, "it has bytes, a dot and files"
    ),
    "blank before the colon": BLANKS,
    "no blank after the colon": BLANKS,
    "fetch list with another length": LENGTH,
    "fetch list with a length that is no number": LENGTH,
    "file to be fetched that no manifest lists": Difference(
        "2.2.3", "a file in `fetch.txt` that isn't there, nor in a manifest", ACCEPTS, REFUSES,
        "a bag is incomplete until it is there",
    ),
    "tag file in the fetch list": Difference(
        "2.2.3", "a tag file in `fetch.txt`", ACCEPTS, REFUSES, "it lists payload files only"
    ),
    "fetch list with an URI without host": Difference(
        "2.2.3", "an URL without a host in `fetch.txt`, as `urn:nbn:de:1`", REFUSES, ACCEPTS,
        "any absolute URI is allowed, and nothing is fetched",
    ),
    "fetch list with an URL that isn't ASCII": Difference(
        "2.2.3", "an URL in `fetch.txt` that isn't ASCII", ACCEPTS, REFUSES, "in an URI other letters are encoded"
    ),
    "fetch list with two words": Difference(
        "2.2.3", "a line of two words in `fetch.txt`", FAILS, REFUSES, "it has URL, length and name"
    ),
    "blank line in the fetch list": Difference(
        "2.2.3", "a blank line in `fetch.txt`", FAILS, ACCEPTS, "it means nothing, as in a manifest"
    ),
    "encoding that is no text": Difference(
        "2.3", "a declared encoding that isn't one of text, as `hex`", FAILS, REFUSES, "tag files are text"
    ),
    "tag files in UTF-7": Difference(
        "2.3", "tag files in UTF-7", ACCEPTS, REFUSES, "it can write names that no file can have"
    ),
    "manifest in another encoding": Difference(
        "2.3", "a manifest in another encoding than the declared one", FAILS, REFUSES,
        "the names it lists aren't those of the files",
    ),
    "metadata in another encoding": Difference(
        "2.3", "a `bag-info.txt` in another encoding than the declared one", FAILS, REFUSES,
        "all tag files are in the declared encoding",
    ),
    "name that isn't UTF-8": Difference(
        "2.3", "a name that isn't UTF-8, and is the same in the manifest", FAILS, ACCEPTS,
        "names are kept byte for byte; there is a warning",
    ),
    "byte-order mark in a manifest": Difference(
        "2.3", "a byte-order mark in a manifest in UTF-8", ACCEPTS, REFUSES, "there is none in UTF-8"
    ),
    "2,000 blank lines in a manifest": Difference(
        "2.3", "over 1,000 blank lines in a tag file", ACCEPTS, REFUSES, "no program that makes bags writes them"
    ),
    "unknown algorithm beside a known one": UNKNOWN,
    "algorithm in capitals beside another, and a changed file": UNKNOWN,
    "algorithm in capitals": NORMALISED,
    "algorithm with a dash": NORMALISED,
    "algorithm with an underscore of Python's": NORMALISED,
    "name that climbs within the bag": UNCLEAN,
    "empty component": UNCLEAN,
    "dot as a component": UNCLEAN,
    "tilde and a user's name": Difference(
        "5.1", "a tag file with the name of a user behind a tilde, as `~root`", REFUSES, ACCEPTS,
        "it is the name of a file, and never of a home folder",
    ),
    "NUL in a name": Difference("5.1", "a NUL byte in a manifest", FAILS, REFUSES, "no file can have such a name"),
    "link to the same bytes in the bag": LINKS,
    "link beside the payload": LINKS,
    "pipe beside the payload": LINKS,
    "pipe in the place of a file": Difference(
        "5.1", "a pipe in the place of a file", WAITS, REFUSES, "as above; nobody waits for what may never come"
    ),
}  # fmt: skip


def judged_by_bagit(folder: Path) -> str:
    try:
        return ACCEPTS if bagit.Bag(str(folder)).is_valid() else REFUSES
    except bagit.BagError:
        return REFUSES
    except Exception:  # noqa: BLE001 - whatever it ends with, it doesn't judge
        return FAILS


def theirs(folder: Path) -> str:
    """Return what bagit-python says; a pipe that it waits for is opened at the other end, so that it ends."""
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    pipes = [path for path in folder.rglob("*") if path.is_fifo()]
    waited = False
    with ThreadPoolExecutor(1) as threads:
        judging: Future[str] = threads.submit(judged_by_bagit, folder)
        while not judging.done() and pipes and not waited:
            for pipe in pipes:
                waited = waited or was_opened(pipe)
    return WAITS if waited else judging.result()


def was_opened(pipe: Path) -> bool:
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


def ours(path: Path) -> str:
    return REFUSES if any(report.defects for report in bags.verify(path, workers=1)) else ACCEPTS


@pytest.mark.parametrize("name", CASES)
def test_both_say_the_same_but_where_it_is_stated(name: str, tmp_path: Path) -> None:
    folder = CASES[name].folder(tmp_path)
    found = theirs(folder), ours(folder)
    stated = DIFFERENCES.get(name)
    assert found == ((stated.theirs, stated.ours) if stated else (found[1], found[1]))


def judged(path: Path) -> Counter[tuple[str, str]]:
    """Return the defects and warnings that are found in a bag, or counted, by kind and path."""
    (report,) = bags.verify(path, workers=1)
    return Counter(
        (f"{each.count} {each.of}", "")
        if isinstance(each, bags.FurtherDefects)
        else (type(each).__name__, each.path.removeprefix("W1.bag/"))
        for each in (*report.defects, *report.warnings)
    )


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.change is None])
def test_a_zip_is_judged_as_its_folder_is(name: str, tmp_path: Path) -> None:
    bag = CASES[name].bag
    found = judged(bag.folder(tmp_path))
    if not bag.payload:
        # A zip that lists files only has no payload folder.
        found["MissingElement", "data/"] += 1
    assert [judged(bag.zip(tmp_path, compress=compress)) for compress in (False, True)] == [found] * 2


# What bagit-python takes for the end of a line, or for an encoded one.
NO_LINE = "\0/%\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NO_LINE), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.sets(NAMES.filter(lambda name: name == name.strip() and name not in {".", ".."}), min_size=1))
def test_what_is_made_here_is_valid_for_both(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {f"images/{unicodedata.normalize('NFC', name)}": b"x" for name in names}
        path = folder / "W1.bag.zip"
        bags.make_bag_zip([make_work(folder, "W1", files)], path)
        with ZipFile(path) as archive:
            for entry in archive.infolist():
                (folder / entry.filename).parent.mkdir(parents=True, exist_ok=True)
                (folder / entry.filename).write_bytes(archive.read(entry))
        assert (theirs(folder / "W1.bag"), ours(folder / "W1.bag"), ours(path)) == (ACCEPTS,) * 3


OF_ZIPS_OR_OF_UNPACKING = {
    *("NotAZip", "DamagedZip", "UnsupportedEntry", "UnsafeName", "OutsideBag"),
    *("NoWork", "StrayFile", "SameName"),
}


def test_both_are_asked_about_every_kind_of_defect_that_a_folder_can_have(tmp_path: Path) -> None:
    exported = {name: getattr(bags, name) for name in bags.__all__}
    kinds = {name for name, kind in exported.items() if isinstance(kind, type) and issubclass(kind, bags.Defect)}
    asked = set()
    for number, case in enumerate(CASES.values()):
        (tmp_path / f"{number}").mkdir()
        for report in bags.verify(case.folder(tmp_path / f"{number}"), workers=1):
            asked |= {type(found).__name__ for found in (*report.defects, *report.warnings)}
    assert asked == kinds - {"Defect", "BagWarning"} - OF_ZIPS_OR_OF_UNPACKING


def test_each_stated_difference_is_one_of_a_bag_that_there_is() -> None:
    assert DIFFERENCES.keys() <= CASES.keys()
    assert all(difference.theirs != difference.ours for difference in DIFFERENCES.values())


def test_the_document_states_every_difference_and_no_other() -> None:
    section = DOCUMENT.partition("\n## Beside bagit-python\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\d.]+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert set(rows) == set(map(astuple, DIFFERENCES.values()))
    assert rows == sorted(rows, key=lambda row: row[0])
    assert f"bagit-python {bagit.VERSION}" in section
