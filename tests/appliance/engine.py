"""Calling Docker and bdrc-docker.sh."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# Names of the tests' own: an operator's images stay as they are. They remain after the
# tests, as the layers that make the next run fast.
IMAGE = "bdrc-airflow-tests"
EMULATOR_IMAGE = f"{IMAGE}-emulator"

Docker = Callable[..., str]


def run_docker(*arguments: str, input: str | None = None) -> str:  # noqa: A002 - the name that subprocess has for it
    """Run a docker command; return its standard output, or fail with what it said."""
    done = subprocess.run(["docker", *arguments], input=input, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"docker {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def build_image(
    *arguments: str, image: str = IMAGE, project: Path = PROJECT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run bdrc-docker.sh of a clone; its standard error goes to standard output."""
    return subprocess.run(
        [str(project / "bdrc-docker.sh"), *arguments],
        env={**os.environ, "COMPOSE_AIRFLOW_IMAGE": image, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
