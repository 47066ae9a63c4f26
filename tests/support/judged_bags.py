"""Bags that two programs judge: every valid shape, and every defect that a directory can have."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.bag_builder import DECLARATION, BagBuilder, manifest

PAGE = "data/W1/images/I1/0001.jpg"
ANSWERS = "data/W1/images/I1/0002.jpg"
README = "data/W1/sources/readme.txt"
MD5, SHA, TAGS, INFO = "manifest-md5.txt", "manifest-sha512.txt", "tagmanifest-md5.txt", "bag-info.txt"
OXUM = "Payload-Oxum: 11010.3\n"
ZERO = "0" * 32
READ_ALIKE = ("W1/images/a%25b", "W1/images/a%2525b")
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "W1/images/caf\u00e9.jpg") for form in ("NFC", "NFD"))


@dataclass(frozen=True)
class Case:
    """A bag, and what is done to it when it is written: what no builder can make, and no zip can hold."""

    bag: BagBuilder
    change: Callable[[Path], object] | None = None

    def folder(self, parent: Path) -> Path:
        """Write the bag as a directory; return its path."""
        folder = self.bag.folder(parent)
        if self.change:
            self.change(folder)
        return folder


def _bag(version: str = "1.0", encoding: str = "UTF-8", info: str | None = None, **overrides: bytes | None) -> Case:
    """A bag without tag manifests, in which files are replaced after its manifest is made."""
    names = {"page": PAGE, "manifest": MD5, "info_file": INFO, "declared": "bagit.txt", "new": "data/W1/images/new"}
    bag = BagBuilder(algorithms=("md5",), tag_algorithms=(), declaration=_declared(version, encoding), info=info)
    bag.overrides = {names[name]: data for name, data in overrides.items()}
    return Case(bag)


def _declared(version: str, encoding: str = "UTF-8") -> bytes:
    return f"BagIt-Version: {version}\nTag-File-Character-Encoding: {encoding}\n".encode()


def _listed(case: Case) -> bytes:
    return case.bag.files()[MD5]


def _listing(line: str, version: str = "1.0") -> Case:
    """A bag whose manifest has one line more."""
    return _bag(version, manifest=_listed(_bag()) + f"{line}\n".encode())


def _relisted(old: bytes, new: bytes) -> Case:
    """A bag whose manifest is written otherwise."""
    return _bag(manifest=_listed(_bag()).replace(old, new))


def _named(name: str, listed: str | None = None, version: str = "1.0") -> Case:
    """A bag of one file, listed as its version wants or otherwise."""
    bag = BagBuilder(payload={name: b"x"}, algorithms=("md5",), tag_algorithms=(), declaration=_declared(version))
    if listed is not None:
        line = manifest("md5", {"": b"x"}).removesuffix(b"\n") + f"data/{listed}\n".encode()
        bag.overrides = {MD5: line}
    return Case(bag)


def _encoded(encoding: str, declared: str | None = None) -> Case:
    """A bag whose tag files are in an encoding, and declared to be in the same or another."""
    bag = BagBuilder(payload={"W1/images/\u0416.jpg": b"x"}, algorithms=("md5",), tag_algorithms=())
    bag.declaration = _declared("1.0", declared or encoding)
    bag.overrides = {name: bag.files()[name].decode().encode(encoding) for name in (MD5, INFO)}
    return Case(bag)


def _partial(version: str) -> Case:
    """A bag of two manifests, of which one lists a file less."""
    bag = BagBuilder(algorithms=("md5", "sha512"), tag_algorithms=(), declaration=_declared(version))
    bag.overrides = {MD5: b"".join(bag.files()[MD5].splitlines(keepends=True)[1:])}
    return Case(bag)


def _fetched(line: str, **overrides: bytes | None) -> Case:
    case = _bag(info="", **overrides)
    case.bag.tags["fetch.txt"] = f"{line}\n".encode()
    return case


def _tagged(*others: str, version: str = "1.0", left_out: str = "") -> Case:
    """A bag with a tag manifest, right in all it says, that lists other files too or leaves one out."""
    bag = BagBuilder(algorithms=("md5",), tag_algorithms=(), tags={"notes.txt": b"notes"})
    bag.declaration = _declared(version)
    if TAGS in others:
        bag.tags["tagmanifest-sha1.txt"] = b""
        others = ("tagmanifest-sha1.txt",)
    found = bag.files()
    listed = {name: data for name, data in found.items() if not name.startswith("data/") or name in others}
    if "tagmanifest-sha1.txt" not in others:
        listed.pop("tagmanifest-sha1.txt", None)
    listed.pop(left_out, None)
    bag.overrides = {TAGS: manifest("md5", listed)}
    return Case(bag)


def _changed_tag(case: Case, data: bytes | None) -> Case:
    case.bag.overrides["notes.txt"] = data
    return case


def _own_algorithm(name: str, algorithm: str) -> Case:
    """A bag whose only payload manifest has a name of its own."""
    bag = BagBuilder(algorithms=(), tag_algorithms=())
    payload = {name: data for name, data in bag.files().items() if name.startswith("data/")}
    bag.tags = {name: manifest(algorithm, payload)}
    return Case(bag)


def _beside(name: str, checksum: bytes) -> Case:
    """A bag with one more manifest, which has one checksum for all files or is empty."""
    case = _bag()
    listed = b"".join(checksum + line[32:] for line in _listed(case).splitlines(keepends=True))
    case.bag.overrides = {name: listed if checksum else b""}
    return case


def _forms(*names: str, listed: str) -> Case:
    """A bag whose manifest lists one name, while files of the same bytes have others."""
    bag = BagBuilder(payload=dict.fromkeys(names, b"x"), algorithms=("md5",), tag_algorithms=(), info="A: b\n")
    bag.overrides = {MD5: manifest("md5", {f"data/{listed}": b"x"})}
    return Case(bag)


def _raw(missing: str, version: str) -> Case:
    """A bag of files of the same bytes, listed without any encoding, of which one is missing."""
    bag = BagBuilder(payload=dict.fromkeys(READ_ALIKE, b"x"), algorithms=("md5",), tag_algorithms=(), info="A: b\n")
    bag.declaration = _declared(version)
    lines = (manifest("md5", {"": b"x"}).strip() + f"  data/{name}\n".encode() for name in READ_ALIKE)
    bag.overrides = {MD5: b"".join(lines), f"data/{missing}": None}
    return Case(bag)


def _replaced(name: str, make: Callable[[Path], object]) -> Case:
    """A bag in which something else stands in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return Case(BagBuilder(algorithms=("md5",), tag_algorithms=(), info="A: b\n"), change)


