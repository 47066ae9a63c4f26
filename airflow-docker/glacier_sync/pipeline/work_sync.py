"""Syncing unpacked works into the archive: what is to be done, the bash, what it came to.

This is the same for a restored object's works and for works named by hand, and
knows nothing of the ledger.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glacier_sync import audit
from glacier_sync.errors import TransientError
from glacier_sync.pipeline import destination
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.stage import UnlistedError
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings, inherited_variables
from glacier_sync.sync import SyncOptions, WorkSync, bash_environment, failure_line, load_options, sync_script, work_log

_TRY_AGAIN_LATER = 75


class SyncPostponedError(TransientError):
    """``syncOneWork.sh`` met a cause that passes: the archive is away, or another sync is running."""


class ScriptFailedError(UnlistedError):
    """bash or a step of ``syncOneWork.sh`` ended for a reason that isn't a listed one."""


@dataclass(frozen=True)
class PlannedWork:
    """What is to be done with one unpacked work; ``refusal`` says why nothing may be."""

    folder: Path
    options: SyncOptions
    standing: Standing
    place: Path | None = None
    refusal: str | None = None

    @property
    def rid(self) -> str:
        """The work's RID."""
        return self.folder.name


@dataclass(frozen=True)
class WorkResult:
    """What syncing one work came to; ``failure`` says why it failed for good."""

    rid: str
    audit: str | None
    failure: str | None


def plan_work(settings: Settings, folder: Path) -> PlannedWork:
    """Decide by the destination rule what is to be done with an unpacked work."""
    options = load_options(folder, settings.site_config_dir)
    if not options.archive:
        return PlannedWork(folder, options, Standing.NOT_WANTED)
    found = destination.examine(settings, folder)
    if found.standing is not Standing.DIFFERENT:
        return PlannedWork(folder, options, found.standing, found.path)
    if options.replace:
        return PlannedWork(folder, options, Standing.REPLACED, found.path)
    refusal = (
        f"{folder.name}: the archive has a different copy at {found.path}: {found.differences}; "
        "compare the two, and set sync.replace if the restored one is to replace it"
    )
    return PlannedWork(folder, options, Standing.DIFFERENT, found.path, refusal)


def script(settings: Settings, stamp: datetime, planned: Sequence[PlannedWork], facts: Mapping[str, Any]) -> str:
    """Return the bash that syncs what isn't refused; its last line is its result as JSON."""
    accepted = [work for work in planned if not work.refusal]
    result = {
        **facts,
        "started": datetime.now(UTC).isoformat(),
        "works": [work.rid for work in accepted],
        "equal": [work.rid for work in accepted if work.standing is Standing.EQUAL],
    }
    syncs = [
        WorkSync(
            path=work.folder,
            options=work.options,
            # The audit of the source speaks for an equal copy too: they are the same bytes.
            archive=work.standing in {Standing.ABSENT, Standing.REPLACED},
            web=work.options.web and bool(settings.web_parent),
        )
        for work in accepted
    ]
    return sync_script(syncs, bash_environment(settings, stamp, inherited_variables()), result)


def log_folder(settings: Settings, stamp: datetime) -> str:
    """Return where a run's sync logs are."""
    return bash_environment(settings, stamp, inherited_variables())["syncLogDateTimeDir"]


def run_script(text: str) -> str:
    """Run the bash in this process's stead and return its last line.

    Raises ScriptFailedError if bash itself failed.
    """
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, errors="surrogateescape", check=False)
    if done.returncode:
        raise ScriptFailedError(f"the sync's bash ended with exit status {done.returncode}", cause=done.stderr[-2000:])
    return done.stdout.rstrip("\n").rpartition("\n")[2]


def parse_result(last_line: str) -> dict[str, Any]:
    """Return the result that the bash printed last.

    Raises ScriptFailedError if it printed something else.
    """
    try:
        result = json.loads(last_line)
    except ValueError:
        result = None
    if not isinstance(result, dict) or "statuses" not in result:
        raise ScriptFailedError("the sync's bash ended without its result", cause=last_line[-2000:])
    return result


def judge_works(
    settings: Settings, stamp: datetime, folders: Mapping[str, Path], result: Mapping[str, Any], progress: Progress
) -> list[WorkResult]:
    """Judge each work that the bash tried, by its RID's folder.

    Raises SyncPostponedError or ScriptFailedError if a step failed for a reason
    that isn't a finding about the work.
    """
    judged = zip(result["works"], result["statuses"], strict=True)
    return [_judge(settings, stamp, folders[rid], status, result=result, progress=progress) for rid, status in judged]


def _judge(
    settings: Settings, stamp: datetime, folder: Path, status: int, *, result: Mapping[str, Any], progress: Progress
) -> WorkResult:
    rid = folder.name
    environment = bash_environment(settings, stamp, inherited_variables())
    started = datetime.fromisoformat(result["started"])
    report = audit.find_report(Path(environment["auditToolLogDateTimeDir"]), rid, started)
    outcome = str(report.outcome) if report else None
    if status == 0:
        failure = None if rid in result["equal"] else _copy_differs(settings, folder, progress)
    elif report and report.failed:
        failure = f"{rid} {audit.summary(report)}"
    else:
        line = failure_line(work_log(environment, rid)) or f"syncOneWork.sh ended with exit status {status}"
        kind = SyncPostponedError if status == _TRY_AGAIN_LATER else ScriptFailedError
        raise kind(line, cause=f"exit status {status}")
    return WorkResult(rid, outcome, failure)


def _copy_differs(settings: Settings, folder: Path, progress: Progress) -> str | None:
    if not load_options(folder, settings.site_config_dir).archive:
        return None
    found = destination.examine(settings, folder, progress=progress)
    if found.standing is Standing.EQUAL:
        return None
    return f"{folder.name}: the archive's copy at {found.path} isn't what the bag holds: {found.differences}"
