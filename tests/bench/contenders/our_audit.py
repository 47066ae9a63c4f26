"""What Glacier Sync does when it audits."""

from __future__ import annotations

from pathlib import Path

from tests.bench.model import Work

from glacier_sync.audit import ImageReaders, Outcome, Properties, audit_work


def audit(work: str, workers: int) -> Work:
    """Return an audit with all tests, the start of its processes counted."""
    # Of a site whose web images may be larger than the default allows.
    properties = Properties.load({"MaximumImageFileSize": "1G"})

    def run() -> None:
        with ImageReaders(workers) as readers:
            assert audit_work(Path(work), properties, readers).outcome is Outcome.PASSED

    return run
