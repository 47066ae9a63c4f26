"""Reading tag files: bagit.txt, bag-info.txt, fetch.txt and manifests (RFC 8493 §2).

Pure functions from bytes to facts. What is wrong is appended to the caller's
list of defects, and a file that breaks a rule is read on as far as it makes
sense, so that all its defects are found at once.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from glacier_sync.bags.defects import Defect, InvalidDeclaration, InvalidTagFile, UnsupportedAlgorithm
from glacier_sync.bags.names import has_raw_percent, readings, shown, unsafe
from glacier_sync.hashing.digests import HEX_DIGITS, SUPPORTED, normalised

DECLARATION = "bagit.txt"
FETCH = "fetch.txt"
PAYLOAD_PREFIX = "data/"

_SUPPORTED_VERSIONS = frozenset({(0, 93), (0, 94), (0, 95), (0, 96), (0, 97), (1, 0)})
_MANIFEST_NAME = re.compile(r"(tag)?manifest-([^/]+)\.txt")
_DECLARATION_LINES = (
    (re.compile(r"BagIt-Version: ([0-9]{1,4}\.[0-9]{1,4})"), "BagIt-Version: M.N"),
    (re.compile(r"Tag-File-Character-Encoding: (\S+)"), "Tag-File-Character-Encoding: ENCODING"),
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_MANIFEST_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+\*?(.+)", re.DOTALL)
_FETCH_LINE = re.compile(r"(\S+)[ \t]+(?:[0-9]+|-)[ \t]+(.+)", re.DOTALL)
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


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a manifest: the names it can stand for, the likeliest first, and its checksum."""

    names: tuple[str, ...]
    checksum: str
    line: int


@dataclass(frozen=True)
class Manifest:
    """A payload or tag manifest; its algorithm may be one that isn't supported."""

    file: str
    algorithm: str
    of_tags: bool
    entries: tuple[Listed, ...]

    @property
    def supported(self) -> bool:
        """Whether its checksums can be computed here."""
        return self.algorithm in HEX_DIGITS


@dataclass(frozen=True)
class Fetched:
    """A line of fetch.txt: where a file is, and the names it can stand for."""

    url: str
    names: tuple[str, ...]


def manifest_kind(name: str) -> tuple[bool, str] | None:
    """Return whether a file is a tag manifest, and its algorithm; None if it is no manifest."""
    match = _MANIFEST_NAME.fullmatch(name)
    return (match.group(1) is not None, normalised(match.group(2))) if match else None


def parse_declaration(path: str, data: bytes, defects: list[Defect]) -> Declaration:
    """Read bagit.txt: exactly two lines, in UTF-8 without a byte-order mark (RFC 8493 §2.1.1)."""
    if data.startswith(codecs.BOM_UTF8):
        defects.append(InvalidDeclaration(path, "begins with a byte-order mark", "none"))
        data = data.removeprefix(codecs.BOM_UTF8)
    lines = _lines(data.decode("utf-8", "surrogateescape"))
    if len(lines) != len(_DECLARATION_LINES):
        defects.append(InvalidDeclaration(path, f"has {len(lines)} lines", "exactly 2"))
    values = []
    for (pattern, form), line in zip(_DECLARATION_LINES, [*lines, "", ""], strict=False):
        match = pattern.fullmatch(line)
        values.append(match.group(1) if match else None)
        if not match:
            defects.append(InvalidDeclaration(path, f"has the line {_quoted(line)}", f"'{form}'"))
    return Declaration(_version(path, values[0], defects), _encoding(path, values[1], defects))


def _version(path: str, text: str | None, defects: list[Defect]) -> tuple[int, int]:
    if text is None:
        return Declaration.version
    major, _, minor = text.partition(".")
    version = (int(major), int(minor))
    if version not in _SUPPORTED_VERSIONS:
        known = ", ".join(f"{a}.{b}" for a, b in sorted(_SUPPORTED_VERSIONS))
        defects.append(InvalidDeclaration(path, f"declares BagIt version {text}", f"one of {known}"))
    return version


def _encoding(path: str, name: str | None, defects: list[Defect]) -> str:
    if name is None:
        return Declaration.encoding
    try:
        # Codecs that aren't of text are refused only when there is something to decode.
        bytes(4).decode(name, "replace")
    except (LookupError, ValueError):
        defects.append(InvalidDeclaration(path, f"declares the encoding {_quoted(name)}, which isn't known", "UTF-8"))
        return Declaration.encoding
    return name


