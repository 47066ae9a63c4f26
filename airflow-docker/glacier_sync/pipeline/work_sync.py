"""Syncing unpacked works into the archive: what is to be done, and the bash that does it.

This is the same for a restored object's works and for works named by hand, and
knows nothing of the ledger. What the bash came to is judged by ``judging``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glacier_sync import bags
from glacier_sync.errors import GlacierSyncError, PermanentError, TransientError
from glacier_sync.pipeline import destination
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.stage import UnlistedError
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings, inherited_variables
from glacier_sync.sync import (
    STOPPED,
    SyncOptions,
    WorkOptionsError,
    WorkSync,
    bash_environment,
    load_options,
    starting_environment,
    sync_script,
    work_listing,
)

# What the script may rely on, of what the plan has found.
_TOLD = {Standing.ABSENT: "absent", Standing.EQUAL: "equal"}


# Linux: MAX_ARG_STRLEN, with the zero byte at its end (execve(2), "Limits on size of arguments and environment").
_LONGEST_SCRIPT = 32 * 4096 - 1


class TooManyWorksError(PermanentError):
    """An object holds more works than one bash can be told of."""


class ScriptFailedError(UnlistedError):
    """bash or a step of ``syncOneWork.sh`` ended for a reason that isn't a listed one."""


class SyncPostponedError(TransientError):
    """A sync met a cause that passes: the archive is away or full, another sync is running, or it was stopped."""


@dataclass(frozen=True)
class PlannedWork:
    """What is to be done with one unpacked work; ``refusal`` says why nothing may be.

    ``differences`` are those of the copy that is there.
    """

    folder: Path
    options: SyncOptions
    standing: Standing
    place: Path | None = None
    refusal: str | None = None
    differences: bags.Differences | None = None

    @property
    def rid(self) -> str:
        """The work's RID."""
        return self.folder.name


def plan_work(settings: Settings, stamp: datetime, folder: Path, progress: Progress | None = None) -> PlannedWork:
    """Decide by the destination rule what is to be done with an unpacked work.

    How a copy differs that is refused is listed among the run's logs. Raises
    ConfigurationError if the site's options or the archive can't be used.
    """
    try:
        options = load_options(folder, settings.site_config_dir)
    except WorkOptionsError as error:
        return PlannedWork(folder, SyncOptions(), Standing.NOT_EXAMINED, refusal=f"{folder.name}: {error.message}")
    if not options.archive:
        return PlannedWork(folder, options, Standing.NOT_WANTED)
    destination.require_writable_root(settings, folder.name)
    found = destination.examine(settings, folder, progress=progress)
    if found.standing is not Standing.DIFFERENT:
        return PlannedWork(folder, options, found.standing, found.path)
    if options.replace:
        return PlannedWork(folder, options, Standing.REPLACED, found.path, differences=found.differences)
    listing = list_differences(settings, stamp, folder.name, found.differences)
    advice = "compare the two, and set sync.replace if the restored one is to replace it"
    if destination.update_was_stopped(found.path):
        stopped = f"an update of it {destination.UPDATE_STOPPED}"
        advice = f"{stopped}: set sync.replace until it is synced"
    refusal = (
        f"{folder.name}: the archive has a different copy at {found.path}: {found.differences}; all is listed in "
        f"{listing}; {advice}"
    )
    return PlannedWork(folder, options, Standing.DIFFERENT, found.path, refusal, found.differences)


def script(
    settings: Settings,
    stamp: datetime,
    planned: Sequence[PlannedWork],
    facts: Mapping[str, Any],
    claim: Path | None = None,
) -> str:
    """Return the bash that syncs what isn't refused; its last line is its result as JSON.

    ``claim`` is the file whose time says until when the works may be written to the archive.
    Raises TooManyWorksError.
    """
    accepted = [work for work in planned if not work.refusal]
    result = {
        **facts,
        "started": datetime.now(UTC).isoformat(),
        "works": [work.rid for work in accepted],
        "standings": [work.standing for work in accepted],
    }
    syncs = [
        WorkSync(
            path=work.folder,
            options=work.options,
            archive=work.standing is not Standing.NOT_WANTED,
            web=work.options.web and bool(settings.web_parent),
            archive_has=_TOLD.get(work.standing, ""),
        )
        for work in accepted
    ]
    claimed = {} if claim is None else {"claimFile": str(claim)}
    text = sync_script(syncs, {**environment(settings, stamp), **claimed}, result)
    if len(text) > _LONGEST_SCRIPT:
        raise TooManyWorksError(
            f"syncing {len(syncs)} works at once takes a command of {len(text):,} bytes, and {_LONGEST_SCRIPT:,} are "
            "the most: put fewer works into a bag, or unpack it with glacier-sync unbag and sync some at a time"
        )
    return text


def environment(settings: Settings, stamp: datetime) -> dict[str, str]:
    """Return the variables of a run's bash."""
    return bash_environment(settings, stamp, inherited_variables())


def log_folder(settings: Settings, stamp: datetime) -> str:
    """Return where a run's sync logs are."""
    return environment(settings, stamp)["syncLogDateTimeDir"]


def job_time(settings: Settings, stamp: datetime) -> str:
    """Return a run's time as its logs are named by it."""
    return environment(settings, stamp)["jobDateTime"]


def list_differences(settings: Settings, stamp: datetime, rid: str, differences: bags.Differences) -> Path:
    """Write all differences of a work's copy into a file of the run's logs, and return its path."""
    path = work_listing(environment(settings, stamp), rid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in destination.lines(differences)), encoding="utf-8")
    return path


def run_script(text: str) -> str:
    """Run the bash as the DAG's task does, in an environment of its own, and return its last line.

    Raises what ``ended`` returns if bash itself failed.
    """
    done = subprocess.run(
        ["bash", "-c", text],
        env=starting_environment(inherited_variables()),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        raise ended(done.returncode, cause=done.stderr[-2000:])
    return done.stdout.rstrip("\n").rpartition("\n")[2]


def ended(status: int, cause: str) -> GlacierSyncError:
    """Return what a bash says that has ended with this status, other than 0.

    When a service stops, its bash alone may be told; no object is to blame for that.
    """
    kind = SyncPostponedError if status in STOPPED else ScriptFailedError
    return kind(f"the sync's bash ended with exit status {status}", cause=cause)


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
