"""What Glacier Sync does with bags."""

from __future__ import annotations

from pathlib import Path

from tests.bench.model import Work

from glacier_sync import bags


def unbag(zip_path: str, to: str, workers: int) -> Work:
    """Return unpacking, verified."""

    def work() -> None:
        assert bags.unbag(Path(zip_path), Path(to), workers=workers)

    return work


def verify(path: str, workers: int) -> Work:
    """Return verifying a directory or a zip."""

    def work() -> None:
        (report,) = bags.verify(Path(path), workers=workers)
        assert not report.defects

    return work
