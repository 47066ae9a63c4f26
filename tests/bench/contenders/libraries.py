"""Python's zipfile, and bagit-python."""

from __future__ import annotations

import zipfile

import bagit
from tests.bench.model import Work


def extract(zip_path: str, to: str) -> Work:
    """Return unpacking with Python's library."""

    def work() -> None:
        with zipfile.ZipFile(zip_path) as archive:
            archive.extractall(to)

    return work


def validate(bag: str, processes: int) -> Work:
    """Return validating with bagit-python."""
    return lambda: bagit.Bag(bag).validate(processes=processes)