def parse_manifest(
    path: str, file: str, data: bytes, declaration: Declaration, defects: list[Defect]
) -> Manifest | None:
    """Read a payload or tag manifest (RFC 8493 §2.1.3, §2.2.1); None if its text can't be decoded.

    ``file`` is its name in the bag. The mark of md5sum's binary mode (§6.1.3)
    and blank lines are passed over.
    """
    of_tags, algorithm = manifest_kind(file) or (False, "")
    digits = HEX_DIGITS.get(algorithm)
    if digits is None:
        defects.append(UnsupportedAlgorithm(path, algorithm, ", ".join(SUPPORTED)))
    text = _decode(path, data, declaration, defects)
    if text is None:
        return None
    matches = [(number, line, _MANIFEST_LINE.fullmatch(line)) for number, line in enumerate(_lines(text), 1) if line]
    raw_percent = any(match and has_raw_percent(match.group(2)) for _, _, match in matches)
    entries = []
    for number, line, match in matches:
        if match is None:
            problem: _Problem | None = f"is {_quoted(line)}", "a checksum and a name"
        else:
            names = readings(match.group(2), version=declaration.version, raw_percent=raw_percent)
            problem = _listing_problem(names[0], declaration, of_tags=of_tags)
            if digits is not None and len(match.group(1)) != digits:
                found = len(match.group(1))
                problem = f"has a checksum of {found} hexadecimal digits", f"the {digits} of {algorithm}"
            if problem is None:
                entries.append(Listed(names, match.group(1).lower(), number))
        if problem is not None:
            defects.append(InvalidTagFile(path, *problem, number))
    return Manifest(file, algorithm, of_tags, tuple(entries))


def parse_oxum(path: str, data: bytes, declaration: Declaration, defects: list[Defect]) -> list[tuple[int, int]]:
    """Return every ``Payload-Oxum`` of bag-info.txt as bytes and files (RFC 8493 §2.2.2)."""
    sums = []
    for number, label, value in _elements(path, _decode(path, data, declaration, defects) or "", defects):
        if label.lower() != "payload-oxum":
            continue
        match = _OXUM.fullmatch(value)
        if match:
            sums.append((int(match.group(1)), int(match.group(2))))
        else:
            found = f"has the Payload-Oxum {_quoted(value)}"
            defects.append(InvalidTagFile(path, found, "bytes.files, two numbers", number))
    if len(sums) > 1 and declaration.version >= (1, 0):
        defects.append(InvalidTagFile(path, f"has {len(sums)} Payload-Oxum", "one at most"))
    return sums


def _elements(path: str, text: str, defects: list[Defect]) -> list[tuple[int, str, str]]:
    """Return the line number, label and value of each element, continued lines joined."""
    elements: list[tuple[int, str, str]] = []
    for number, line in enumerate(_lines(text), 1):
        label, colon, value = line.partition(":")
        if not line.strip():
            continue
        if line[0] in " \t" and elements:
            start, earlier, begun = elements[-1]
            elements[-1] = (start, earlier, f"{begun} {line.strip()}")
        elif colon and label.strip():
            elements.append((number, label.strip(), value.strip()))
        else:
            defects.append(InvalidTagFile(path, f"is {_quoted(line)}", "a label, a colon and a value", number))
    return elements


def parse_fetch(path: str, data: bytes, declaration: Declaration, defects: list[Defect]) -> list[Fetched]:
    """Read fetch.txt (RFC 8493 §2.2.3)."""
    entries = []
    for number, line in enumerate(_lines(_decode(path, data, declaration, defects) or ""), 1):
        if not line:
            continue
        match = _FETCH_LINE.fullmatch(line)
        if match is None:
            defects.append(InvalidTagFile(path, f"is {_quoted(line)}", "URL, length and name", number))
            continue
        names = readings(match.group(2), version=declaration.version, raw_percent=has_raw_percent(match.group(2)))
        problem = _listing_problem(names[0], declaration, of_tags=False)
        if problem is None:
            entries.append(Fetched(match.group(1), names))
        else:
            defects.append(InvalidTagFile(path, *problem, number))
    return entries


def _listing_problem(name: str, declaration: Declaration, *, of_tags: bool) -> _Problem | None:
    danger = unsafe(name)
    if danger is None and name.startswith("~"):
        danger = "begins with '~'"
    if danger is not None:
        return f"lists {_quoted(name)}, which {danger}", "a file of the bag"
    payload = name.startswith(PAYLOAD_PREFIX)
    if of_tags and payload:
        return f"lists {_quoted(name)}, a payload file", "tag files"
    if of_tags and declaration.version >= (1, 0) and (manifest_kind(name) or (False,))[0]:
        return f"lists {_quoted(name)}, a tag manifest", "other tag files"
    if not of_tags and not payload:
        return f"lists {_quoted(name)}, which isn't in {PAYLOAD_PREFIX}", "payload files"
    return None


def _decode(path: str, data: bytes, declaration: Declaration, defects: list[Defect]) -> str | None:
    """Return a tag file's text, or None if it isn't in the declared encoding.

    In UTF-8, bytes that aren't valid are kept as names on disk keep them.
    """
    if codecs.lookup(declaration.encoding).name == "utf-8":
        if data.startswith(codecs.BOM_UTF8):
            defects.append(InvalidTagFile(path, "begins with a byte-order mark", "none in UTF-8"))
            data = data.removeprefix(codecs.BOM_UTF8)
        return data.decode("utf-8", "surrogateescape")
    try:
        return data.decode(declaration.encoding).removeprefix("\ufeff")
    except ValueError as error:
        found = f"isn't in the declared encoding {declaration.encoding} ({error})"
        defects.append(InvalidTagFile(path, found, "the whole file in it"))
        return None


def _lines(text: str) -> list[str]:
    lines = _LINE_BREAK.split(text)
    return lines if lines[-1] else lines[:-1]


def _quoted(text: str) -> str:
    return f"'{shown(text)}'" if len(text) <= _QUOTED_LENGTH else f"'{shown(text[:_QUOTED_LENGTH])}…'"
