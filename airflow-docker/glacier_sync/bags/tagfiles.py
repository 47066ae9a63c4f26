"""Reading tag files: bagit.txt, bag-info.txt, fetch.txt and manifests (RFC 8493 §2).

Pure functions from lines to facts. What is wrong is told to the caller, and a file
that breaks a rule is read on as far as it makes sense, so that all its defects are
found at once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glacier_sync.bags.defects import Findings, InvalidDeclaration
from glacier_sync.bags.lines import Tell, UnreadableLinesError, is_supported_encoding
from glacier_sync.bags.names import has_raw_percent, readings, shown, unsafe
from glacier_sync.hashing.digests import HEX_DIGITS, normalised

DECLARATION = "bagit.txt"
FETCH = "fetch.txt"
PAYLOAD_PREFIX = "data/"

VERSIONS = ("0.93", "0.94", "0.95", "0.96", "0.97", "1.0")
_MANIFEST_NAME = re.compile(r"(tag)?manifest-([^/]+)\.txt")
_DECLARATION_LINES = (
    (re.compile(r"BagIt-Version: ([0-9]{1,4}\.[0-9]{1,4})"), "BagIt-Version: M.N"),
    (re.compile(r"Tag-File-Character-Encoding: (\S+)"), "Tag-File-Character-Encoding: ENCODING"),
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_MANIFEST_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+(\*?)(.+)", re.DOTALL)
_FETCH_LINE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:[!-~]+)[ \t]+([0-9]{1,20}|-)[ \t]+(.+)", re.DOTALL)
_LONGEST_VALUE = 1 << 12
_QUOTED_LENGTH = 200
_Problem = tuple[str, str]
_OXUM = re.compile(r"([0-9]{1,20})\.([0-9]{1,20})")


@dataclass(frozen=True)
class Declaration:
    """What bagit.txt declares; the defaults stand in for what can't be read."""

    version: tuple[int, int] = (1, 0)
    encoding: str = "UTF-8"

    @property
    def info_file(self) -> str:
        """The name of the file of metadata, which was another one before version 0.96."""
        return "bag-info.txt" if self.version >= (0, 96) else "package-info.txt"


class Listed(NamedTuple):
    """A line of a manifest: the names it can stand for, the likeliest first, and its checksum."""

    names: tuple[str, ...]
    checksum: str
    line: int


@dataclass(frozen=True)
class Manifest:
    """A payload or tag manifest, by its name in the bag; its algorithm may be one that isn't supported."""

    file: str
    algorithm: str
    of_tags: bool

    @classmethod
    def named(cls, name: str) -> Manifest | None:
        """Return the manifest that a file of this name is, or None."""
        match = _MANIFEST_NAME.fullmatch(name)
        return cls(name, normalised(match.group(2)), match.group(1) is not None) if match else None

    @property
    def supported(self) -> bool:
        """Whether its checksums can be computed here."""
        return self.algorithm in HEX_DIGITS


class Fetched(NamedTuple):
    """A line of fetch.txt: where a file is, its length in bytes if it is told, and the names it can stand for."""

    url: str
    length: int | None
    names: tuple[str, ...]
    line: int


def parse_declaration(path: str, data: bytes, defects: Findings) -> Declaration:
    """Read bagit.txt: exactly two lines, in UTF-8 without a byte-order mark (RFC 8493 §2.1.1)."""
    if data.startswith(codecs.BOM_UTF8):
        defects.append(InvalidDeclaration(path, "begins with a byte-order mark", "none"))
        data = data.removeprefix(codecs.BOM_UTF8)
    lines = _LINE_BREAK.split(data.decode("utf-8", "surrogateescape"))
    if not lines[-1]:
        lines.pop()
    if len(lines) != len(_DECLARATION_LINES):
        defects.append(InvalidDeclaration(path, f"has {len(lines)} lines", "exactly 2"))
    values = []
    for (pattern, form), line in zip(_DECLARATION_LINES, [*lines, "", ""], strict=False):
        match = pattern.fullmatch(line)
        values.append(match.group(1) if match else None)
        if not match:
            defects.append(InvalidDeclaration(path, f"has the line {_quoted(line)}", f"'{form}'"))
    return Declaration(_version(path, values[0], defects), _encoding(path, values[1], defects))


def _version(path: str, text: str | None, defects: Findings) -> tuple[int, int]:
    if text is None:
        return Declaration.version
    if text not in VERSIONS:
        defects.append(InvalidDeclaration(path, f"declares BagIt version {text}", f"one of {', '.join(VERSIONS)}"))
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _encoding(path: str, name: str | None, defects: Findings) -> str:
    if name is None:
        return Declaration.encoding
    if not is_supported_encoding(name):
        defects.append(
            InvalidDeclaration(path, f"declares the encoding {_quoted(name)}, which isn't supported", "UTF-8")
        )
        return Declaration.encoding
    return name


def has_raw_percents(blocks: Iterable[Sequence[str]]) -> bool:
    """Tell whether a manifest's lines have percent signs that RFC 8493 §2.1.3 would have encoded."""
    try:
        return any(has_raw_percent(line) for block in blocks for line in block if "%" in line)
    except UnreadableLinesError:
        # Whoever reads the lines for good meets it again.
        return False


