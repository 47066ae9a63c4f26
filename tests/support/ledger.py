"""What tests of the ledger are made of: announced objects, runs, a clock set by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from glacier_sync.events import RestoredObject
from glacier_sync.ledger import Ledger, Run

LEASE = timedelta(minutes=15)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMPLETED = "ObjectRestore:Completed"

_numbers = itertools.count(1)


class HandClock:
    """A clock that stands still until it is told how much time has passed."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def passes(self, time: timedelta) -> None:
        self.now += time


def announced(
    key: str = "Archive0/00/W1NLM4700/W1NLM4700.bag.zip",
    *,
    bucket: str = "staging",
    version_id: str | None = None,
    etag: str = "41654c-2029",
    size: int | None = 17_017_201_852,
    event_name: str = COMPLETED,
    event_time: datetime | None = START,
    expiry: datetime | None = START + timedelta(days=5),
) -> RestoredObject:
    return RestoredObject(
        bucket=bucket,
        key=key,
        version_id=version_id,
        etag=etag,
        size=size,
        event_name=event_name,
        event_time=event_time,
        restore_expiry=expiry,
        region="ap-northeast-2",
    )


def work_key(rid: str) -> str:
    return f"Archive0/00/{rid}/{rid}.bag.zip"


def record_works(ledger: Ledger, *rids: str) -> list[int]:
    """Record an object for each RID and return their numbers."""
    message = f"message-{next(_numbers)}"
    return list(ledger.record("nlm", message, [announced(work_key(rid)) for rid in rids], []))


def dag_run(name: str) -> Run:
    return Run(name=f"sqs_scheduled_dag/{name}", host="scheduler-1", process=None)
