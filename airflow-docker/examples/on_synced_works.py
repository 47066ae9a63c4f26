"""An example of a site's own DAG, which runs whenever works were synced.

Copy it to the deployment's ``dags``, under a name of your own, and do in ``tell``
what is to be done.

Airflow makes one run for events that come within the same second, and hands it the
first of them only; the others would wait for the next run. So the first task asks
for all events since the last one that was dealt with, which the last task notes
down: a work is told of again rather than never.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, Variable, dag, get_current_context, task

SYNCED_WORKS = Asset(name="synced_works", uri="glacier-sync://archive/synced-works")
LAST_EVENT = "on_synced_works_last_event"


@task(inlets=[SYNCED_WORKS])
def synced_works(inlet_events: Any) -> list[dict[str, Any]]:
    """Return what each new event tells of its work: RID, path in the archive, object in the ledger."""
    last = int(Variable.get(LAST_EVENT, default="0"))
    return [{"event": event.id, **event.extra} for event in inlet_events[SYNCED_WORKS] if event.id > last]


@task(map_index_template="{{ work_name }}")
def tell(event: dict[str, Any]) -> str:
    """Say where a work is."""
    get_current_context()["work_name"] = event["work"]
    line = f"{event['work']} is in the archive at {event['path']}"
    print(line)
    return line


@task
def note_down(events: list[dict[str, Any]]) -> None:
    """Note down the last event that was dealt with."""
    Variable.set(LAST_EVENT, str(max(event["event"] for event in events)))


@dag(
    dag_id="on_synced_works",
    schedule=[SYNCED_WORKS],
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
)
def on_synced_works() -> None:
    """Do something for each work, each in a task of its own."""
    events = synced_works()
    tell.expand(event=events) >> note_down(events)


on_synced_works()
