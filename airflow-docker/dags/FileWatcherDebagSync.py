"""``feeder`` and ``down_scheduled``: zips that are put into a folder become archived works.

Wiring only, as in ``glacier_staging_to_sync.py``: from debag on it is the same tasks.
Run this file to step through ``down_scheduled`` in a debugger.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task, task_group

from glacier_sync import pipeline
from glacier_sync.pipeline import dag_tasks
from glacier_sync.pipeline.dag_tasks import debag_downloads, sync_debagged

settings = pipeline.load_settings()


DAG = {
    "schedule": settings.schedule,
    "start_date": datetime(2024, 1, 1, tzinfo=UTC),
    "catchup": False,
    "default_args": dag_tasks.task_defaults(settings),
    "tags": ["glacier-sync"],
    "doc_md": __doc__,
}


@task
def feed_watched_folder() -> list[str]:
    """Feed the watched folder from the incoming folder, as much as the pipeline has room for."""
    dag_tasks.require_setting("GLACIER_SYNC_INCOMING_DIR", settings.incoming_dir)
    with dag_tasks.opened_for_task() as context:
        return dag_tasks.fed(*pipeline.feed_watched_folder(context))


@task
def clear_retention_folder() -> list[str]:
    """Remove the originals whose works are synced, and whose retention time is over."""
    dag_tasks.require_setting("GLACIER_SYNC_RETENTION_DIR", settings.retention_dir)
    with dag_tasks.opened_for_task() as context:
        return pipeline.clear_retention_folder(context)


@dag(dag_id="feeder", max_active_runs=1, **DAG)
def feeder() -> None:
    """Wire the two tasks, neither of which waits for the other."""
    feed_watched_folder()
    clear_retention_folder()


@task(retries=settings.intake_retries, retry_delay=timedelta(seconds=settings.intake_retry_seconds))
def get_watched_files() -> list[dict[str, Any]]:
    """Record what lies in the watched folder, and claim what this run works on."""
    dag_tasks.require_setting("GLACIER_SYNC_WATCHED_DIR", settings.watched_dir)
    with dag_tasks.opened_for_task() as context:
        claims, problems = pipeline.get_watched_files(context)
    return dag_tasks.claimed(claims, problems, "no whole zip is waiting in the watched folder")


@task(map_index_template=dag_tasks.OBJECT_NAME)
def take_in_files(claim: dict[str, Any]) -> dict[str, Any]:
    """See to it that one file can be unbagged."""
    return dag_tasks.staged(pipeline.take_in_files, claim)


@dag(
    dag_id="down_scheduled",
    max_active_runs=settings.max_active_runs,
    params=dag_tasks.run_parameters(),
    **DAG,
)
def down_scheduled() -> None:
    """Wire the four tasks; the last three once for each file."""

    @task_group
    def watched_file(claim: dict[str, Any]) -> None:
        sync_debagged(debag_downloads(take_in_files(claim)))

    watched_file.expand(claim=get_watched_files())


feed = feeder()
down = down_scheduled()

if __name__ == "__main__":
    down.test()
