"""What looks for secrets in a deployment finds each one that is planted, wherever it looks."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal
from tests.appliance.deployment import DAG_ID, Deployment
from tests.appliance.engine import run_docker
from tests.appliance.leaks import leaks, places, secret_values, told_by_the_api, watched_processes
from tests.support.postgres import postgres_server

# Answers what is planted; PostgreSQL and ps answer for themselves, the latter as it does where
# no terminal's width is known.
DOCKER = """#!/bin/bash
cd "$(dirname "$0")" && source ./server
case "$*" in
    'compose --progress=plain logs '*) cat logs ;;
    'compose --progress=plain exec -T -e '*) export "$6" && shift 7 && exec "$@" ;;
    'compose --progress=plain ps -q') echo c0ffee ;;
    'top c0ffee '*) shift 2 && exec env -u COLUMNS ps "$@" ;;
    'inspect c0ffee') cat description ;;
    'exec c0ffee '*) cat environments ;;
    *) echo "unexpected: docker $*" >&2; exit 9 ;;
esac
"""
FILES = (
    *(".env", "logs/dag_id=a/attempt=1.log", "processing/logs/sync.log", "data/download/1/part"),
    *("dags/a.py", "plugins/a.py", ".config/.new/intake.yml"),
)
DATABASES = ("airflow", "ledger")


class Planting:
    """Makes secrets of a deployment, each of which is to be found in one place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._expected: set[str] = set()

    def __call__(self, where: str) -> str:
        made, name = secrets.token_urlsafe(24), f"secret-{len(self._expected)}"
        (self._folder / name).write_text(made)
        self._expected.add(f"{name}:1 in {where}")
        return made

    def is_found(self, seen: list[tuple[str, str]]) -> bool:
        assert leaks(secret_values(self._folder), seen) == self._expected
        return bool(self._expected)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment's folder; nothing runs."""
    folder = tmp_path / "deployment"
    (folder / "secrets").mkdir(parents=True)
    return Deployment(folder, tmp_path, "image", port=0, emulator_port=0)


@pytest.fixture
def plant(deployment: Deployment) -> Planting:
    return Planting(deployment.folder / "secrets")


def test_every_part_of_a_secret_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "aws-credentials").write_text("[default]\naws_access_key_id = AKIAEXAMPLE\nregion = eu\n")
    (tmp_path / "tls-key").write_text("-----BEGIN PRIVATE KEY-----\nfirst-line\nsecond-line==\n")
    (tmp_path / "ledger-database-url").write_text("postgresql://ledger:its-password@postgres/ledger")
    (tmp_path / "tls-cert").write_text("a-certificate")
    assert set(secret_values(tmp_path)) == {
        "aws_access_key_id = AKIAEXAMPLE",
        "AKIAEXAMPLE",
        "region = eu",
        "first-line",
        "second-line==",
        "postgresql://ledger:its-password@postgres/ledger",
        "its-password",
    }


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of what ``docker`` answers, with empty databases on a real server."""
    folder = tmp_path / "stub"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    with postgres_server() as server:
        at = conninfo_to_dict(server.url.replace("+psycopg2", ""))
        for name in ("host", "port", "password"):
            monkeypatch.setenv(f"PG{name.upper()}", str(at[name]))
        # The tests' Docker gets little of the environment.
        (folder / "server").write_text("".join(f"export PG{name.upper()}={value}\n" for name, value in at.items()))
        with psycopg.connect(user="tester", dbname="postgres", autocommit=True) as connection:
            connection.execute(SQL("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD {}").format(Literal(at["password"])))
            for database in DATABASES:
                connection.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))
        yield folder


@contextmanager
def running(*words: str, **environment: str) -> Iterator[None]:
    """Run a process of which these are words and variables, behind more than fits on a line."""
    command = ("sh", "-c", "read -r _", "sh", "x" * 5000, *words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}) as process:
        yield
        assert process.poll() is None


def fill(database: str, plant: Planting) -> None:
    """Plant secrets in a text, a document and bytes."""
    text, document, content = (plant(f"the database {database}") for _ in range(3))
    with psycopg.connect(user="postgres", dbname=database, autocommit=True) as connection:
        connection.execute("CREATE TABLE planted (a text, b jsonb, c bytea)")
        values = (f"it's {text}", json.dumps({"é": [f'"{document}"']}), b"\0\\\xff'" + content.encode() + b"\\\x80")
        connection.execute("INSERT INTO planted VALUES (%s, %s, %s)", values)


def test_what_a_run_leaves_behind(deployment: Deployment, stub: Path, plant: Planting) -> None:
    for name in FILES:
        path = deployment.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff'" + plant(str(path)).encode() + b"\x80\n")
    (stub / "logs").write_text("init-1  | " + json.dumps({"event": plant("the services' logs")}))
    (stub / "description").write_text(json.dumps([{"Env": [f"A={plant('the description of c0ffee')}"]}]))
    (stub / "environments").write_text(f"PATH=/bin\0A={plant('the environments in c0ffee')}\0")
    for database in DATABASES:
        fill(database, plant)
    with running(plant("the processes of c0ffee")):
        seen = list(places(deployment, run_docker))
    assert plant.is_found(seen)


def test_what_processes_are_given(plant: Planting) -> None:
    word, value = plant("a command line"), plant("an environment")
    with watched_processes() as processes, running(word, A=value):
        until = time.monotonic() + 60
        while len(leaks({word: "word", value: "value"}, told(processes))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert plant.is_found(told(processes))


def told(processes: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    ran, environments = ("\n".join(texts.copy()) for texts in processes.values())
    return [("a command line", ran), ("an environment", environments)]


class _Api(BaseHTTPRequestHandler):
    """What Airflow's API answers: the whole of its lists by pages, all else as it is."""

    answers: Mapping[str, Any]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        answer, query = self.answers[url.path], parse_qs(url.query)
        if "offset" in query:
            first = int(query["offset"][0])
            answer = {name: found[first : first + int(query["limit"][0])] for name, found in answer.items()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(answers: Mapping[str, Any]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"answers": answers})) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_what_the_api_tells(deployment: Deployment, plant: Planting) -> None:
    """On a list's second page, in an earlier attempt, in what a task was told and what it tells others."""
    (deployment.folder / "secrets" / "admin-password").write_text("")
    runs = f"/api/v2/dags/{DAG_ID}/dagRuns"
    task, xcom = f"{runs}/r/taskInstances/t", f"{runs}/r/taskInstances/t/xcomEntries/k"
    instance = {"dag_run_id": "r", "task_id": "t", "map_index": 0, "try_number": 2}
    answers: dict[str, Any] = {
        "/auth/token": {"access_token": "token"},
        "/api/v2/eventLogs": {"event_logs": [{}] * 100 + [{"extra": json.dumps([plant("the log of events")])}]},
        f"{runs}/~/taskInstances": {"task_instances": [{**instance, "rendered_fields": [plant("rendered fields")]}]},
        f"{task}/logs/1": {"content": [{"event": plant(f"the log of {task}")}]},
        f"{task}/logs/2": {"content": []},
        f"{runs}/~/taskInstances/~/xcomEntries": {
            "xcom_entries": [{"run_id": "r", "task_id": "t", "map_index": 0, "key": "k"}]
        },
        xcom: {"value": {"é": plant(f"the XCom {xcom}")}},
    }
    with served(answers) as port:
        deployment.port = port
        assert plant.is_found(list(told_by_the_api(deployment)))
