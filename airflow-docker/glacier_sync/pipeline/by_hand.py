"""Steps by hand: works that are named on the command line, outside of any DAG run.

They are done by the same code as in the pipeline, and recorded in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from glacier_sync.errors import ConfigurationError, GlacierSyncError
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline import destination, fixity, manifests, work_sync
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.fixity import FixityReport
from glacier_sync.pipeline.judging import Judge, WorkResult
from glacier_sync.pipeline.own_copy import SYNCED_BY_HAND, SYNCING_BY_HAND, HandCopies, latest_event
from glacier_sync.pipeline.work_sync import PlannedWork
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings
from glacier_sync.sync import site_options
from glacier_sync.works import FOLDERS_IN_WORDS, given_rid, is_work


@dataclass(frozen=True)
class ByHand:
    """What an operator does; ``progress`` makes progress callbacks, each with its title."""

    settings: Settings
    ledger: Ledger
    stamp: datetime
    progress: Callable[[str], Progress]

    def sync(self, folders: Sequence[Path]) -> list[WorkResult]:
        """Audit and sync unpacked works as the DAG does, each verified against its bag first.

        What one of them meets keeps no other from its result. Raises
        ConfigurationError, before anything is changed, if a folder isn't a work
        or has no manifest, or the site's options or the archive can't be used.
        """
        by_rid = _named_once(folders)
        self._require_usable(by_rid)
        plans = {rid: self._plan(folder) for rid, folder in by_rid.items()}
        results = {rid: plan for rid, plan in plans.items() if isinstance(plan, WorkResult)}
        planned = [plan for plan in plans.values() if isinstance(plan, PlannedWork)]
        results |= {found.rid: found for found in self._synced(planned)}
        for rid, folder in by_rid.items():
            self._settle(folder, results[rid])
        return [results[rid] for rid in by_rid]

    def fixity(self, work: str) -> FixityReport:
        """Compare an archived work with its bag's manifests.

        Raises ConfigurationError as ``fixity.check`` does.
        """
        found = fixity.check(self.settings, self.ledger, work, progress=self.progress(work))
        outcome = "intact" if found.intact else f"not as its bag's manifest says: {found.differences}"
        details = {"path": str(found.path), "differences": destination.lines(found.differences)}
        self.ledger.remark(found.rid, Run.by_hand(), f"fixity of {found.path} checked by hand: {outcome}", details)
        return found

    def _require_usable(self, by_rid: Mapping[str, Path]) -> None:
        wanted = site_options(self.settings.site_config_dir).archive
        for rid, folder in by_rid.items():
            require_unpacked(folder)
            if wanted:
                destination.require_writable_root(self.settings, rid)

    def _plan(self, folder: Path) -> PlannedWork | WorkResult:
        rid, bag_dir = folder.name, destination.bag_dir_of(folder)
        try:
            shown = self.progress(f"{rid}: verifying")
            if damage := destination.compare(self.settings, rid, bag_dir, folder, progress=shown):
                advice = "unpack its bag again"
                inside = folder / f"{rid}.bag"
                if bag_dir != inside and inside.is_dir():
                    advice = f"{bag_dir} was taken for it, and {inside} is there too: {advice}, into an empty folder"
                return WorkResult(rid, failure=f"{rid} isn't what its bag's manifest says: {damage}; {advice}")
            shown = self.progress(f"{rid}: comparing with the archive")
            plan = work_sync.plan_work(self.settings, self.stamp, folder, shown)
        except GlacierSyncError as error:
            return WorkResult(rid, unsettled=error)
        return WorkResult(rid, failure=plan.refusal) if plan.refusal else plan

    def _synced(self, planned: Sequence[PlannedWork]) -> list[WorkResult]:
        if not planned:
            return []
        own = HandCopies(self.ledger, {work.rid: self._announced(work) for work in planned})
        try:
            last_line = work_sync.run_script(work_sync.script(self.settings, self.stamp, planned, {}))
            judge = Judge(self.settings, self.stamp, work_sync.parse_result(last_line), self.progress("fixity"), own)
        except GlacierSyncError as error:
            return [WorkResult(work.rid, unsettled=error) for work in planned]
        return judge.works({work.rid: work.folder for work in planned})

    def _announced(self, work: PlannedWork) -> int:
        """Tell of what is to be done with a work, for a run that has it too; return the number of its latest event."""
        message = f"syncing by hand from {work.folder}: the archive's copy is {work.standing}"
        self.ledger.remark(work.rid, Run.by_hand(), message, {SYNCING_BY_HAND: work.standing is not Standing.EQUAL})
        return latest_event(self.ledger, work.rid)

    def _settle(self, folder: Path, result: WorkResult) -> None:
        if result.unsettled:
            outcome = f"to be tried again: {result.unsettled.message}"
        elif result.failure:
            outcome = f"failed: {result.failure}"
        else:
            manifests.keep_by_hand(self.settings, folder)
            outcome = "equal to its bag"
        synced = not result.unsettled and not result.failure
        details = {"path": str(folder), "audit": result.audit, SYNCED_BY_HAND: synced}
        self.ledger.remark(result.rid, Run.by_hand(), f"synced by hand from {folder}: {outcome}", details)


def require_unpacked(folder: Path) -> None:
    """Raise ConfigurationError unless a folder is a work that has come out of a bag."""
    if not folder.is_dir() or not is_work(folder):
        raise ConfigurationError(
            f"{folder} isn't a work: expected a directory that has {FOLDERS_IN_WORDS}; "
            "name the path of an unpacked work"
        )
    if not destination.bag_dir_of(folder).is_dir():
        raise ConfigurationError(
            f"{folder} has no manifest to verify it by: expected {folder.name}/{folder.name}.bag; "
            "unpack its bag with glacier-sync unbag"
        )


def _named_once(folders: Sequence[Path]) -> dict[str, Path]:
    by_rid: dict[str, Path] = {}
    for folder in (folder.absolute() for folder in folders):
        if given_rid(folder.name) in by_rid:
            raise ConfigurationError(
                f"{folder.name} is named twice: expected each work once, as it has one place in the archive; "
                "name one of them"
            )
        by_rid[folder.name] = folder
    return by_rid
