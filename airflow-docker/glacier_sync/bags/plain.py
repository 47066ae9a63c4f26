"""Zips of works without a bag: nothing proves what is in them, so their checksums are kept from now on."""

from __future__ import annotations

import os
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from glacier_sync.bags.bag_warnings import divided
from glacier_sync.bags.defects import Findings
from glacier_sync.bags.errors import writing
from glacier_sync.bags.inspection import Inspection
from glacier_sync.bags.matching import find_works
from glacier_sync.bags.names import encode_path
from glacier_sync.bags.portability import odd_names, similar_names
from glacier_sync.bags.reading import RECORDED
from glacier_sync.bags.sources import Bag
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX

_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def inspect_plain(bag: Bag, *, warnings_as_errors: Collection[str] = ()) -> Inspection:
    """Return what is known of the files of a zip without a bag: its works lie as those of a bag do in ``data/``."""
    odd = chain(odd_names(bag.files, bag.prefix), similar_names(bag.files, bag.prefix))
    errors, warnings = divided(Findings(bag.prefix or bag.name, odd).all(), warnings_as_errors)
    works = find_works((f"{PAYLOAD_PREFIX}{name}" for name in bag.files), bag.name)
    return Inspection(bag, [*bag.defects, *errors], works=works, warnings=warnings)


class Record:
    """The tag files of the bag that a plain zip lacks, with the checksums that its files were found to have.

    A context manager. Raises what a disk refuses as NoSpaceError, FolderError or WriteError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        with writing(self._folder):
            (self._folder / DECLARATION).write_text(_DECLARATION, encoding="utf-8")
            self._manifest = (self._folder / f"manifest-{RECORDED}.txt").open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._folder):
            self._manifest.close()

    def add(self, name: str, checksum: str) -> None:
        """Take a file's name in the zip, and its checksum."""
        with writing(self._folder):
            self._manifest.write(os.fsencode(f"{checksum}  {PAYLOAD_PREFIX}{encode_path(name)}\n"))
