"""What each task of the DAGs calls; the DAG files only wire them.

Airflow reads the DAG file every few seconds and so imports this module: what only
a running task needs is imported by the task.
"""

from __future__ import annotations

from typing import Any

from glacier_sync.errors import one_line
from glacier_sync.ledger import LedgerObject, Way, shortened
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Done, Outcome

# The width of Airflow's column for the name of a mapped task, which nobody else keeps to.
_NAME_LENGTH = 250


def get_restored_object_messages(context: Context) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what this run has claimed, an entry for each object, and the problems of queues in words."""
    return _taken(context, Way.QUEUE)


def get_watched_files(context: Context) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what this run has claimed from the watched folder, and its problems in words."""
    return _taken(context, Way.FOLDER)


def _taken(context: Context, way: Way) -> tuple[list[dict[str, Any]], list[str]]:
    from glacier_sync.pipeline.intake import take
    from glacier_sync.pipeline.room import NoSpaceYetError

    taken = take(context, [way])
    claims = [{"object": item.id, "name": _name(item)} for item in taken.objects]
    problems = [str(problem) for problem in taken.problems]
    if taken.waiting and not isinstance(taken.waiting, NoSpaceYetError):
        problems.append(str(taken.waiting))
    return claims, problems


def _name(item: LedgerObject) -> str:
    return shortened(one_line(item.key.rpartition("/")[2]), _NAME_LENGTH)


def take_in_files(context: Context, object_id: int) -> Outcome:
    """See to it that a file of the watched folder can be unbagged."""
    from glacier_sync.pipeline.stage import run_stage
    from glacier_sync.pipeline.watched import TAKE_IN

    return run_stage(context, TAKE_IN, object_id)


def download_from_messages(context: Context, object_id: int) -> Outcome:
    """Download an object."""
    from glacier_sync.pipeline.download import DOWNLOAD
    from glacier_sync.pipeline.stage import run_stage

    return run_stage(context, DOWNLOAD, object_id)


def debag_downloads(context: Context, object_id: int) -> Outcome:
    """Verify and unbag what was downloaded."""
    from glacier_sync.pipeline.debag import DEBAG
    from glacier_sync.pipeline.stage import run_stage

    return run_stage(context, DEBAG, object_id)


def plan_sync(context: Context, object_id: int) -> Outcome:
    """Return the bash that syncs an object's works; its lease is kept while this process lives."""
    from glacier_sync.pipeline import sync
    from glacier_sync.pipeline.lease import keep_lease_until_exit

    outcome = sync.plan(context, object_id)
    if isinstance(outcome, Done) and outcome.facts:
        keep_lease_until_exit(context.settings, context.run, object_id)
    return outcome


def feed_watched_folder(context: Context) -> tuple[list[str], list[str], list[str]]:
    """Feed the watched folder; return the files fed, why others wait, and the problems, in words."""
    from glacier_sync.pipeline.feeder import feed

    fed = feed(context)
    return fed.files, fed.waiting, fed.problems


def clear_retention_folder(context: Context) -> list[str]:
    """Remove the originals whose time is over; return where they were."""
    from glacier_sync.pipeline.retention import clear

    settings = context.settings
    removed = clear(context.ledger, settings.retention_dir, settings.retention_days) if settings.retention_dir else []
    return [one_line(str(path)) for path in removed]


def synced_works(context: Context, object_id: int) -> list[dict[str, Any]]:
    """Return what an asset's event tells of each work of a synced object."""
    item = context.ledger.object(object_id)
    return [{"work": work.rid, "path": work.destination, "object": item.id} for work in item.works]


def judge_sync(context: Context, object_id: int, last_line: str) -> Outcome:
    """Settle an object whose bash has ended."""
    from glacier_sync.pipeline import sync

    return sync.judge(context, object_id, last_line)


def record_failed_sync(context: Context, object_id: int, status: int) -> Outcome:
    """Record that an object's bash has ended with this status, other than 0, as ``glacier-sync run`` does."""
    from glacier_sync.pipeline import sync, work_sync
    from glacier_sync.pipeline.stage import Stage, run_stage

    def work(_context: Context, _item: LedgerObject) -> Done:
        raise work_sync.ended(status, cause="the task's log has what it printed")

    return run_stage(context, Stage(sync.NAME, work), object_id)
