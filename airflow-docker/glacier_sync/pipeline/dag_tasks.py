"""What the DAGs have in common, in Airflow's terms: the tasks from debag on, and how an outcome ends a task.

Only DAG files import this: it imports Airflow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetAlias, Context, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError, one_line

log = logging.getLogger(__name__)

OBJECT_NAME = "{{ object_name }}"

SYNCED_WORKS = Asset(name="synced_works", uri="glacier-sync://archive/synced-works")
"""Has an event for each work that is synced, with the work's RID, its path in the archive, and its object's id."""

# An alias takes any number of events from one task.
_SYNCED_NOW = AssetAlias("glacier_sync_synced_now")

# A task's standard input is a socket, for which bash reads the user's .bashrc unless
# it is told that it isn't the outermost shell.
_BASH_ENVIRONMENT = {"SHLVL": "1"}

# Airflow's default is 99, which would hide a failure.
_NO_EXIT_CODE = 256


_SIMULATE_FAILURES = "simulate_failures"


def run_parameters() -> dict[str, Param]:
    """Return what a run can be started with by hand."""
    stages = ["download_from_messages", "take_in_files", "debag_downloads", "sync_debagged"]
    simulated = Param(
        None,
        type=["null", "object"],
        title="Simulate failures",
        description_md="For development: let a **stage** fail for a share (**rate**, 0 to 1) of the objects, with the "
        '**outcome** failed, retry or unknown. `{"stage": "debag_downloads", "rate": 0.5, "outcome": '
        '"failed"}`. Refused unless `GLACIER_SYNC_ALLOW_SIMULATED_FAILURES` is set.',
        properties={
            "stage": {"enum": stages},
            "rate": {"type": "number", "minimum": 0, "maximum": 1},
            "outcome": {"enum": ["failed", "retry", "unknown"]},
        },
        required=["stage", "rate"],
        additionalProperties=False,
    )
    return {_SIMULATE_FAILURES: simulated}


def task_defaults(settings: pipeline.Settings) -> dict[str, Any]:
    """Return what holds for every task unless it says otherwise."""
    return {"retries": settings.task_retries, "retry_delay": timedelta(seconds=settings.task_retry_seconds)}


def opened_for_task(airflow: Context | None = None) -> AbstractContextManager[pipeline.Context]:
    """Open the pipeline on behalf of the running task's DAG run."""
    context = airflow or get_current_context()
    instance, dag_run = context["ti"], context["dag_run"]
    return pipeline.opened(
        pipeline.Run.of_dag_run(instance.dag_id, instance.run_id),
        dag_run.logical_date or dag_run.run_after,
        last_try=_is_last_try(context),
        simulated=_simulated(context["params"].get(_SIMULATE_FAILURES)),
    )


def require_setting(name: str, value: object) -> None:
    """Skip the task, and what follows it, where a site hasn't set what it needs."""
    if value is None:
        raise AirflowSkipException(f"{name} isn't set: this way in is off; docs/watched-folder.md tells how to use it")


def claimed(claims: list[dict[str, Any]], problems: Sequence[str], nothing: str) -> list[dict[str, Any]]:
    """Return what was claimed, or look again later: on the last try, ``nothing`` to do is no failure."""
    if claims:
        return claims
    is_last_try = _is_last_try(get_current_context())
    if problems and is_last_try:
        raise AirflowFailException("; ".join(problems))
    if is_last_try:
        raise AirflowSkipException(nothing)
    raise AirflowException("; ".join([f"nothing to do yet: {nothing}", *problems]))


def fed(files: list[str], waiting: Sequence[str], problems: Sequence[str]) -> list[str]:
    """Return what was fed and say why other files wait; problems are for another try."""
    for reason in waiting:
        log.info(reason)
    if problems:
        raise AirflowException("; ".join(problems))
    return files


def staged(stage: Callable[[pipeline.Context, int], pipeline.Outcome], claim: dict[str, Any]) -> dict[str, Any]:
    """Run a stage on a claimed object, and return the claim for the next one."""
    object_id = _named(claim)
    with opened_for_task() as context:
        _settled(stage(context, object_id))
    return claim


@task(pool="unbaggings", map_index_template=OBJECT_NAME)
def debag_downloads(claim: dict[str, Any]) -> dict[str, Any]:
    """Verify and unbag one object's zip."""
    return staged(pipeline.debag_downloads, claim)


def judge(last_line: str) -> str:
    """Settle the object whose bash has ended with this line, and tell of its works."""
    airflow = get_current_context()
    object_id = int(airflow["object_id"])  # type: ignore[typeddict-item]
    with opened_for_task() as context:
        _settled(pipeline.judge_sync(context, object_id, last_line))
        for work in pipeline.synced_works(context, object_id):
            airflow["outlet_events"][_SYNCED_NOW].add(SYNCED_WORKS, extra=work)
    return last_line


def record_failed_bash(airflow: Context) -> None:
    """Record the failure of a bash that has ended with another status than 0: Airflow has it judged by nobody."""
    # Of a task whose process was killed Airflow calls this elsewhere, where no bash was.
    hook = getattr(airflow["ti"].task, "subprocess_hook", None)
    if hook is None or hook.sub_process is None or not hook.sub_process.returncode:
        return
    with opened_for_task(airflow) as context:
        object_id = int(airflow["object_id"])  # type: ignore[typeddict-item]
        outcome = pipeline.record_failed_sync(context, object_id, hook.sub_process.returncode)
    log.error("%s", outcome)


@task.bash(
    pool="syncs",
    map_index_template=OBJECT_NAME,
    env=_BASH_ENVIRONMENT,
    append_env=False,
    skip_on_exit_code=_NO_EXIT_CODE,
    output_processor=judge,
    on_retry_callback=record_failed_bash,
    on_failure_callback=record_failed_bash,
    outlets=[_SYNCED_NOW],
)
def sync_debagged(claim: dict[str, Any]) -> str:
    """Audit and sync one object's works with ``syncOneWork.sh``, in an environment of its own."""
    object_id = _named(claim)
    with opened_for_task() as context:
        facts = _settled(pipeline.plan_sync(context, object_id))
    # A try that was killed after it had synced the object leaves nothing to be done.
    return str(facts.get("script", "true"))


def _simulated(asked: dict[str, Any] | None) -> pipeline.SimulatedFailures | None:
    try:
        return pipeline.simulated_failures(pipeline.load_settings(), asked)
    except ConfigurationError as error:
        raise AirflowFailException(error.message) from error


def _is_last_try(airflow: Context) -> bool:
    """Tell whether Airflow won't try the running task again."""
    instance = airflow["ti"]
    return bool(instance.try_number > instance.max_tries)


def _settled(outcome: pipeline.Outcome) -> dict[str, Any]:
    """Return what a stage found, or fail the task as the outcome says."""
    match outcome:
        case pipeline.Done(message, facts):
            log.info(one_line(message))
            return dict(facts)
        case pipeline.Waiting(reason):
            raise AirflowSkipException(one_line(reason))
        case pipeline.RetryLater(reason):
            raise AirflowException(one_line(reason))
        case pipeline.Failed(reason):
            raise AirflowFailException(one_line(reason))


def _named(claim: dict[str, Any]) -> int:
    """Give the mapped task the object's name on Airflow's page; return the object's id."""
    context = get_current_context()
    context["object_name"], context["object_id"] = claim["name"], claim["object"]  # type: ignore[typeddict-unknown-key]
    return int(claim["object"])
