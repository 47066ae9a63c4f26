"""Where works stand, as facts: what ``status`` and the demo print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from glacier_sync.ledger import Forgotten, LedgerObject, LedgerWork, Phase, StageProgress

_REACHED = (
    (Phase.REQUESTED, "restore_requested_on"),
    (Phase.RESTORED, "restore_complete_on"),
    (Phase.DOWNLOADED, "download_complete_on"),
    (Phase.DEBAGGED, "debag_complete_on"),
    (Phase.SYNCED, "sync_complete_on"),
)


@dataclass(frozen=True)
class Reached:
    """A phase that an object has reached, and when."""

    phase: Phase
    on: datetime


@dataclass(frozen=True)
class StageReport:
    """How far a stage had come with an object at ``time``: bytes, bytes per second, and seconds that are left."""

    stage: str
    done: int
    in_all: int
    rate: float
    seconds_left: float | None
    time: datetime


@dataclass(frozen=True)
class ObjectReport:
    """Where one restored object stands, and the works in it."""

    id: int
    name: str
    bucket: str
    key: str
    queue: str
    phase: Phase
    reached: tuple[Reached, ...]
    attempt: int
    claimed_by: str | None
    reason: str | None
    cause: str | None
    works: tuple[LedgerWork, ...]
    progress: StageReport | None
    forgotten: Forgotten | None


def report(item: LedgerObject) -> ObjectReport:
    """Return where an object of the ledger stands."""
    return ObjectReport(
        id=item.id,
        name=", ".join(work.rid for work in item.works) or item.key.rpartition("/")[2],
        bucket=item.bucket,
        key=item.key,
        queue=item.queue,
        phase=item.phase,
        reached=tuple(Reached(phase, on) for phase, column in _REACHED if (on := getattr(item, column))),
        attempt=item.attempt,
        claimed_by=item.claimed_by,
        reason=item.failure_reason,
        cause=item.failure_cause,
        works=item.works,
        progress=_stage_report(item.progress) if item.progress else None,
        forgotten=item.forgotten,
    )


def _stage_report(told: StageProgress) -> StageReport:
    pace = told.pace
    left = None if pace.time_left is None else pace.time_left.total_seconds()
    return StageReport(told.stage, pace.done, pace.in_all, pace.rate, left, told.time)
