"""README's three commands, followed literally."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.appliance.base_images import run
from tests.appliance.engine import IMAGE, PROJECT, Docker
from tests.support.needs import lacking

pytestmark = pytest.mark.timeout(1800)

PAGE = "http://127.0.0.1:8089"
VOLUME = "glacier-sync_database"


def quick_start() -> list[str]:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Run it: the appliance", 1)[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block
    return block.group(1).splitlines()


def test_the_quick_start_is_three_commands_and_they_work(docker: Docker, appliance_image: str, tmp_path: Path) -> None:
    for port in (8089, 5005):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                lacking(f"something listens on port {port} already, which README's deployment takes")
    if run("docker", "volume", "inspect", VOLUME, check=False).returncode == 0:
        lacking(f"this machine has a deployment already: the volume {VOLUME}")
    commands = quick_start()
    assert len(commands) == 3
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker"),
        # An operator's image of the usual name stays as it is.
        "COMPOSE_AIRFLOW_IMAGE": IMAGE,
    }
    deployment = tmp_path / "glacier-sync"
    try:
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        password = (deployment / "secrets" / "admin-password").read_text(encoding="utf-8").strip()
        token = httpx.post(f"{PAGE}/auth/token", json={"username": "admin", "password": password}, timeout=60)
        assert token.is_success
    finally:
        if (deployment / "docker-compose.yaml").exists():
            subprocess.run(["docker", "compose", "down", "--volumes"], cwd=deployment, check=True, capture_output=True)
