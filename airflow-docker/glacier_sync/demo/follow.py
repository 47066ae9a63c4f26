"""Following the demo: a live table on a terminal, lines elsewhere, and the outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from glacier_sync.cli import output, tables
from glacier_sync.demo.prepare import scene_file
from glacier_sync.errors import ConfigurationError, TransientError
from glacier_sync.ledger import Ledger, LedgerObject, Phase
from glacier_sync.pipeline.report import ObjectReport, report
from glacier_sync.settings import Settings
from glacier_sync.works import BAG_SUFFIX, archive_path

DAG_ID = "sqs_scheduled_dag"

_FINAL = {Phase.SYNCED, Phase.FAILED}
_PAUSE_SECONDS = 1
_READ_SECONDS = 90


def start_run(airflow: str, user: str, password: str) -> None:
    """Have Airflow run the DAG, as soon as the DAG processor has read it.

    A DAG that is unpaused gets a run by its schedule at once; one that was so
    before is triggered. Raises TransientError if Airflow doesn't answer, doesn't
    know the user, or doesn't know the DAG in time.
    """
    try:
        with httpx.Client(base_url=airflow, timeout=30) as client:
            token = client.post("/auth/token", json={"username": user, "password": password})
            token.raise_for_status()
            client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            if _dag(client)["is_paused"]:
                client.patch(f"/api/v2/dags/{DAG_ID}", json={"is_paused": False}).raise_for_status()
            else:
                client.post(f"/api/v2/dags/{DAG_ID}/dagRuns", json={"logical_date": None}).raise_for_status()
    except httpx.HTTPError as error:
        raise TransientError(
            f"Airflow at {airflow} doesn't start {DAG_ID} for the user {user!r} ({error}): "
            "look at the log of the api-server, and at the page's import errors"
        ) from error


def _dag(client: httpx.Client) -> dict[str, Any]:
    deadline = time.monotonic() + _READ_SECONDS
    while True:
        answer = client.get(f"/api/v2/dags/{DAG_ID}")
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if time.monotonic() > deadline:
            answer.raise_for_status()
        time.sleep(_PAUSE_SECONDS)


def follow(settings: Settings, timeout: timedelta) -> int:
    """Follow the samples until each is synced or failed; return the exit status.

    It is 0 if the good ones stand in the archive as they were made and the bad
    ones failed, else 1.
    """
    scene = _scene(settings)
    deadline = time.monotonic() + timeout.total_seconds()
    with Ledger.open(settings) as ledger, _Display(scene) as display:
        while True:
            items = _items(ledger, scene)
            display.show(items)
            if len(items) == len(scene["samples"]) and all(item.phase in _FINAL for item in items):
                break
            if time.monotonic() > deadline:
                output.line(f"demo: not everything was settled within {timeout}; see the services' logs", error=True)
                return 1
            time.sleep(_PAUSE_SECONDS)
    _print_outcome(items)
    return _verdict(settings, scene, items)


def _scene(settings: Settings) -> dict[str, Any]:
    try:
        scene: dict[str, Any] = json.loads(scene_file(settings).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{scene_file(settings)} isn't there: expected a demo that is set up; start it with ./local-airflow.sh demo"
        ) from None
    return scene


def _items(ledger: Ledger, scene: dict[str, Any]) -> list[LedgerObject]:
    return [item for item in ledger.objects() if item.bucket == scene["bucket"]]


class _Display:
    """Shows what changed: the whole table on a terminal, a line for each step elsewhere."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self._keys = [sample["key"] for sample in scene["samples"]]
        self._shown: dict[str, Phase] = {}
        console = Console()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> _Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, items: Iterable[LedgerObject]) -> None:
        phases = {item.key: item.phase for item in items}
        if self._live:
            self._live.update(self._table(phases))
            return
        for key, phase in phases.items():
            if self._shown.get(key) != phase:
                output.line(f"{time.strftime('%H:%M:%S')}  {phase:<10}  {key}")
        self._shown = phases

    def _table(self, phases: dict[str, Phase]) -> Table:
        steps = [Phase.RESTORED, Phase.DOWNLOADED, Phase.DEBAGGED, Phase.SYNCED]
        rows = tables.table("object", "progress", "phase")
        for key in self._keys:
            phase = phases.get(key)
            reached = steps.index(phase) + 1 if phase in steps else 0
            bar = "failed" if phase is Phase.FAILED else "■" * reached + "·" * (len(steps) - reached)
            rows.add_row(key.rpartition("/")[2], bar, str(phase or "restore requested"))
        return rows


def _print_outcome(items: list[LedgerObject]) -> None:
    for found in map(report, items):
        output.line("")
        output.line(f"{found.name}: {found.phase.upper() if found.phase is Phase.FAILED else found.phase}")
        output.line(f"  from      s3://{found.bucket}/{found.key}")
        output.line(f"  phases    {_times(found)}")
        for work in found.works:
            audit = f"audit {work.audit}" if work.audit else "not audited"
            place = work.destination if work.phase is Phase.SYNCED else "not in the archive"
            output.line(f"  work      {work.rid}: {audit}; {place}")
        if found.reason:
            what, *then = found.reason.split("; ")
            output.line(f"  reason    {what}")
            for part in then:
                output.line(f"            {part}")


def _times(found: ObjectReport) -> str:
    return ", ".join(f"{step.phase} {output.local(step.on)[11:]}" for step in found.reached)


def _verdict(settings: Settings, scene: dict[str, Any], items: list[LedgerObject]) -> int:
    phases = {item.key: item.phase for item in items}
    wrong = []
    works = 0
    for sample in scene["samples"]:
        if phases[sample["key"]] is not (Phase.FAILED if sample["fault"] else Phase.SYNCED):
            wrong.append(f"{sample['key']} is {phases[sample['key']]}")
        elif not sample["fault"]:
            works += len(sample["works"])
            wrong += [difference for work in sample["works"] if (difference := _archived_differs(settings, Path(work)))]
    output.line("")
    if wrong:
        output.line(f"demo: not as expected: {'; '.join(wrong)}", error=True)
        return 1
    output.line(
        f"{works} works stand in the archive, byte for byte as they were made; the bad ones failed as they should."
    )
    return 0


def _archived_differs(settings: Settings, work: Path) -> str | None:
    """Compare the archive's copy with the sample itself, apart from all that the pipeline knows."""
    copy = archive_path(settings.archive_parent, work.name)
    originals = {path.relative_to(work) for path in work.rglob("*") if path.is_file()}
    bag = Path(f"{work.name}{BAG_SUFFIX}")
    copies = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    copies = {path for path in copies if path.parts[0] != str(bag)}
    if originals != copies:
        return f"{copy} has other files than the sample"
    different = [name for name in originals if (work / name).read_bytes() != (copy / name).read_bytes()]
    return f"{copy} differs in {os.fspath(different[0])}" if different else None
