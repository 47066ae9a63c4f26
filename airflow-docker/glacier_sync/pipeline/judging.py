"""What syncing works came to: the script's ends, the audits' reports, the fixity of the archive's copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from glacier_sync import audit
from glacier_sync.errors import GlacierSyncError
from glacier_sync.pipeline import destination, work_sync
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.own_copy import HandCopies, OwnCopies
from glacier_sync.pipeline.work_sync import ScriptFailedError, SyncPostponedError
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings
from glacier_sync.sync import REFUSED, STOPPED, TRY_AGAIN_LATER, failure_line, machine_trouble, work_log

# After the archive's copy come its audit, the copy to the web, the check of that, and the success list.
_COPY_WAS_MADE = frozenset({0, 44, 45, 46, 47})


@dataclass(frozen=True)
class WorkResult:
    """What syncing one work came to.

    ``failure`` says why it failed for good; ``unsettled`` is what was met
    instead of a result, and says nothing about the work.
    """

    rid: str
    audit: str | None = None
    failure: str | None = None
    unsettled: GlacierSyncError | None = None


@dataclass(frozen=True)
class Judge:
    """Judges the works of one run of the bash, by its result.

    ``own`` tells whether a copy still is what that run has made.
    """

    settings: Settings
    stamp: datetime
    result: Mapping[str, Any]
    progress: Progress
    own: OwnCopies | HandCopies | None = None

    @property
    def _environment(self) -> dict[str, str]:
        return work_sync.environment(self.settings, self.stamp)

    @property
    def _audit_home(self) -> Path:
        return Path(self._environment["auditToolLogDateTimeDir"])

    def works(self, folders: Mapping[str, Path]) -> list[WorkResult]:
        """Judge each work that the bash tried; ``folders`` has their folders by RID."""
        tried = zip(self.result["works"], self.result["standings"], self.result["statuses"], strict=True)
        return [self._judged(folders[rid], Standing(standing), status) for rid, standing, status in tried]

    def _judged(self, folder: Path, standing: Standing, status: int) -> WorkResult:
        rid = folder.name
        try:
            # Before all else: whatever step failed after the copy, a damaged one may not stand under its name.
            if damage := self._damage(folder, standing, status):
                return WorkResult(rid, failure=damage)
            log = self._audit_log(rid)
            report = audit.read_report(log) if log else None
            outcome = str(report.outcome) if report else None
            if status not in (0, TRY_AGAIN_LATER) and report and report.failed:
                return WorkResult(rid, outcome, f"{rid} {audit.summary(report)}; all is listed in {log}")
            if status == 0 and report is None:
                raise ScriptFailedError(
                    f"{rid}: audit-tool ended with 0 and left no report: expected one in {self._audit_home}; look at "
                    "audit.pre and audit.post, and whether that audit-tool is the right one"
                )
            failure = self._failure(rid, status) if status else None
        except GlacierSyncError as error:
            return WorkResult(rid, unsettled=error)
        return WorkResult(rid, outcome, failure)

    def _audit_log(self, rid: str) -> Path | None:
        return audit.find_report(self._audit_home, rid, datetime.fromisoformat(self.result["started"]))

    def _failure(self, rid: str, status: int) -> str:
        log = work_log(self._environment, rid)
        _, _, told = (failure_line(log) or "").partition(": FAILED: ")
        what = f"{rid}: {told or f'syncOneWork.sh ended with exit status {status}'}"
        if trouble := machine_trouble(log):
            # Whatever step failed of it, no work is to blame.
            raise SyncPostponedError(f"{what} ({trouble}: mend that, then sync again)", cause=f"exit status {status}")
        if status == REFUSED:
            return what
        kind = SyncPostponedError if status in {TRY_AGAIN_LATER, *STOPPED} else ScriptFailedError
        raise kind(what, cause=f"exit status {status}")

    def _damage(self, folder: Path, standing: Standing, status: int) -> str | None:
        """Compare a copy that was made just now with the bag, on the disk; nobody changes it meanwhile."""
        if standing not in {Standing.ABSENT, Standing.REPLACED} or status not in _COPY_WAS_MADE:
            return None
        with destination.locked(destination.place_of(self.settings, folder.name)):
            found = destination.examine(self.settings, folder, progress=self.progress)
            if found.standing is Standing.EQUAL:
                if self.own is not None:
                    self.own.compared(folder.name)
                return None
            if found.standing is Standing.ABSENT:
                if status:
                    return None
                raise SyncPostponedError(f"{found.path} isn't there any more: it is copied again")
            if self.own is not None:
                self.own.require_own(folder.name, found.path, made=standing is Standing.ABSENT)
            listing = work_sync.list_differences(self.settings, self.stamp, folder.name, found.differences)
            what = f"isn't what the bag holds: {found.differences}; all is listed in {listing}"
            if standing is Standing.ABSENT:
                aside = destination.set_aside(found.path, work_sync.job_time(self.settings, self.stamp))
                what += f"; it was moved to {aside}, to be removed when the disk has been looked at"
            return f"{folder.name}: the archive's copy at {found.path} {what}; check the archive's disk, and sync again"
