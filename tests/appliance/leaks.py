"""Where a run of the deployment could have left a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
from tests.appliance.deployment import DAG_ID, Deployment
from tests.appliance.engine import Docker
from tests.appliance.users import admin

_LOOK_SECONDS = 0.2

# Shorter ones are words that stand everywhere.
_MIN_LENGTH = 8

# Certificates and regions are no secrets.
_NO_SECRETS = ("aws-config", "tls-cert")

# Bytes as text, where they are any.
_READABLE_BYTES = "PGOPTIONS=-c bytea_output=escape"


@contextmanager
def watched_processes() -> Iterator[Mapping[str, set[str]]]:
    """Look at all processes meanwhile, the containers' too; yield their command lines and environments."""
    seen: dict[str, set[str]] = {"cmdline": set(), "environ": set()}
    ended = Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                for name, texts in seen.items():
                    # It may have ended meanwhile, or be somebody else's.
                    with suppress(OSError):
                        texts.add((folder / name).read_text(encoding="utf-8", errors="replace"))

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def secret_values(folder: Path) -> dict[str, str]:
    """Return what must be nowhere else, with the file and line that it is from: lines, values and passwords."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name in _NO_SECRETS:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            # Headings: of a profile, of a key.
            if not line.startswith(("[", "-----")):
                found.update(dict.fromkeys(_values(line.strip()), f"{path.name}:{number}"))
    return found


def _values(line: str) -> Iterator[str]:
    password = re.fullmatch(r"\S+://[^:]+:([^@]+)@\S+", line)
    for value in (line, line.partition("=")[2].strip(), password[1] if password else ""):
        if len(value) >= _MIN_LENGTH:
            yield value


def leaks(secret: Mapping[str, str], seen: Iterable[tuple[str, str]]) -> set[str]:
    """Tell which secrets stand where they mustn't, of places and what stands there."""
    return {f"{origin} in {where}" for where, text in seen for value, origin in secret.items() if value in text}


def places(deployment: Deployment, docker: Docker) -> Iterator[tuple[str, str]]:
    """Yield where a run could have left a secret, with what stands there."""
    yield "the services' logs", deployment.compose("logs", "--no-color")
    for parent in (".env", "logs", "processing", "data", "dags", "plugins", ".config"):
        for path in (deployment.folder / parent, *(deployment.folder / parent).rglob("*")):
            if path.is_file():
                yield str(path), path.read_text(encoding="utf-8", errors="replace")
    # Airflow's has the XComs, rendered fields, the log of events and the sessions.
    for database in ("airflow", "ledger"):
        command = ("pg_dump", "-U", "postgres", "--inserts", database)
        dump = deployment.compose("exec", "-T", "-e", _READABLE_BYTES, "postgres", *command)
        assert "INSERT INTO" in dump
        yield f"the database {database}", dump
    for container in deployment.compose("ps", "-q").split():
        yield f"the processes of {container}", docker("top", container, "-eo", "pid,args")
        yield f"the description of {container}", docker("inspect", container)
        # Some end meanwhile.
        environments = docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null || true")
        assert "PATH=" in environments
        yield f"the environments in {container}", environments


def told_by_the_api(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield what users of the page get to see of the runs: XComs, rendered fields, logs and the log of events."""
    runs = f"/api/v2/dags/{DAG_ID}/dagRuns"
    with admin(deployment) as client:
        for event in _entries(client, "/api/v2/eventLogs", "event_logs"):
            yield "the log of events", json.dumps(event)
        for task in _entries(client, f"{runs}/~/taskInstances", "task_instances"):
            yield "rendered fields", json.dumps(task)
            path = f"{runs}/{task['dag_run_id']}/taskInstances/{task['task_id']}"
            for attempt in range(1, task["try_number"] + 1):
                log = client.get(f"{path}/logs/{attempt}?map_index={task['map_index']}")
                yield f"the log of {path}", log.raise_for_status().text
        for entry in _entries(client, f"{runs}/~/taskInstances/~/xcomEntries", "xcom_entries"):
            path = f"{runs}/{entry['run_id']}/taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
            value = client.get(f"{path}?map_index={entry['map_index']}").raise_for_status().json()["value"]
            yield f"the XCom {path}", json.dumps(value)


def _entries(client: httpx.Client, path: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield all entries of a list that comes in pages."""
    seen = 0
    while entries := client.get(path, params={"limit": 100, "offset": seen}).raise_for_status().json()[name]:
        yield from entries
        seen += len(entries)