def parse_manifest(
    manifest: Manifest,
    blocks: Iterable[Sequence[str]],
    declaration: Declaration,
    tell: Tell,
    *,
    raw_percent: bool,
    tell_mark: Callable[[int], None] | None = None,
) -> Iterator[Listed]:
    """Yield the lines of a payload or tag manifest that make sense (RFC 8493 §2.1.3, §2.2.1).

    Blank lines are passed over, and so are an asterisk, md5sum's mark of its binary mode
    (§6.1.3), and ``./`` before a name; ``tell_mark`` is called with the first line that has one.
    """
    digits = HEX_DIGITS.get(manifest.algorithm)
    for number, line in _numbered(blocks):
        match = _MANIFEST_LINE.fullmatch(line)
        if match is None:
            tell(f"is {_quoted(line)}", "a checksum and a name", number)
            continue
        checksum, mark, listed = match.groups()
        if tell_mark and (mark or listed.startswith("./")):
            tell_mark(number)
            tell_mark = None
        names = readings(listed, version=declaration.version, raw_percent=raw_percent)
        problem = _listing_problem(names[0], declaration, of_tags=manifest.of_tags)
        if digits is not None and len(checksum) != digits:
            found = f"has a checksum of {len(checksum)} hexadecimal digits"
            problem = found, f"the {digits} of {manifest.algorithm}"
        if problem is None:
            yield Listed(names, checksum, number)
        else:
            tell(*problem, number)


def parse_oxum(blocks: Iterable[Sequence[str]], declaration: Declaration, tell: Tell) -> list[tuple[int, int]]:
    """Return every ``Payload-Oxum`` of bag-info.txt as bytes and files (RFC 8493 §2.2.2)."""
    sums = []
    for number, label, value in _elements(blocks, declaration, tell):
        if label.lower() != "payload-oxum":
            continue
        match = _OXUM.fullmatch(value)
        if match:
            sums.append((int(match.group(1)), int(match.group(2))))
        else:
            tell(f"has the Payload-Oxum {_quoted(value)}", "bytes.files, two numbers", number)
    if len(sums) > 1 and declaration.version >= (1, 0):
        tell(f"has {len(sums)} Payload-Oxum", "one at most", 0)
    return sums


def _elements(blocks: Iterable[Sequence[str]], declaration: Declaration, tell: Tell) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, label and value of each element, continued lines joined."""
    start, label, value = 0, "", ""
    for number, line in _numbered(blocks):
        if line[0] in " \t" and start:
            if len(value) < _LONGEST_VALUE:
                value = f"{value} {line.strip()}"
            continue
        if start:
            yield start, label, value.strip()
            start = 0
        if not line.strip():
            continue
        label, colon, value = line.partition(":")
        if not colon or not label.strip():
            tell(f"is {_quoted(line)}", "a label, a colon and a value", number)
            continue
        start = number
        # Before version 1.0, blanks around the colon were no part of label and value.
        if declaration.version >= (1, 0) and label != label.strip():
            tell(f"has the label {_quoted(label)}", "one without blanks around it", number)
        if declaration.version >= (1, 0) and value[:1] not in {" ", "\t"}:
            tell(f"is {_quoted(line)}", "a blank after the colon", number)
        label = label.strip()
    if start:
        yield start, label, value.strip()


def parse_fetch(blocks: Iterable[Sequence[str]], declaration: Declaration, tell: Tell) -> Iterator[Fetched]:
    """Yield the lines of fetch.txt that make sense (RFC 8493 §2.2.3)."""
    for number, line in _numbered(blocks):
        match = _FETCH_LINE.fullmatch(line)
        if match is None:
            tell(f"is {_quoted(line)}", "URL, length and name", number)
            continue
        url, length, listed = match.groups()
        names = readings(listed, version=declaration.version, raw_percent=has_raw_percent(listed))
        problem = _listing_problem(names[0], declaration, of_tags=False)
        if problem is None:
            yield Fetched(url, None if length == "-" else int(length), names, number)
        else:
            tell(*problem, number)


def _numbered(blocks: Iterable[Sequence[str]]) -> Iterator[tuple[int, str]]:
    """Yield the lines that aren't blank, with their numbers."""
    number = 0
    for block in blocks:
        for line in block:
            number += 1
            if line:
                yield number, line


def _listing_problem(name: str, declaration: Declaration, *, of_tags: bool) -> _Problem | None:
    danger = unsafe(name)
    if danger is not None:
        return f"lists {_quoted(name)}, which {danger}", "a file of the bag"
    payload = name.startswith(PAYLOAD_PREFIX)
    if of_tags and payload:
        return f"lists {_quoted(name)}, a payload file", "tag files"
    manifest = Manifest.named(name) if of_tags and declaration.version >= (1, 0) else None
    if manifest and manifest.of_tags:
        return f"lists {_quoted(name)}, a tag manifest", "other tag files"
    if not of_tags and not payload:
        return f"lists {_quoted(name)}, which isn't in {PAYLOAD_PREFIX}", "payload files"
    return None


def _quoted(text: str) -> str:
    return f"'{shown(text)}'" if len(text) <= _QUOTED_LENGTH else f"'{shown(text[:_QUOTED_LENGTH])}…'"
