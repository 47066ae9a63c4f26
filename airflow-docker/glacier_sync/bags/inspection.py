"""Judging a bag without reading its payload: declaration, manifests, Oxum, completeness.

RFC 8493 §3. What is left are checks: the checksum that each file must have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from glacier_sync.bags.bag_warnings import (
    BagWarning,
    MissingTagFile,
    OtherEncoding,
    OtherUnicodeForm,
    UnlistedTagFile,
    WeakAlgorithm,
    divided,
)
from glacier_sync.bags.defects import (
    Defect,
    InvalidDeclaration,
    InvalidTagFile,
    MissingElement,
    MissingFile,
    UnfetchedFile,
    UnlistedFile,
    WrongOxum,
)
from glacier_sync.bags.matching import Matches, find_works, match
from glacier_sync.bags.portability import odd_names, similar_names
from glacier_sync.bags.sources import Bag, DamagedFileError, Source
from glacier_sync.bags.tagfiles import (
    DECLARATION,
    FETCH,
    PAYLOAD_PREFIX,
    Declaration,
    Listed,
    Manifest,
    manifest_kind,
    parse_declaration,
    parse_fetch,
    parse_manifest,
    parse_oxum,
)
from glacier_sync.hashing.digests import WEAK

_LARGEST_TAG_FILE = 256 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """A checksum that a file must have, and the manifest that says so."""

    algorithm: str
    checksum: str
    manifest: str


@dataclass
class Inspection:
    """What is known of a bag before its files are hashed; ``checks`` by name in the bag."""

    bag: Bag
    defects: list[Defect]
    works: Mapping[str, str] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ()
    warnings: list[BagWarning] = field(default_factory=list)
    checks: dict[str, list[Check]] = field(default_factory=lambda: defaultdict(list))

    @property
    def payload(self) -> dict[str, int]:
        """The payload files with their sizes in bytes."""
        return {name: size for name, size in self.bag.files.items() if name.startswith(PAYLOAD_PREFIX)}


def inspect(source: Source, bag: Bag, *, warnings_as_errors: Collection[str] = ()) -> Inspection:
    """Read a bag's tag files and judge all that doesn't need its payload.

    Warnings of the kinds that are ``warnings_as_errors`` are among the defects.
    """
    found = _Inspector(source, bag).inspect()
    errors, found.warnings = divided(found.warnings, warnings_as_errors)
    found.defects += errors
    return found


class _Inspector:
    def __init__(self, source: Source, bag: Bag) -> None:
        self._source = source
        self._bag = bag
        self._found = Inspection(bag, list(bag.defects))
        self._defects = self._found.defects
        self._payload = self._found.payload
        self._tags = bag.files.keys() - self._payload.keys()

    def inspect(self) -> Inspection:
        declaration = self._declaration()
        if not self._payload and "data" not in self._bag.folders:
            self._defects.append(MissingElement(self._path(PAYLOAD_PREFIX), "isn't in the bag", "its payload"))
        self._judge_oxum(declaration)
        manifests = list(self._manifests(declaration))
        payload = [manifest for manifest in manifests if not manifest.of_tags]
        self._judge_payload(declaration, payload, self._unfetched(declaration))
        self._judge_tags(declaration, [manifest for manifest in manifests if manifest.of_tags])
        self._found.algorithms = tuple(sorted({manifest.algorithm for manifest in payload}))
        self._found.works = find_works(self._payload, self._bag.name)
        self._warn(declaration, manifests)
        return self._found

    def _warn(self, declaration: Declaration, manifests: Sequence[Manifest]) -> None:
        warnings = self._found.warnings
        if self._found.algorithms and WEAK.issuperset(self._found.algorithms):
            weak = " and ".join(self._found.algorithms)
            for manifest in manifests:
                if not manifest.of_tags:
                    found = f"is the bag's proof, by {weak} alone, which can be forged"
                    warnings.append(WeakAlgorithm(self._path(manifest.file), found, "sha256 or sha512 too"))
        of_tags = [manifest for manifest in manifests if manifest.of_tags]
        for name, is_there, what in (
            (declaration.info_file, declaration.info_file in self._tags, "what says whose bag it is, and its Oxum"),
            ("tagmanifest-sha512.txt", bool(of_tags), "a tag manifest, which proves the tag files"),
        ):
            if not is_there:
                warnings.append(MissingTagFile(self._path(name), "isn't in the bag", what))
        if of_tags:
            listed = self._found.checks.keys()
            unlisted = (name for name in self._tags if name not in listed and not name.startswith("tagmanifest-"))
            for name in sorted(unlisted):
                found = "isn't listed in any tag manifest, so nothing proves it"
                warnings.append(UnlistedTagFile(self._path(name), found, "every tag file in one"))
        warnings += odd_names(self._bag.files, self._bag.prefix)
        warnings += similar_names(self._bag.files, self._bag.prefix)

    def _declaration(self) -> Declaration:
        if DECLARATION not in self._bag.files:
            self._defects.append(InvalidDeclaration(self._path(DECLARATION), "isn't in the bag", "its declaration"))
            return Declaration()
        data = self._read(DECLARATION)
        if data is None:
            return Declaration()
        return parse_declaration(self._path(DECLARATION), data, self._defects)

    def _judge_oxum(self, declaration: Declaration) -> None:
        name = declaration.info_file
        data = self._read(name) if name in self._tags else None
        if data is None:
            return
        size, files = sum(self._payload.values()), len(self._payload)
        for expected in parse_oxum(self._path(name), data, declaration, self._defects):
            if expected != (size, files):
                said = f"{expected[0]}.{expected[1]}"
                self._defects.append(WrongOxum(self._path(name), said, f"{size}.{files}"))

    def _manifests(self, declaration: Declaration) -> Iterator[Manifest]:
        names = sorted(name for name in self._tags if manifest_kind(name))
        if all(name.startswith("tag") for name in names):
            wanted = self._path("manifest-sha512.txt")
            self._defects.append(MissingElement(wanted, "isn't in the bag", "a payload manifest"))
        for name in names:
            data = self._read(name)
            manifest = None
            if data is not None:
                manifest = parse_manifest(self._path(name), name, data, declaration, self._defects)
            if manifest is not None:
                yield manifest

    def _unfetched(self, declaration: Declaration) -> dict[str, str]:
        """Return the URLs of files that fetch.txt lists and the bag hasn't, by each name they can have."""
        data = self._read(FETCH) if FETCH in self._tags else None
        if data is None:
            return {}
        entries = parse_fetch(self._path(FETCH), data, declaration, self._defects)
        absent = [entry for entry in entries if self._payload.keys().isdisjoint(entry.names)]
        self._defects += [UnfetchedFile(self._path(entry.names[0]), entry.url) for entry in absent]
        return {name: entry.url for entry in absent for name in entry.names}

    def _judge_payload(
        self, declaration: Declaration, manifests: Sequence[Manifest], unfetched: Mapping[str, str]
    ) -> None:
        listed: set[str] = set()
        for manifest in manifests:
            matches = self._match(declaration, manifest, self._payload)
            self._defects += [
                MissingFile(self._path(line.names[0]), manifest.file, manifest.algorithm, line.checksum)
                for line in matches.missing
                if line.names[0] not in unfetched
            ]
            listed |= matches.by_file.keys()
            if declaration.version >= (1, 0):
                self._unlisted(matches.by_file, manifest.file)
        if manifests and declaration.version < (1, 0):
            self._unlisted(listed, "any payload manifest")

    def _judge_tags(self, declaration: Declaration, manifests: Sequence[Manifest]) -> None:
        required = [name for name in sorted(self._tags) if manifest_kind(name) and not name.startswith("tag")]
        for manifest in manifests:
            matches = self._match(declaration, manifest, self._tags)
            self._defects += [
                MissingFile(self._path(line.names[0]), manifest.file, manifest.algorithm, line.checksum)
                for line in matches.missing
            ]
            if declaration.version >= (1, 0):
                self._defects += [
                    UnlistedFile(self._path(name), manifest.file) for name in required if name not in matches.by_file
                ]

    def _match(self, declaration: Declaration, manifest: Manifest, files: Mapping[str, int] | set[str]) -> Matches:
        matches = match(manifest.entries, files)
        for again, first in matches.repeated:
            if declaration.version >= (1, 0) or again.checksum != first.checksum:
                found = f"lists {again.names[0]} again, after line {first.line}"
                self._defects.append(InvalidTagFile(self._path(manifest.file), found, "each file once", again.line))
        if manifest.supported:
            for name, line in matches.by_file.items():
                self._found.checks[name].append(Check(manifest.algorithm, line.checksum, manifest.file))
        for name, line in matches.by_file.items():
            if name != line.names[0]:
                self._found.warnings.append(_otherwise(self._path(name), name, line, manifest.file))
        return matches

    def _unlisted(self, listed: Mapping[str, object] | set[str], manifest: str) -> None:
        self._defects += [UnlistedFile(self._path(name), manifest) for name in self._payload if name not in listed]

    def _read(self, name: str) -> bytes | None:
        """Return a tag file's bytes; None, and a defect, if they can't be had."""
        if name in self._bag.refused:
            return None
        if self._bag.files[name] > _LARGEST_TAG_FILE:
            found, expected = f"has {self._bag.files[name]} bytes", f"a list, {_LARGEST_TAG_FILE} at most"
            self._defects.append(InvalidTagFile(self._path(name), found, expected))
            return None
        try:
            return b"".join(map(bytes, self._source.chunks(self._path(name), checked=False)))
        except DamagedFileError as error:
            self._defects.append(error.defect)
            return None

    def _path(self, name: str) -> str:
        return f"{self._bag.prefix}{name}"


def _otherwise(path: str, name: str, line: Listed, manifest: str) -> BagWarning:
    """Return the warning about a file that a manifest lists by another name than its own."""
    listed = f"is listed in {manifest} as {line.names[0]!a}"
    if name in line.names:
        return OtherEncoding(path, f"{listed} by its version's rules", "its name, encoded as the version of BagIt does")
    return OtherUnicodeForm(path, f"{listed}, another Unicode form of its name", "its name byte for byte")
