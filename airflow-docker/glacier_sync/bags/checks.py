"""The checksums that files must have, as the manifests of a bag list them: some bytes for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, compress, islice, repeat
from typing import NamedTuple

from glacier_sync.bags.files import Files
from glacier_sync.bags.tagfiles import Manifest
from glacier_sync.hashing.digests import HEX_DIGITS

_PAGE = 1024


class Check(NamedTuple):
    """A checksum that a file must have, and the manifest that says so."""

    algorithm: str
    checksum: str
    manifest: str


class Column:
    """What one manifest of a bag of so many ``files`` lists: by a file's number whether it is, and its checksum."""

    def __init__(self, manifest: Manifest, files: int) -> None:
        self.manifest = manifest
        # A zip may hold very many small bags.
        self._rows = max(min(_PAGE, files), 1)
        self._width = HEX_DIGITS.get(manifest.algorithm, 0) // 2
        # A byte before each checksum tells that it is there.
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, number: int | None) -> bool:
        page = None if number is None else self._pages.get(number // self._rows)
        return number is not None and page is not None and page[number % self._rows * (self._width + 1)] == 1

    def flags(self, files: int) -> Iterator[int]:
        """Yield 1 for each of so many files that is listed, and 0 for each other one, by their numbers."""
        pages = map(self._pages.get, range(-(-files // self._rows)))
        none = bytes(self._rows)
        return islice(chain.from_iterable(page[:: self._width + 1] if page else none for page in pages), files)

    def add(self, number: int, checksum: str) -> bool:
        """Take a file's checksum, unless it has one already: then return False."""
        page = self._pages.get(number // self._rows)
        if page is None:
            page = self._pages[number // self._rows] = bytearray(self._rows * (self._width + 1))
        at = number % self._rows * (self._width + 1)
        if page[at]:
            return False
        page[at] = 1
        if self._width:
            page[at + 1 : at + 1 + self._width] = bytes.fromhex(checksum)
        return True

    def get(self, number: int) -> str | None:
        """Return a file's checksum, or None if it isn't listed."""
        page = self._pages.get(number // self._rows)
        at = number % self._rows * (self._width + 1)
        return page[at + 1 : at + 1 + self._width].hex() if page and page[at] else None

    def checksum(self, number: int) -> str:
        """Return the checksum of a file that is listed, in hexadecimal; empty for an algorithm that isn't supported."""
        at = number % self._rows * (self._width + 1) + 1
        return self._pages[number // self._rows][at : at + self._width].hex()


class Checks(Mapping[str, Sequence[Check]]):
    """By each file's name the checks of all manifests whose checksums can be computed."""

    def __init__(self, files: Files, columns: Iterable[Column]) -> None:
        self._files = files
        self._columns = [column for column in columns if column.manifest.supported]

    def __getitem__(self, name: str) -> Sequence[Check]:
        number = self._files.number(name)
        found = [] if number is None else self.of(number)
        if not found:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        number = self._files.number(name) if isinstance(name, str) else None
        return number is not None and bool(self.algorithms(number))

    def of(self, number: int) -> list[Check]:
        """Return the checks of a file by its number."""
        return [
            Check(column.manifest.algorithm, column.checksum(number), column.manifest.file)
            for column in self._columns
            if number in column
        ]

    def met(self, number: int, digests: tuple[str, ...]) -> bool:
        """Tell whether these are a file's checksums, one for each of its algorithms, if no two manifests share one."""
        return digests == tuple([checksum for column in self._columns if (checksum := column.get(number))])

    def algorithms(self, number: int) -> tuple[str, ...]:
        """Return the algorithms of a file's checks, each once."""
        return self._listing(tuple([number in column for column in self._columns]))

    def each(self) -> Iterator[tuple[str, ...]]:
        """Yield the algorithms of every file's checks, by the files' numbers; without manifests none, endlessly."""
        if not self._columns:
            return repeat(())
        listed = zip(*(column.flags(len(self._files)) for column in self._columns), strict=True)
        return map(cache(self._listing), listed)

    def _listing(self, flags: tuple[int, ...]) -> tuple[str, ...]:
        """Return the algorithms of the columns that are flagged, each once."""
        algorithms = (column.manifest.algorithm for column in self._columns)
        return tuple(dict.fromkeys(compress(algorithms, flags)))

    def __iter__(self) -> Iterator[str]:
        for number, name in enumerate(self._files):
            if self.algorithms(number):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)
