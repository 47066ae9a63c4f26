"""What Glacier Sync does with an unpacked work: plan, bash, and judging the copy by its bag, read from the disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.bench.model import Work

from glacier_sync.pipeline import work_sync
from glacier_sync.pipeline.judging import Judge
from glacier_sync.settings import Settings


def sync(folder: str, home: str, workers: int) -> Work:
    """Return syncing a work into the archive of the installation in ``home``."""
    settings = Settings(home=Path(home), site_config_dir=Path(home), workers=workers)
    work, stamp = Path(folder), datetime.now(UTC)

    def sync_and_judge() -> None:
        planned = work_sync.plan_work(settings, stamp, work)
        result = work_sync.parse_result(work_sync.run_script(work_sync.script(settings, stamp, [planned], {})))
        (judged,) = Judge(settings, stamp, result, lambda _done, _in_all: None).works({work.name: work})
        assert not judged.failure, judged.failure
        assert not judged.unsettled, judged.unsettled

    return sync_and_judge
