"""The appliance's image, built as an operator builds it, and the engine that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.appliance.base_images import UnavailableError, prepare
from tests.appliance.engine import IMAGE, PROJECT, Docker, build_image, run_docker
from tests.support.needs import lacking


@pytest.fixture(scope="session")
def docker() -> Docker:
    """`docker("ps", "-q")`: runs it and returns what it prints. Tests that need an engine end where none answers."""
    services = yaml.safe_load((PROJECT / "bdrc-docker-compose.yml").read_text(encoding="utf-8"))["services"]
    try:
        prepare(services["postgres"]["image"])
    except UnavailableError as unavailable:
        lacking(f"the appliance can't be tested here: {unavailable}")
    return run_docker


@pytest.fixture(scope="session")
def compose(docker: Docker) -> tuple[str, ...]:
    """The words that start Docker's compose command."""
    return ("docker", "compose")


@pytest.fixture(scope="session")
def build_dir(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build directory of the tests' image."""
    return tmp_path_factory.mktemp("build") / "compose-build"


@pytest.fixture(scope="session")
def appliance_image(docker: Docker, build_dir: Path) -> str:
    """The name of the image, just built with bdrc-docker.sh; with `-emulator` behind it, that of the emulator's."""
    done = build_image("--build_dir", str(build_dir))
    assert done.returncode == 0, done.stdout
    return IMAGE
