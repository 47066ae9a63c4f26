"""``sqs_scheduled_dag``: restored Glacier objects become archived works.

Wiring only: each task calls ``glacier_sync.pipeline`` and turns its outcome
into Airflow's terms. Run this file to step through the DAG in a debugger.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task, task_group

from glacier_sync import pipeline
from glacier_sync.pipeline import dag_tasks
from glacier_sync.pipeline.dag_tasks import debag_downloads, sync_debagged

settings = pipeline.load_settings()


@task(retries=settings.intake_retries, retry_delay=timedelta(seconds=settings.intake_retry_seconds))
def get_restored_object_messages() -> list[dict[str, Any]]:
    """Record what the queues announce, and claim what this run works on."""
    with dag_tasks.opened_for_task() as context:
        claims, problems = pipeline.get_restored_object_messages(context)
    return dag_tasks.claimed(claims, problems, "no restored object is waiting")


@task(pool="downloads", map_index_template=dag_tasks.OBJECT_NAME)
def download_from_messages(claim: dict[str, Any]) -> dict[str, Any]:
    """Download one object, verified and resumable."""
    return dag_tasks.staged(pipeline.download_from_messages, claim)


@dag(
    dag_id="sqs_scheduled_dag",
    schedule=settings.schedule,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=settings.max_active_runs,
    default_args=dag_tasks.task_defaults(settings),
    params=dag_tasks.run_parameters(),
    tags=["glacier-sync"],
    doc_md=__doc__,
)
def sqs_scheduled_dag() -> None:
    """Wire the four tasks; the last three once for each object."""

    @task_group
    def restored_object(claim: dict[str, Any]) -> None:
        sync_debagged(debag_downloads(download_from_messages(claim)))

    restored_object.expand(claim=get_restored_object_messages())


scheduled = sqs_scheduled_dag()

if __name__ == "__main__":
    scheduled.test()
