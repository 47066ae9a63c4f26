"""What Glacier Sync does with objects."""

from __future__ import annotations

from pathlib import Path

from tests.bench.model import Work

from glacier_sync.aws import ObjectStore


def download(*, bucket: str, key: str, to: str, region: str, streams: int, part_mib: int) -> Work:
    """Return the download, verified."""
    store = ObjectStore.open(region, None)

    def work() -> None:
        done = store.download(store.head(bucket, key), Path(to), streams=streams, part_size=part_mib * 2**20)
        assert done.verified

    return work
