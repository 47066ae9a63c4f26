"""The feeder in a process of its own, to be killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.support.pipeline import PROCESSES

from glacier_sync import pipeline
from glacier_sync.ledger import Run
from glacier_sync.pipeline import feeder


def start_feeding() -> Any:
    """Start a process that feeds the watched folder once."""
    process = PROCESSES.Process(target=_feed, args=(dict(os.environ),), daemon=True)
    process.start()
    return process


def _feed(environment: Mapping[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    with pipeline.opened(Run.of_this_process(), datetime.now(UTC)) as context:
        feeder.feed(context)
