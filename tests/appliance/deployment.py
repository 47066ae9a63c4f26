"""A deployment made with deploy.sh, and what an operator does with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from tests.appliance.engine import PROJECT
from tests.support.ports import free_port

from glacier_sync.emulator.client import EmulatorClient
from glacier_sync.works import archive_path

T = TypeVar("T")

UID = 1001 if os.geteuid() == 0 else os.geteuid()
DAG_ID = "sqs_scheduled_dag"
REGION, BUCKET, QUEUE = "us-east-1", "manifest.bdrc.org", "ManifestReadyToIntake"
_PROJECT = "tests-of-glacier-sync-"
SOURCE_PARTS = ("bdrc-docker-compose.yml", "airflow-docker/dags", "airflow-docker/plugins", "config")


def own_environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing goes before the deployment's .env."""
    kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "LANG")
    return {**{name: value for name, value in os.environ.items() if name in kept}, **more}


def wait_for(what: str, ask: Callable[[], T], seconds: float = 300, pause: float = 1) -> T:
    """Return the first true answer, asked for every ``pause`` seconds; the last one is in the failure's message."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} didn't come true within {seconds:.0f} seconds: {answer!r}"
        time.sleep(pause)
    return answer


def copy_source(folder: Path) -> Path:
    """Copy what deploy.sh takes from a clone, so that a test can change it."""
    for part in SOURCE_PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif (PROJECT / part).exists():
            shutil.copy(PROJECT / part, target)
    return folder


@dataclass
class Deployment:
    """The folder, the clone it came from, and its image."""

    folder: Path
    source: Path
    image: str
    port: int
    emulator_port: int

    def deploy(self, *options: str) -> str:
        """Run deploy.sh; return what it prints."""
        return self._run(
            str(PROJECT / "deploy.sh"), "-s", str(self.source), "-d", str(self.folder), *options, image=self.image
        )

    def script(self, name: str, *arguments: str, fails: bool = False) -> str:
        return self._run(str(PROJECT / "bin" / name), "-d", str(self.folder), *arguments, fails=fails)

    def compose(self, *arguments: str, fails: bool = False) -> str:
        return self._run("docker", "compose", "--progress=plain", *arguments, fails=fails)

    def compose_with_input(self, text: str, *arguments: str) -> str:
        """Run a compose command that reads a text; return what it prints."""
        return self._run("docker", "compose", "--progress=plain", *arguments, text=text)

    def up(self) -> None:
        """Start it as the operator does."""
        self.compose("up", "-d", "--wait")

    def remove(self) -> None:
        """End everything and forget the database."""
        self.compose("down", "--volumes", "--timeout", "5")

    def change(self, name: str, value: str) -> None:
        """Change a setting in .env, as an editor does."""
        env = self.folder / ".env"
        lines = [line for line in env.read_text().splitlines() if not line.startswith(f"{name}=")]
        env.write_text("\n".join([*lines, f"{name}={value}", ""]))

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        container: dict[str, Any] = json.loads(self._run("docker", "inspect", self.container(service)))[0]
        return container

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()

    def token(self, password: str) -> httpx.Response:
        return httpx.post(f"{self.url}/auth/token", json={"username": "admin", "password": password}, timeout=60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def api(self, method: str, path: str, **body: Any) -> Any:
        token = self.token(self.secret("admin-password")).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, f"{self.url}/api/v2/{path}", headers=headers, timeout=60, json=body or None)
        return answer.raise_for_status().json()

    def dag(self) -> dict[str, Any]:
        """Return what Airflow knows of the DAG, or nothing as long as it doesn't."""
        found = [dag for dag in self.api("GET", "dags")["dags"] if dag["dag_id"] == DAG_ID]
        return found[0] if found else {}

    def runs(self) -> set[str]:
        return {run["dag_run_id"] for run in self.api("GET", f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]}

    @property
    def client(self) -> EmulatorClient:
        return EmulatorClient(f"http://127.0.0.1:{self.emulator_port}", REGION)

    def restore(self, key: str, zip_path: Path) -> None:
        """Put a zipped bag into the archive's bucket, and request its restore."""
        self.client.create_intake(BUCKET, QUEUE)
        self.client.put_archived(zip_path, BUCKET, key)
        self.client.request_restore(BUCKET, key)

    def ledger(self, statement: str) -> list[list[Any]]:
        """Ask the ledger's database."""
        query = f"SELECT coalesce(json_agg(row_to_json(answer)), '[]') FROM ({statement}) AS answer"
        arguments = ("exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "ledger", "-qAtXc", query)
        return [list(row.values()) for row in json.loads(self.compose(*arguments))]

    def phases(self) -> dict[str, str]:
        return {key: phase.lower() for key, phase in self.ledger("SELECT object_key, phase FROM glacier_sync_progress")}

    def differences(self, work: Path) -> list[str]:
        """Compare the archive's copy of a work, byte by byte, with the work itself."""
        copy = archive_path(self.folder / "archive" / "Archive", work.name)
        names = {path.relative_to(work) for path in work.rglob("*") if path.is_file()}
        copied = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
        copied = {path for path in copied if path.parts[0] != f"{work.name}.bag"}
        both = names & copied
        different = {name for name in both if (work / name).read_bytes() != (copy / name).read_bytes()}
        return sorted(map(str, (names ^ copied) | different))

    def _run(self, *command: str, image: str | None = None, fails: bool = False, text: str = "") -> str:
        environment = own_environment(**({"COMPOSE_AIRFLOW_IMAGE": image} if image else {}))
        folder = self.folder if self.folder.is_dir() else self.folder.parent
        done = subprocess.run(
            command, cwd=folder, env=environment, input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")


@contextmanager
def running_deployment(image: str, root: Path) -> Iterator[Deployment]:
    """Lay out a deployment for development below ``root``, start it, and end it afterwards."""
    if os.geteuid() != UID:
        for folder in (root, *root.parents[:3]):
            # What is open to all already, as the machine's folder for temporary files is, stays as it is.
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)
    remove_abandoned()
    made = Deployment(
        # The folder's name is the project's, which the engine has for all its users.
        folder=root / f"{_PROJECT}{os.getpid()}-{root.name}",
        source=copy_source(root / "source"),
        image=image,
        port=free_port(),
        emulator_port=free_port(),
    )
    printed = made.deploy("--dev", "--port", str(made.port))
    assert made.secret("admin-password") in printed
    made.change("EMULATOR_PORT", str(made.emulator_port))
    made.change("GLACIER_SYNC_SCHEDULE", "'* * * * *'")
    made.change("GLACIER_SYNC_INTAKE_RETRY_SECONDS", "2")
    made.change("GLACIER_SYNC_TASK_RETRY_SECONDS", "2")
    made.change("GLACIER_SYNC_SETTLE_SECONDS", "2")
    made.change("STOP_GRACE_PERIOD", "20s")
    try:
        made.up()
        yield made
    finally:
        made.remove()


def remove_abandoned() -> None:
    """End the deployments of tests that were killed, or interrupted and not waited for."""
    form = '{{.Label "com.docker.compose.project"}}'
    listed = subprocess.run(["docker", "ps", "-a", "--format", form], capture_output=True, text=True, check=True)
    for name in set(re.findall(rf"^{_PROJECT}\d+-.*", listed.stdout, re.MULTILINE)):
        if not psutil.pid_exists(int(name.removeprefix(_PROJECT).partition("-")[0])):
            subprocess.run(["docker", "compose", "-p", name, "down", "--volumes", "--timeout", "5"], check=True)


def derived_image(docker: Callable[..., str], base: str, name: str, files: Sequence[tuple[Path, str]]) -> str:
    """Make an image that differs from another by some files."""
    container = docker("create", base).strip()
    try:
        for path, target in files:
            docker("cp", str(path), f"{container}:{target}")
        docker("commit", "--change", "USER 1001:0", container, name)
    finally:
        docker("rm", container)
    return name
