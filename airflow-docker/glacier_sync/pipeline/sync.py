"""The stage ``sync_debagged``: an object's verified works into the archive.

It has two halves with bash between them: ``plan`` says what is to be done as a
bash script; ``judge`` reads what the script came to, checks the archive's copy
against the bag, and settles the object.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from glacier_sync.errors import PermanentError, TransientError
from glacier_sync.ledger import LedgerObject, Phase, Way
from glacier_sync.pipeline import destination, leftovers, manifests, watched, work_sync, working
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.judging import Judge, WorkResult
from glacier_sync.pipeline.outcome import Done, Outcome
from glacier_sync.pipeline.own_copy import UPDATING, OwnCopies
from glacier_sync.pipeline.stage import Stage, run_stage
from glacier_sync.pipeline.work_sync import PlannedWork
from glacier_sync.progress import Progress

log = logging.getLogger(__name__)

NAME = "sync_debagged"


class WorksMissingError(TransientError):
    """The unpacked works aren't on this disk: another host has them, or somebody removed them."""


class SyncFailedError(PermanentError):
    """Works of the object failed for good: their audit, their place in the archive, their fixity."""


def plan(context: Context, object_id: int) -> Outcome:
    """Decide what is to be done; the outcome's fact ``script`` is the bash that does it."""
    return run_stage(context, Stage(NAME, _plan), object_id)


def judge(context: Context, object_id: int, last_line: str) -> Outcome:
    """Settle an object whose script has ended with ``last_line``."""
    return run_stage(context, Stage(NAME, partial(_judge, last_line=last_line)), object_id)


def sync(context: Context, object_id: int) -> Outcome:
    """Do both halves and the bash between them in this process."""
    return run_stage(context, Stage(NAME, _sync), object_id)


def _sync(context: Context, item: LedgerObject) -> Done:
    script = _plan(context, item).facts["script"]
    return _judge(context, item, last_line=work_sync.run_script(script))


def _plan(context: Context, item: LedgerObject) -> Done:
    folders = _unbagged_works(context, item)
    progress = context.progress("comparison", item.id)
    planned = [_planned(context, item, folder, progress) for folder in folders]
    for work in planned:
        _record_plan(context, item, work)
    standings = {work.rid: str(work.standing) for work in planned}
    context.ledger.note(item.id, context.run, f"syncing {', '.join(standings)}", {"standing in the archive": standings})
    claim = working.claim_file(context.settings, item, context.run)
    if context.lease is not None:
        context.lease.keep_file(claim)
    script = work_sync.script(context.settings, context.logical_date, planned, {"object": item.id}, claim)
    return Done(f"{item.key} is to be synced", {"script": script})


def _unbagged_works(context: Context, item: LedgerObject) -> list[Path]:
    folders = working.unbagged_works(context.settings, item)
    if not folders:
        raise WorksMissingError(
            f"the works of {item.key} aren't in {working.unbagged_dir(context.settings, item)}: "
            "the next run downloads and unbags them again"
        )
    return folders


def _planned(context: Context, item: LedgerObject, folder: Path, progress: Progress) -> PlannedWork:
    """Plan a work. A copy of its own that a killed try has left unverified is set aside, if it is damaged."""
    work = work_sync.plan_work(context.settings, context.logical_date, folder, progress)
    if work.standing is Standing.NOT_WANTED:
        if working.copy_note(context.settings, item, work.rid).exists():
            # It was wanted in the archive when an earlier try began.
            leftovers.clear_archive(context, item, work.rid)
        is_for_web = work.options.web and context.settings.web_parent
        return _refused_if_web_is_newer(context, item, work) if is_for_web else work
    own = OwnCopies(context, item)
    if work.standing is Standing.EQUAL:
        own.compared(work.rid)
    if work.place is None or work.standing not in {Standing.DIFFERENT, Standing.REPLACED}:
        return work
    with destination.locked(work.place):
        if not own.is_own(work.rid, work.place):
            return _refused_if_older(context, item, work)
        aside = own.set_aside(work.place)
    message = (
        f"{work.rid}: the copy that an earlier try made at {work.place} isn't what the bag holds: {work.differences}; "
        f"it was moved to {aside}, to be removed when the disk has been looked at, and the work is copied again"
    )
    context.ledger.note(item.id, context.run, message)
    log.warning("%s", message)
    return PlannedWork(work.folder, work.options, Standing.ABSENT, work.place)


