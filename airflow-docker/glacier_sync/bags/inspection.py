"""Judging a bag without reading its payload: declaration, Oxum, manifests, completeness.

RFC 8493 §3. What is left are checks: the checksum that each file must have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from glacier_sync.bags.bag_warnings import (
    MarkedNames,
    MissingTagFile,
    OtherEncoding,
    OtherUnicodeForm,
    UnlistedTagFile,
    WeakAlgorithm,
    divided,
)
from glacier_sync.bags.checks import Checks, Column
from glacier_sync.bags.defects import (
    MOST_OF_A_KIND,
    Defect,
    Findings,
    InvalidDeclaration,
    InvalidTagFile,
    MissingElement,
    MissingFile,
    UnfetchedFile,
    UnlistedFile,
    UnsupportedAlgorithm,
    WrongOxum,
)
from glacier_sync.bags.files import NameList
from glacier_sync.bags.lines import Tell, UnreadableLinesError, blocks_of_lines
from glacier_sync.bags.matching import Found, Oddity, find_works, match
from glacier_sync.bags.portability import odd_names, similar_names
from glacier_sync.bags.sources import Bag, DamagedFileError, Source
from glacier_sync.bags.tagfiles import (
    DECLARATION,
    FETCH,
    PAYLOAD_PREFIX,
    Declaration,
    Listed,
    Manifest,
    has_raw_percents,
    parse_declaration,
    parse_fetch,
    parse_manifest,
    parse_oxum,
)
from glacier_sync.hashing.digests import SUPPORTED, WEAK

_LARGEST_DECLARATION = 4 << 10
_LARGEST_METADATA = 16 << 20
_LARGEST_LIST = 1 << 30
_MOST_MANIFESTS = 100
"""Each is held against all others, and takes some bytes for every file; there are some dozen algorithms."""

_MOST_UNFETCHED = 100_000
"""Of so many files that are to be fetched it is known that they are told as such; others are told as missing too."""


@dataclass
class Inspection:
    """What is known of a bag before its files are hashed; ``checks`` are those of its files.

    ``files`` and ``bytes`` count the payload.
    """

    bag: Bag
    defects: list[Defect]
    files: int = 0
    bytes: int = 0
    works: Mapping[str, str] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ()
    warnings: list[Defect] = field(default_factory=list)
    checks: Checks = field(default_factory=lambda: Checks(NameList(), ()))


def inspect(source: Source, bag: Bag, *, warnings_as_errors: Collection[str] = ()) -> Inspection:
    """Read a bag's tag files and judge all that doesn't need its payload.

    Warnings of the kinds that are ``warnings_as_errors`` are among the defects.
    """
    return _Inspector(source, bag).inspect(warnings_as_errors)


class _Inspector:
    def __init__(self, source: Source, bag: Bag) -> None:
        self._source = source
        self._bag = bag
        self._defects = Findings(bag.prefix or bag.name, bag.defects)
        self._warnings = Findings(bag.prefix or bag.name)
        self._tags: dict[str, int] = {}
        self._manifests: list[Manifest] = []
        self._declaration = Declaration()
        self._has_fetch = False
        self._unfetched: set[int] = set()
        # Of those that manifests list, the size of the file that is meant all the same; None if there is none.
        self._sizes: dict[int, int | None] = {}
        self._columns: list[Column] = []

    def inspect(self, warnings_as_errors: Collection[str]) -> Inspection:
        found = Inspection(self._bag, [])
        for name, size in self._bag.files.items():
            if name.startswith(PAYLOAD_PREFIX):
                found.files += 1
                found.bytes += size
            else:
                self._tags[name] = size
        self._manifests = list(filter(None, map(Manifest.named, sorted(self._tags))))
        self._judge_structure(found)
        self._judge_oxum(found)
        self._find_unfetched()
        self._match_manifests()
        self._tell_unfetched()
        self._judge_completeness()
        found.algorithms = tuple(sorted({column.manifest.algorithm for column in self._of_payload()}))
        found.works = find_works((name for name in self._bag.files if name.startswith(PAYLOAD_PREFIX)), self._bag.name)
        found.checks = Checks(self._bag.files, self._columns)
        self._warn(found)
        errors, found.warnings = divided(self._warnings.all(), warnings_as_errors)
        found.defects = [*self._defects.all(), *errors]
        return found

    def _judge_structure(self, found: Inspection) -> None:
        if DECLARATION not in self._tags:
            self._defects.append(InvalidDeclaration(self._path(DECLARATION), "isn't in the bag", "its declaration"))
        elif self._is_readable(DECLARATION, _LARGEST_DECLARATION):
            with self._damage_told():
                data = b"".join(map(bytes, self._source.chunks(self._path(DECLARATION), checked=False)))
                self._declaration = parse_declaration(self._path(DECLARATION), data, self._defects)
        has_payload = found.files or any(f"{name}/".startswith(PAYLOAD_PREFIX) for name in self._bag.folders)
        if not has_payload:
            self._defects.append(MissingElement(self._path(PAYLOAD_PREFIX), "isn't in the bag", "its payload"))
        if all(manifest.of_tags for manifest in self._manifests):
            wanted = self._path("manifest-sha512.txt")
            self._defects.append(MissingElement(wanted, "isn't in the bag", "a payload manifest"))

    def _judge_oxum(self, found: Inspection) -> None:
        name = self._declaration.info_file
        if name not in self._tags or not self._is_readable(name, _LARGEST_METADATA):
            return
        with self._damage_told():
            for size, files in parse_oxum(self._lines(name), self._declaration, self._teller(name)):
                if (size, files) != (found.bytes, found.files):
                    has = f"{found.bytes}.{found.files}"
                    self._defects.append(WrongOxum(self._path(name), f"{size}.{files}", has))

    def _find_unfetched(self) -> None:
        """Note the names of files that fetch.txt leaves to be fetched; as numbers, for the sake of memory."""
        self._has_fetch = FETCH in self._tags and self._is_readable(FETCH, _LARGEST_LIST)
        if self._has_fetch:
            with self._damage_told():
                ignore = self._teller(FETCH, mute=True)
                for entry in parse_fetch(self._lines(FETCH, mute=True), self._declaration, ignore):
                    if not any(name in self._bag.files for name in entry.names):
                        self._unfetched.update(map(hash, entry.names))
                    if len(self._unfetched) >= _MOST_UNFETCHED:
                        break

    def _tell_unfetched(self) -> None:
        if not self._has_fetch:
            return
        tell = self._teller(FETCH)
        with self._damage_told():
            for entry in parse_fetch(self._lines(FETCH), self._declaration, tell):
                size = self._size(entry.names)
                if size is None:
                    self._defects.append(UnfetchedFile(self._path(entry.names[0]), entry.url))
                elif entry.length not in {None, size}:
                    tell(f"says that {entry.names[0]} has {entry.length} bytes", f"the {size} it has", entry.line)

    def _size(self, names: Sequence[str]) -> int | None:
        """Return the size of a file that fetch.txt lists, by its name or as manifests mean it; None if it isn't there.

        It isn't if any manifest misses it.
        """
        for name in names:
            if name in self._bag.files:
                return self._bag.files[name]
        known = [self._sizes[key] for key in map(hash, names) if key in self._sizes]
        return known[0] if known and None not in known else None

    def _match_manifests(self) -> None:
        if len(self._manifests) > _MOST_MANIFESTS:
            path = self._path(self._manifests[_MOST_MANIFESTS].file)
            what = f"is one of {len(self._manifests)} manifests"
            self._defects.append(InvalidTagFile(path, what, f"{_MOST_MANIFESTS} at most"))
        for manifest in self._manifests[:_MOST_MANIFESTS]:
            if not manifest.supported:
                path, known = self._path(manifest.file), ", ".join(SUPPORTED)
                self._defects.append(UnsupportedAlgorithm(path, manifest.algorithm, known))
            column = Column(manifest, len(self._bag.files))
            if self._is_readable(manifest.file, _LARGEST_LIST):
                with self._damage_told():
                    self._match(manifest, column)
                    self._columns.append(column)

    def _match(self, manifest: Manifest, column: Column) -> None:
        name, declaration = manifest.file, self._declaration
        raw = declaration.version >= (1, 0) and has_raw_percents(self._lines(name, mute=True))
        reads = count()

        def warn(line: int) -> None:
            what = f"has '*' or './' before names, in line {line} first"
            self._warnings.append(MarkedNames(self._path(name), what, "names alone"))

        def read() -> Iterator[Listed]:
            # What is wrong with a line is told when it is read first.
            mute = next(reads) > 0
            blocks, tell = self._lines(name, mute=mute), self._teller(name, mute=mute)
            mark = None if mute else warn
            return parse_manifest(manifest, blocks, declaration, tell, raw_percent=raw, tell_mark=mark)

        for found in match(read, self._bag.files, column):
            self._tell_found(manifest, found)

    def _tell_found(self, manifest: Manifest, found: Found) -> None:
        line, path = found.line, self._path(found.name)
        listed = f"is listed in {manifest.file} as {line.names[0]!a}"
        key = hash(line.names[0])
        if key in self._unfetched:
            if found.oddity is Oddity.MISSING:
                self._sizes[key] = None
            else:
                self._sizes.setdefault(key, self._bag.files[found.name])
        match found.oddity:
            case Oddity.MISSING:
                if key not in self._unfetched:
                    self._defects.append(MissingFile(path, manifest.file, manifest.algorithm, line.checksum.lower()))
            case Oddity.OTHER_FORM:
                what = f"{listed}, another Unicode form of its name"
                self._warnings.append(OtherUnicodeForm(path, what, "its name byte for byte"))
            case Oddity.OTHER_ENCODING:
                what = f"{listed} by its version's rules"
                self._warnings.append(OtherEncoding(path, what, "its name, encoded as the version of BagIt does"))
            case Oddity.AGAIN if self._declaration.version < (1, 0):
                pass
            case _:
                what = f"lists {found.name} again"
                self._defects.append(InvalidTagFile(self._path(manifest.file), what, "each file once", line.line))

    def _judge_completeness(self) -> None:
        """Tell what manifests don't list, and should: from version 1.0 on each of them (RFC 8493 §3)."""
        of_payload = self._of_payload()
        each = self._declaration.version >= (1, 0)
        if not of_payload:
            return
        listed = zip(*(column.flags(len(self._bag.files)) for column in of_payload), strict=True)
        for name, flags in zip(self._bag.files, listed, strict=True):
            if all(flags) or not name.startswith(PAYLOAD_PREFIX):
                continue
            lacking = [column for column, flag in zip(of_payload, flags, strict=True) if not flag]
            if each:
                for column in lacking:
                    self._defects.append(UnlistedFile(self._path(name), column.manifest.file))
            elif len(lacking) == len(of_payload):
                self._defects.append(UnlistedFile(self._path(name), "any payload manifest"))
        if each:
            self._judge_tag_manifests()

    def _judge_tag_manifests(self) -> None:
        """Tell which payload manifests a tag manifest should list (RFC 8493 §2.2.1)."""
        for column in self._of_tags():
            for manifest in self._manifests[:_MOST_MANIFESTS]:
                if not manifest.of_tags and self._bag.files.number(manifest.file) not in column:
                    self._defects.append(UnlistedFile(self._path(manifest.file), column.manifest.file))

    def _warn(self, found: Inspection) -> None:
        if found.algorithms and WEAK.issuperset(found.algorithms):
            what = f"is the bag's proof, by {' and '.join(found.algorithms)} alone, which can be forged"
            for column in self._of_payload():
                path = self._path(column.manifest.file)
                self._warnings.append(WeakAlgorithm(path, what, "sha256 or sha512 too"))
        info = self._declaration.info_file
        if info not in self._tags:
            wanted = "what says whose bag it is, and its Oxum"
            self._warnings.append(MissingTagFile(self._path(info), "isn't in the bag", wanted))
        of_tags = self._of_tags()
        if not any(manifest.of_tags for manifest in self._manifests):
            path, wanted = self._path("tagmanifest-sha512.txt"), "a tag manifest, which proves the tag files"
            self._warnings.append(MissingTagFile(path, "isn't in the bag", wanted))
        proofs = {manifest.file for manifest in self._manifests if manifest.of_tags}
        for name in sorted(self._tags.keys() - proofs) if of_tags else ():
            number = self._bag.files.number(name)
            if not any(number in column for column in of_tags):
                what = "isn't listed in any tag manifest, so nothing proves it"
                self._warnings.append(UnlistedTagFile(self._path(name), what, "every tag file in one"))
        self._warnings.extend(odd_names(self._bag.files, self._bag.prefix))
        self._warnings.extend(similar_names(self._bag.files, self._bag.prefix))

    def _of_payload(self) -> list[Column]:
        return [column for column in self._columns if not column.manifest.of_tags]

    def _of_tags(self) -> list[Column]:
        return [column for column in self._columns if column.manifest.of_tags]

    def _is_readable(self, name: str, largest: int) -> bool:
        """Tell whether a tag file may be read; one that is too large is a defect."""
        if name in self._bag.refused:
            return False
        if self._tags[name] > largest:
            what = f"has {self._tags[name]} bytes"
            self._defects.append(InvalidTagFile(self._path(name), what, f"a tag file of {largest} at most"))
            return False
        return True

    def _lines(self, name: str, *, mute: bool = False) -> Iterator[list[str]]:
        chunks = self._source.chunks(self._path(name), checked=False)
        names = name != self._declaration.info_file
        return blocks_of_lines(chunks, self._declaration.encoding, self._teller(name, mute=mute), names=names)

    def _teller(self, name: str, *, mute: bool = False) -> Tell:
        """Return what takes the defects of a tag file, and ends its reading when there are too many.

        A mute one passes over what another has told, or will tell.
        """
        told = 0

        def tell(found: str, expected: str, line: int) -> None:
            nonlocal told
            told += 1
            if not mute:
                self._defects.append(InvalidTagFile(self._path(name), found, expected, line))
            if told >= MOST_OF_A_KIND:
                raise UnreadableLinesError

        return tell

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Read a tag file as far as it can be read."""
        try:
            yield
        except DamagedFileError as error:
            self._defects.append(error.defect)
        except UnreadableLinesError:
            # The reason was told already.
            return

    def _path(self, name: str) -> str:
        return f"{self._bag.prefix}{name}"
