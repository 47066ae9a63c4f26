"""``sqs_scheduled_dag``: restored Glacier objects become archived works.

Wiring only: each task calls ``glacier_sync.pipeline`` and turns its outcome
into Airflow's terms. Run this file to step through the DAG in a debugger.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from glacier_sync import pipeline

log = logging.getLogger(__name__)

settings = pipeline.load_settings()

TASK_DEFAULTS = {
    "retries": settings.task_retries,
    "retry_delay": timedelta(seconds=settings.task_retry_seconds),
}
OBJECT_NAME = "{{ object_name }}"


def opened_for_task() -> AbstractContextManager[pipeline.Context]:
    """Open the pipeline on behalf of the running task's DAG run."""
    context = get_current_context()
    instance, dag_run = context["ti"], context["dag_run"]
    return pipeline.opened(
        pipeline.Run.of_dag_run(instance.dag_id, instance.run_id),
        dag_run.logical_date or dag_run.run_after,
        last_try=is_last_try(),
    )


def is_last_try() -> bool:
    """Tell whether Airflow won't try the running task again."""
    instance = get_current_context()["ti"]
    return bool(instance.try_number > instance.max_tries)


def settled(outcome: pipeline.Outcome) -> dict[str, Any]:
    """Return what a stage found, or fail the task as the outcome says."""
    match outcome:
        case pipeline.Done(message, facts):
            log.info(message)
            return dict(facts)
        case pipeline.RetryLater(reason):
            raise AirflowException(reason)
        case pipeline.Failed(reason):
            raise AirflowFailException(reason)


def named(claim: dict[str, Any]) -> int:
    """Give the mapped task the object's name on Airflow's page; return the object's id."""
    context = get_current_context()
    context["object_name"], context["object_id"] = claim["name"], claim["object"]  # type: ignore[typeddict-unknown-key]
    return int(claim["object"])


@task(
    retries=settings.intake_retries,
    retry_delay=timedelta(seconds=settings.intake_retry_seconds),
)
def get_restored_object_messages() -> list[dict[str, Any]]:
    """Record what the queues announce, and claim what this run works on."""
    with opened_for_task() as context:
        claims, problems = pipeline.get_restored_object_messages(context)
    if claims:
        return claims
    if problems and is_last_try():
        raise AirflowFailException("; ".join(problems))
    if is_last_try():
        raise AirflowSkipException("nothing was restored meanwhile")
    raise AirflowException("; ".join(["nothing to do yet: no restored object is waiting", *problems]))


@task(pool="downloads", map_index_template=OBJECT_NAME)
def download_from_messages(claim: dict[str, Any]) -> dict[str, Any]:
    """Download one object, verified and resumable."""
    object_id = named(claim)
    with opened_for_task() as context:
        settled(pipeline.download_from_messages(context, object_id))
    return claim


@task(pool="unbaggings", map_index_template=OBJECT_NAME)
def debag_downloads(claim: dict[str, Any]) -> dict[str, Any]:
    """Verify and unbag one download."""
    object_id = named(claim)
    with opened_for_task() as context:
        settled(pipeline.debag_downloads(context, object_id))
    return claim


def judge(last_line: str) -> str:
    """Settle the object whose bash has ended with this line."""
    object_id = int(get_current_context()["object_id"])  # type: ignore[typeddict-item]
    with opened_for_task() as context:
        settled(pipeline.judge_sync(context, object_id, last_line))
    return last_line


# A task's standard input is a socket, for which bash reads the user's .bashrc unless
# it is told that it isn't the outermost shell.
BASH_ENVIRONMENT = {"SHLVL": "1"}


@task.bash(pool="syncs", map_index_template=OBJECT_NAME, env=BASH_ENVIRONMENT, append_env=False, output_processor=judge)
def sync_debagged(claim: dict[str, Any]) -> str:
    """Audit and sync one object's works with ``syncOneWork.sh``, in an environment of its own."""
    object_id = named(claim)
    with opened_for_task() as context:
        facts = settled(pipeline.plan_sync(context, object_id))
    # A try that was killed after it had synced the object leaves nothing to be done.
    return str(facts.get("script", "true"))


@dag(
    dag_id="sqs_scheduled_dag",
    schedule=settings.schedule,
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=settings.max_active_runs,
    default_args=TASK_DEFAULTS,
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
