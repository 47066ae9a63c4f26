"""Setting the demo's scene: samples, bucket, queue, restores, and an empty archive tree."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from glacier_sync.demo.samples import make_samples
from glacier_sync.emulator.client import EmulatorClient
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.settings import Settings, inherited_variables

BUCKET_PREFIX = "glacier-sync-demo-"
REGION = "us-east-1"

_ARCHIVE_PARTS = 4
_RESTORE_DAYS = 7


def scene_file(settings: Settings) -> Path:
    """Return where the running demo's bucket and samples are noted down."""
    return settings.home / "demo" / "scene.json"


def prepare(settings: Settings) -> None:
    """Make the samples, store them as archived objects, and request their restore.

    Each demo has a bucket of its own, so that a second one is restored anew.
    Raises ConfigurationError if the state folder's ledger holds real work, or
    no emulator is named.
    """
    _require_own_ledger(settings)
    endpoint = inherited_variables().get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise ConfigurationError("AWS_ENDPOINT_URL isn't set: expected the emulator's URL, never Amazon's own")
    for part in range(_ARCHIVE_PARTS):
        Path(f"{settings.archive_parent}{part}").mkdir(parents=True, exist_ok=True)
    samples = make_samples(settings.home / "demo" / "samples")
    bucket = f"{BUCKET_PREFIX}{datetime.now(UTC):%Y%m%d-%H%M%S}"
    _write_intake(settings.intake, bucket)
    client = EmulatorClient(endpoint, REGION)
    client.create_intake(bucket, bucket)
    for sample in samples:
        client.put_archived(sample.zip_path, bucket, sample.key)
        client.request_restore(bucket, sample.key, days=_RESTORE_DAYS)
        fault = f" (to fail: {sample.fault})" if sample.fault else ""
        sys.stdout.write(f"restore requested: {sample.key}{fault}\n")
    scene: dict[str, Any] = {"bucket": bucket, "samples": [asdict(sample) for sample in samples]}
    scene_file(settings).write_text(json.dumps(scene, default=str, indent=2), encoding="utf-8")


def _require_own_ledger(settings: Settings) -> None:
    with Ledger.open(settings) as ledger:
        strange = [item for item in ledger.objects() if not item.bucket.startswith(BUCKET_PREFIX)]
    if strange:
        raise ConfigurationError(
            f"{settings.home} holds real work ({len(strange)} objects, the first from bucket {strange[0].bucket}): "
            "expected a state folder of the demo's own; set GLACIER_SYNC_HOME to another folder and try again"
        )


def _write_intake(path: Path, bucket: str) -> None:
    queue = {"name": "demo", "queue": bucket, "region": REGION, "buckets": [bucket]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"queues": [{**queue, "events": ["ObjectRestore:Completed"]}]}), encoding="utf-8")