def _folder_link(folder: Path) -> None:
    """Move a folder of the payload aside, and leave a link to it."""
    (folder / "data/W1/images").rename(folder / "data/W1/archive")
    (folder / "data/W1/images").symlink_to("archive")


_BOM = b"\xef\xbb\xbf"
_FIRST = _listed(_bag()).decode().splitlines()[0]

CASES: dict[str, Case] = {
    **{f"good {version}": _bag(version) for version in ("0.93", "0.94", "0.95", "0.96", "0.97", "1.0")},
    **{
        f"proven by {name}": Case(BagBuilder(algorithms=(name,), tag_algorithms=()))
        for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s")
    },
    "several algorithms": Case(BagBuilder(algorithms=("md5", "sha1", "sha256", "sha384"))),
    "tag directory": Case(BagBuilder(tags={"meta/notes.txt": b"x"})),
    "tag file that no tag manifest lists": _tagged(left_out="notes.txt"),
    "no metadata": _bag(info_file=None),
    "no payload file": Case(BagBuilder(payload={})),
    "empty folder": Case(BagBuilder(), lambda folder: (folder / "data/W1/archive").mkdir()),
    "folder without a bag": Case(BagBuilder(), lambda folder: (shutil.rmtree(folder), folder.mkdir())),
    # RFC 8493 §2.1.1
    "no declaration": _bag(declared=None),
    "empty declaration": _bag(declared=b""),
    "byte-order mark in the declaration": _bag(declared=_BOM + DECLARATION),
    "third line in the declaration": _bag(declared=DECLARATION + b"Other: x\n"),
    "blank line in the declaration": _bag(declared=DECLARATION + b"\n"),
    "lines of the declaration exchanged": _bag(declared=b"".join(DECLARATION.splitlines(keepends=True)[::-1])),
    "blank before the declaration's colon": _bag(declared=DECLARATION.replace(b"Version:", b"Version :")),
    "two blanks in the declaration": _bag(declared=DECLARATION.replace(b": 1.0", b":  1.0")),
    "declaration without encoding": _bag(declared=DECLARATION.splitlines(keepends=True)[0]),
    **{f"version {version}": _bag(version) for version in ("0.92", "0.98", "1.00", "01.0", "1.1", "2.0", "1")},
    "unknown encoding": _bag(encoding="none"),
    "encoding that is no text": _bag(encoding="hex"),
    # RFC 8493 §2.1.2, §2.1.3
    "no payload folder": Case(
        BagBuilder(payload={}, tag_algorithms=()), lambda folder: (folder / "data").rmdir()
    ),
    "no manifest": _bag(manifest=None),
    "empty manifest": _bag(manifest=b""),
    "changed file": _bag(page=b"first pagE"),
    "missing file": _bag(page=None, info=""),
    "unlisted file": _bag(new=b"x", info=""),
    "unlisted file in 0.97": _bag("0.97", new=b"x", info=""),
    "file in one manifest of two": _partial("1.0"),
    "file in one manifest of two in 0.97": _partial("0.97"),
    "listed twice": _listing(_FIRST),
    "listed twice in 0.97": _listing(_FIRST, "0.97"),
    "listed twice with another checksum": _listing(f"{ZERO}  {PAGE}"),
    "listed twice with another checksum in 0.97": _listing(f"{ZERO}  {PAGE}", "0.97"),
    "listed and missing": _listing(f"{ZERO}  data/x"),
    "very many listed and missing": _listing("\n".join(f"{ZERO}  data/{number}" for number in range(10_001))),
    "nonsense in a manifest": _listing("nonsense"),
    "comment in a manifest": _listing("# made by hand"),
    "checksum that is too short": _relisted(_FIRST[:32].encode(), _FIRST[:31].encode()),
    "checksum that is none": _relisted(_FIRST[:32].encode(), b"?" * 32),
    "checksums in capitals": _bag(
        manifest=b"".join(line[:32].upper() + line[32:] for line in _listed(_bag()).splitlines(keepends=True))
    ),
    "tag file in a payload manifest": _listing(manifest("md5", {"bagit.txt": DECLARATION}).decode().strip()),
    "climbing name": _listing(f"{ZERO}  data/../../x"),
    "name that climbs within the bag": _relisted(b"data/W1/images", b"data/x/../W1/images"),
    "absolute name": _listing(f"{ZERO}  /etc/passwd"),
    "home folder": _listing(f"{ZERO}  ~/x"),
    "home folder in a tag manifest": Case(BagBuilder(tags={"~/x": b"x"}, overrides={"~/x": None})),
    "tilde at the beginning of a tag file's name": Case(BagBuilder(tags={"~x": b"x"})),
    "tilde and a user's name": Case(BagBuilder(tags={"~root": b"x"})),
    "drive letter": _listing(f"{ZERO}  C:\\x"),
    "empty component": _relisted(b"data/W1", b"data//W1"),
    "dot as a component": _relisted(b"data/W1", b"data/./W1"),
    "dot at the beginning": _relisted(b"data/W1", b"./data/W1"),
    "binary mark": _relisted(b"  ", b" *"),
    "tab": _relisted(b"  ", b"\t"),
    "NUL in a name": _listing(f"{ZERO}  data/a\0b"),
    "name of over 255 bytes": _listing(f"{ZERO}  data/{'x' * 256}"),
    "name in another case": _relisted(b"images/I1", b"IMAGES/I1"),
    "backslashes as slashes": _relisted(b"/", b"\\"),
    "line break in a name": _named("W1/images/a\nb"),
    "three line breaks in a name": _named("W1/images/a\nb\nc\nd"),
    "line break encoded in small letters": _named("W1/images/a\nb", "W1/images/a%0ab"),
    "percent sign": _named("W1/images/100%"),
    "file of an operating system": _named("W1/images/.DS_Store"),
    "encoded percent sign in a name that nobody encoded": _named("W1/images/a%25", "W1/images/a%25"),
    "percent sign that nobody encoded": _named("W1/images/100%", "W1/images/100%"),
    "encoded line break in a name of 0.97": _named("W1/images/a%0Ab", "W1/images/a%0Ab", "0.97"),
    **{
        f"{name} beside another that reads like it, missing, {version}": _raw(name, version)
        for name in READ_ALIKE for version in ("0.97", "1.0")
    },
    "blank at a name's end": _named("W1/images/a "),
    "name that isn't UTF-8": _named(os.fsdecode(b"W1/images/\xff.jpg")),
    "backslash in a name": _named("W1/images/a\\b"),
    "form feed in a name": _named("W1/images/a\x0cb"),
    "control character in a name": _named("W1/images/a\x1bb"),
    "name in another Unicode form": _forms(DECOMPOSED, listed=COMPOSED),
    "unlisted file in another Unicode form": _forms(COMPOSED, DECOMPOSED, listed=COMPOSED),
    "names that differ by case": _named("W1/images/A"),
    # RFC 8493 §2.2.1
    "tag manifest": _tagged(),
    "changed tag file": _changed_tag(_tagged(), b"other"),
    "changed tag file in 0.96": _changed_tag(_tagged(version="0.96"), b"other"),
    "missing tag file": _changed_tag(_tagged(), None),
    "tag manifest of an algorithm of its own": Case(BagBuilder(tag_algorithms=("sha1",))),
    "changed tag file by an algorithm of its own": Case(
        BagBuilder(tags={"notes.txt": b"x"}, tag_algorithms=("sha1",), overrides={"notes.txt": b"y"})
    ),
    "payload file in a tag manifest": _tagged(PAGE),
    "tag manifest in a tag manifest": _tagged(TAGS),
    "payload manifest in no tag manifest": _tagged(left_out=MD5),
    "payload manifest in no tag manifest of 0.97": _tagged(left_out=MD5, version="0.97"),
    # RFC 8493 §2.2.2
    "wrong Oxum": _bag(info="Payload-Oxum: 1.1\n"),
    "wrong Oxum in small letters": _bag(info="payload-oxum: 1.1\n"),
    "wrong Oxum in package-info.txt": Case(
        BagBuilder(declaration=_declared("0.95"), tags={"package-info.txt": b"Payload-Oxum: 1.1\n"})
    ),
    "Oxum that is no number": _bag(info="Payload-Oxum: a.b\n"),
    "Oxum that is one number": _bag(info="Payload-Oxum: 11010\n"),
    "Oxum twice": _bag(info=OXUM * 2),
    "Oxum twice in 0.97": _bag("0.97", info=OXUM * 2),
    "two Oxums that contradict each other in 0.97": _bag("0.97", info=f"{OXUM}Payload-Oxum: 1.1\n"),
    "metadata without a colon": _bag(info="nothing\n"),
    "metadata on several lines": _bag(info=f"A: b\n c\n\td: e\n{OXUM}"),
    "blank before the colon": _bag(info="Payload-Oxum : 11010.3\n"),
    "no blank after the colon": _bag(info="Payload-Oxum:11010.3\n"),
    # RFC 8493 §2.2.3
    "fetch list of files that are there": _fetched(f"https://example.org/1 10 {PAGE}"),
    "fetch list without length": _fetched(f"https://example.org/1 - {PAGE}"),
    "fetch list with another length": _fetched(f"https://example.org/1 11 {PAGE}"),
    "fetch list with a length that is no number": _fetched(f"https://example.org/1 ten {PAGE}"),
    "file to be fetched": _fetched(f"https://example.org/1 10 {PAGE}", page=None),
    "file to be fetched that no manifest lists": _fetched("https://example.org/1 10 data/W1/images/x"),
    "tag file in the fetch list": _fetched("https://example.org/1 - bagit.txt"),
    "climbing name in the fetch list": _fetched("https://example.org/1 - ../../x"),
    "fetch list without URL": _fetched(f"example 10 {PAGE}"),
    "fetch list with an URI without host": _fetched(f"urn:nbn:de:1 10 {PAGE}"),
    "fetch list with an URL that isn't ASCII": _fetched(f"https://example.org/\u00e9 10 {PAGE}"),
    "fetch list with two words": _fetched("https://example.org/1 10"),
    "blank line in the fetch list": _fetched(f"\nhttps://example.org/1 10 {PAGE}"),
    # RFC 8493 §2.3
    **{f"tag files in {name}": _encoded(name) for name in ("UTF-8", "UTF-16", "UTF-32", "ISO-8859-5", "KOI8-R")},
    "tag files in UTF-7": _encoded("UTF-7"),
    "manifest in another encoding": _encoded("ISO-8859-5", "UTF-8"),
    "metadata in another encoding": Case(
        BagBuilder(tag_algorithms=(), overrides={INFO: f"Contact-Name: \u00e9\n{OXUM}".encode("latin-1")})
    ),
    "byte-order mark in a manifest": _bag(manifest=_BOM + _listed(_bag())),
    "lines that end with CR and LF": _relisted(b"\n", b"\r\n"),
    "lines that end with CR": _relisted(b"\n", b"\r"),
    "blank lines in a manifest": _relisted(b"\n", b"\n\n"),
    "2,000 blank lines in a manifest": _listing("\n" * 2000),
    # RFC 8493 §2.4
    "unknown algorithm": _own_algorithm("manifest-crc32.txt", "md5"),
    "unknown algorithm beside a known one": _beside("manifest-crc32.txt", b""),
    "algorithm in capitals beside another, and a changed file": _beside("manifest-SHA1.txt", b"1" * 40),
    "algorithm in capitals": _own_algorithm("manifest-SHA512.txt", "sha512"),
    "algorithm with a dash": _own_algorithm("manifest-sha-512.txt", "sha512"),
    "algorithm with an underscore of Python's": _own_algorithm("manifest-sha3256.txt", "sha3_256"),
    # RFC 8493 §5.1, and what stands in a folder beside files
    "link to a file of the bag": _replaced(PAGE, lambda path: path.symlink_to("../../sources/readme.txt")),
    "link to the same bytes in the bag": Case(
        BagBuilder(payload={"W1/images/1": b"x", "W1/images/2": b"x"}, tag_algorithms=()),
        lambda folder: (
            (folder / "data/W1/images/2").unlink(),
            (folder / "data/W1/images/2").symlink_to("1"),
        ),
    ),
    "link that leads outside": _replaced(PAGE, lambda path: path.symlink_to("/dev/null")),
    "link to nothing": _replaced(PAGE, lambda path: path.symlink_to("nothing")),
    "link to a folder": Case(BagBuilder(info="A: b\n", tag_algorithms=()), _folder_link),
    "link beside the payload": _replaced("notes.txt", lambda path: path.symlink_to("bagit.txt")),
    "pipe in the place of a file": _replaced(PAGE, os.mkfifo),
    "pipe that isn't listed": _replaced("data/W1/images/pipe", os.mkfifo),
    "pipe beside the payload": _replaced("pipe", os.mkfifo),
}  # fmt: skip