def _refused_if_older(context: Context, item: LedgerObject, work: PlannedWork) -> PlannedWork:
    """Refuse a work whose copy in the archive came from an object that was announced later: the newest wins."""
    newer = context.ledger.synced_later(item.id, work.rid)
    if newer is None:
        return work
    refusal = (
        f"{work.rid}: the archive's different copy at {work.place} is newer, of object {newer.id} ({newer.key}): "
        f"{work.differences}; forget this one, or have it restored once more if it is the right one"
    )
    return replace(work, standing=Standing.DIFFERENT, refusal=refusal)


def _refused_if_web_is_newer(context: Context, item: LedgerObject, work: PlannedWork) -> PlannedWork:
    """Refuse a work for the web alone if that has the images of another object that was announced later."""
    newer = context.ledger.synced_later(item.id, work.rid)
    if newer is None or newer.etag == item.etag:
        return work
    refusal = (
        f"{work.rid}: what the web has of it is newer, of object {newer.id} ({newer.key}); forget this one, or have it "
        "restored once more if it is the right one"
    )
    return replace(work, refusal=refusal)


def _record_plan(context: Context, item: LedgerObject, work: PlannedWork) -> None:
    if work.standing is Standing.REPLACED:
        message = f"updating the archive's copy of {work.rid} at {work.place}: {work.differences}"
        context.ledger.note(item.id, context.run, message, {UPDATING: work.rid})
    phase, reason = (Phase.FAILED if work.refusal else Phase.DEBAGGED), work.refusal
    settled = next((known for known in item.works if known.rid == work.rid and known.phase.is_terminal), None)
    if settled is not None and not work.refusal:
        # By a try that ended before the others were: the work is judged anew.
        phase, reason = settled.phase, settled.reason
    place = str(work.place) if work.place else None
    context.ledger.update_work(item.id, context.run, work.rid, phase=phase, destination=place, reason=reason)


def _judge(context: Context, item: LedgerObject, *, last_line: str) -> Done:
    result = work_sync.parse_result(last_line)
    folders = {folder.name: folder for folder in _unbagged_works(context, item)}
    progress = context.progress("fixity", item.id)
    judge = Judge(context.settings, context.logical_date, result, progress, OwnCopies(context, item))
    judged = judge.works(folders)
    for found in judged:
        _record_result(context, item, found)
    _raise_unsettled(judged)
    works = context.ledger.object(item.id).works
    synced = [folders[work.rid] for work in works if work.phase is Phase.SYNCED]
    manifests.keep(context.settings, item, synced)
    failures = [work.reason or work.rid for work in works if work.phase is Phase.FAILED]
    if failures:
        raise SyncFailedError(
            "; ".join(failures), cause=f"logs: {work_sync.log_folder(context.settings, context.logical_date)}"
        )
    message = f"synced and compared with the bag: {', '.join(work.rid for work in works)}"
    context.ledger.advance(item.id, context.run, Phase.SYNCED, message)
    working.remove(context.settings, item)
    if item.way is Way.FOLDER:
        watched.leave(item)
    return Done(f"{item.key} is synced")


def _record_result(context: Context, item: LedgerObject, judged: WorkResult) -> None:
    if judged.unsettled:
        return
    context.ledger.update_work(
        item.id,
        context.run,
        judged.rid,
        phase=Phase.FAILED if judged.failure else Phase.SYNCED,
        audit=judged.audit,
        reason=judged.failure,
    )


def _raise_unsettled(judged: Sequence[WorkResult]) -> None:
    """Raise what was met with the first work that isn't settled: all are tried again, the others as equal."""
    for found in judged:
        if found.unsettled:
            raise found.unsettled
