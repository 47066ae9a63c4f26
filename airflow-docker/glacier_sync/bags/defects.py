"""What can be wrong with a bag: a tree of defects, each of which names its file.

A defect is a fact about what the bag holds. Files that can't be read are not
defects but errors (``UnreadableError``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from glacier_sync.bags.names import shown
from glacier_sync.errors import PermanentError

MOST_OF_A_KIND = 10_000
"""So many defects of a kind are told of a bag; of the others there is a count."""

MOST_TEXT = 8 << 20
"""Of a kind whose names or URLs are very long fewer are told: those whose messages have so many characters together."""

_SHOWN_DEFECTS = 3
_DEFECTS_IN_CAUSE = 100


@dataclass(frozen=True)
class Defect:
    """Something wrong with a file; ``path`` is its name in the zip or the bag, byte for byte."""

    path: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        raise AttributeError(type(self).__name__)

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.reason}"


@dataclass(frozen=True)
class DetailedDefect(Defect):
    """A defect whose finder words what was found, and what was expected."""

    found: str
    expected: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return shown(f"{self.found}: expected {self.expected}")


class NotAZip(DetailedDefect):
    """A file that isn't a zip, or only the beginning or the end of one."""


class DamagedZip(DetailedDefect):
    """A zip or an entry whose parts contradict each other."""


class UnsupportedEntry(DetailedDefect):
    """An entry that is encrypted, or compressed in a way that isn't supported."""


class UnsafeName(DetailedDefect):
    """A name that leads out of its folder, or can't exist on disk."""


class SpecialFile(DetailedDefect):
    """A symbolic link, a device, a pipe: bags hold files and folders."""


class OutsideBag(DetailedDefect):
    """A file in a zip that belongs to none of its bags."""


class NotABag(DetailedDefect):
    """A directory or a zip without a bag."""


class InvalidDeclaration(DetailedDefect):
    """A ``bagit.txt`` that isn't as RFC 8493 §2.1.1 wants it, or none."""


class MissingElement(DetailedDefect):
    """No payload directory, or no payload manifest (RFC 8493 §2.1.2, §2.1.3)."""


@dataclass(frozen=True)
class InvalidTagFile(DetailedDefect):
    """A tag file, or a line of it, that can't be understood; ``line`` counts from 1, 0 is the whole file."""

    line: int = 0

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return f"line {self.line} {super().reason}" if self.line else super().reason


@dataclass(frozen=True)
class UnsupportedAlgorithm(Defect):
    """A manifest whose checksums can't be computed; ``expected`` are the algorithms that can."""

    algorithm: str
    expected: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return f"{shown(self.algorithm)} is no supported checksum algorithm: expected {self.expected}"


@dataclass(frozen=True)
class WrongOxum(Defect):
    """A payload that isn't as large as ``Payload-Oxum`` says (RFC 8493 §2.2.2)."""

    expected: str
    found: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return f"Payload-Oxum is {self.expected}, but the payload has {self.found} (bytes.files)"


@dataclass(frozen=True)
class MissingFile(Defect):
    """A file that a manifest lists and the bag hasn't; ``expected`` is its checksum."""

    manifest: str
    algorithm: str
    expected: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return f"is listed in {shown(self.manifest)}, but isn't in the bag"


@dataclass(frozen=True)
class UnfetchedFile(Defect):
    """A file that was left to be fetched (RFC 8493 §2.2.3)."""

    url: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return (
            f"isn't in the bag: fetch.txt leaves it to be fetched from {shown(self.url)}, which is never done here; "
            "have the bag completed"
        )


@dataclass(frozen=True)
class UnlistedFile(Defect):
    """A file that a manifest should list and doesn't."""

    manifest: str

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        return f"isn't listed in {shown(self.manifest)}"


