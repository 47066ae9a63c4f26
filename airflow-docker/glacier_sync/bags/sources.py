"""What bags are read from: a listing of bags, and the bytes of their files.

A source is a directory or a zip. It is read by several threads at once, and
never twice for one purpose.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from glacier_sync.bags.defects import Defect
from glacier_sync.bags.files import Files
from glacier_sync.hashing.entries import Entry
from glacier_sync.hashing.tasks import Job


class DamagedFileError(Exception):
    """Raised while a file is read from a source that contradicts itself; becomes a defect."""

    def __init__(self, defect: Defect) -> None:
        super().__init__(str(defect))
        self.defect = defect


@dataclass(frozen=True)
class Bag:
    """The files of one bag, before any of them is read.

    ``prefix`` stands before each name in the source; ``files`` are sizes in bytes
    by name; ``refused`` are those that are there but must not be read;
    ``folders`` are those that the source lists for themselves.
    """

    name: str
    prefix: str
    files: Files
    folders: frozenset[str] = frozenset()
    refused: Container[str] = frozenset()
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The bags of a source, and the defects that belong to none of them.

    ``plain`` are the files of a zip without a bag, for those who take them without proof.
    """

    bags: tuple[Bag, ...]
    defects: tuple[Defect, ...] = ()
    plain: Bag | None = None


class Source(Protocol):
    """A directory or a zip that holds bags; a context manager that keeps it open."""

    path: Path
    listing: Listing
    has_checksums: bool
    """Whether reading a file to its end checks it against the source's own checksum."""

    def chunks(self, name: str, *, checked: bool) -> Iterator[memoryview]:
        """Yield a file's bytes; each chunk is valid until the next one.

        Raises DamagedFileError, with ``checked`` also where the source's own
        checksum disagrees, and UnreadableError.
        """

    def job(self) -> Job:
        """Return what a worker needs to read files."""

    def entry(self, bag: Bag, number: int) -> Entry | None:
        """Return where a zip holds a file of a bag, by its number there."""

    def modified(self, bag: Bag, number: int) -> float | None:
        """Return when a file was changed last, in seconds since 1970, where a zip says it."""

    def __enter__(self) -> Self:
        """Return the source."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