@dataclass(frozen=True)
class ChecksumMismatch(Defect):
    """A file that isn't what a manifest says; ``zip_intact`` tells whether the zip's own CRC-32 agrees."""

    algorithm: str
    expected: str
    found: str
    manifest: str
    zip_intact: bool | None = None

    @property
    def reason(self) -> str:
        """What was found, and what was expected, in words."""
        text = f"{self.algorithm} is {self.found}, but {shown(self.manifest)} says {self.expected}"
        if self.zip_intact is None:
            return text
        if self.zip_intact:
            return f"{text}; its CRC-32 in the zip agrees, so it was changed before it was zipped"
        return f"{text}; its CRC-32 in the zip differs too, so the zip was damaged"


@dataclass(frozen=True)
class FurtherDefects(DetailedDefect):
    """How many more there are of a kind of which the first were told: ``count``, ``of`` the kind's name."""

    of: str
    count: int

    @classmethod
    def counted(cls, path: str, kind: str, count: int, *, told: int) -> Self:
        """Return how many more there are of a kind than those that are told."""
        found = f"has {count} more defects of the kind {kind}"
        return cls(path, found, f"the first {told} to tell enough", kind, count)


def number_of(defects: Iterable[Defect]) -> int:
    """Return how many defects these are, with those that are only counted."""
    return sum(defect.count if isinstance(defect, FurtherDefects) else 1 for defect in defects)


class Findings:
    """What is found wrong: of each kind the first ones, and a count of the others, for the sake of memory.

    ``path`` is what the count is told of.
    """

    def __init__(self, path: str, found: Iterable[Defect] = ()) -> None:
        self._path = path
        self._kept: list[Defect] = []
        self._counts: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._text: Counter[str] = Counter()
        self.extend(found)

    def append(self, defect: Defect) -> None:
        """Take a defect, or how many more there were where the first ones are from."""
        if isinstance(defect, FurtherDefects):
            self._counts[defect.of] += defect.count
            return
        kind = type(defect).__name__
        self._counts[kind] += 1
        if self._counts[kind] <= MOST_OF_A_KIND and self._text[kind] < MOST_TEXT:
            self._told[kind] += 1
            self._text[kind] += len(str(defect))
            self._kept.append(defect)

    def extend(self, defects: Iterable[Defect]) -> None:
        """Take several defects."""
        for defect in defects:
            self.append(defect)

    def all(self) -> list[Defect]:
        """Return what was found, in the order in which it was."""
        more = (
            FurtherDefects.counted(self._path, kind, count - self._told[kind], told=self._told[kind])
            for kind, count in self._counts.items()
            if count > self._told[kind]
        )
        return [*self._kept, *more]


class NoWork(DetailedDefect):
    """A bag in which no work is found."""


class StrayFile(DetailedDefect):
    """A payload file that belongs to no work, and would be lost in unpacking."""


class SameName(DetailedDefect):
    """Two works, bags or files that would be unpacked to one place."""


class InvalidBagError(PermanentError):
    """A bag, or a zip of bags, with ``defects``: all of them, though message and cause show the first.

    ``warnings`` are what doesn't make it invalid, and may help to understand what does.
    """

    def __init__(self, path: Path, defects: Sequence[Defect], warnings: Sequence[Defect] = ()) -> None:
        self.path = path
        self.defects = tuple(defects)
        self.warnings = tuple(warnings)
        count, more = number_of(self.defects), number_of(self.further_defects)
        first = "; ".join(str(defect) for defect in self.defects[:_SHOWN_DEFECTS])
        others = f"; and {more} more" if more else ""
        super().__init__(
            f"{shown(str(path))} is not a valid bag, {count} {'defect' if count == 1 else 'defects'}: {first}{others}",
            cause="\n".join(str(defect) for defect in self.defects[:_DEFECTS_IN_CAUSE]),
        )

    @property
    def further_defects(self) -> tuple[Defect, ...]:
        """The defects that the message counts, and doesn't tell."""
        return self.defects[_SHOWN_DEFECTS:]
