"""Services of a deployment killed while works are under way: each work arrives, once and whole."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.appliance.conftest import appliance_image, build_dir, docker
from tests.appliance.deployment import DAG_ID, Deployment, running_deployment, wait_for
from tests.faults.conftest import Note
from tests.faults.invariants import Findings
from tests.support.images import draw_work

from glacier_sync.bags import make_bag_zip
from glacier_sync.works import staging_key

__all__ = ["appliance_image", "build_dir", "docker"]

pytestmark = [pytest.mark.slow_faults, pytest.mark.timeout(2400)]

ENGINE = ("postgres", "webserver", "scheduler", "dag-processor", "triggerer")
KILLS = (
    ("scheduler",),
    ("webserver",),
    ("postgres",),
    ("dag-processor",),
    ("triggerer",),
    ENGINE,
    ("scheduler",),
    ("postgres", "scheduler"),
    ("webserver",),
    ("scheduler",),
    ENGINE,
)
IMAGES = 200


@pytest.fixture(scope="module")
def deployment(appliance_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running_deployment(appliance_image, tmp_path_factory.mktemp("faults")) as made:
        yield made


def test_services_that_are_killed(deployment: Deployment, tmp_path: Path, note: Note, dice: random.Random) -> None:
    """With a new work for each kill, so that there is always one under way."""
    wait_for("the DAG is known", deployment.dag)
    deployment.api("PATCH", f"dags/{DAG_ID}", is_paused=False)
    works = []
    for number, services in enumerate(KILLS):
        works.append(draw_work(tmp_path / "works", f"W1KILL{number:02}", images=IMAGES))
        zip_path = tmp_path / f"{works[-1].name}.bag.zip"
        make_bag_zip([works[-1]], zip_path)
        deployment.restore(staging_key(works[-1].name), zip_path)
        time.sleep(dice.uniform(5, 15))
        kill(deployment, services)
    keys = {staging_key(work.name) for work in works}
    wait_for("all works are settled", lambda: settled(deployment, keys), seconds=1200)
    note("services of a deployment are killed", judged(deployment, works), len(KILLS))


def kill(deployment: Deployment, services: tuple[str, ...]) -> None:
    """End services' processes with SIGKILL at once, as the kernel does when memory runs out; the engine starts them.

    Fails unless each is struck: it runs, and has ended after that.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can kill a container's process as the kernel does")
    # What an earlier kill has ended may still be starting.
    wait_for(f"{', '.join(services)} run", lambda: all(processes(deployment, services)))
    struck = processes(deployment, services)
    for number in struck:
        os.kill(number, signal.SIGKILL)
    wait_for(f"{', '.join(services)} have ended", lambda: set(processes(deployment, services)).isdisjoint(struck))


def processes(deployment: Deployment, services: tuple[str, ...]) -> list[int]:
    """Return the numbers of services' processes, 0 for one that doesn't run."""
    return [process(deployment, service) for service in services]


def process(deployment: Deployment, service: str) -> int:
    try:
        return int(deployment.inspect(service)["State"]["Pid"])
    except AssertionError:
        # Its container may be between its end and its next start.
        return 0


def settled(deployment: Deployment, keys: set[str]) -> bool:
    try:
        phases = deployment.phases()
    except AssertionError:
        # The ledger's server may be starting.
        return False
    return all(phases.get(key) in ("synced", "failed") for key in keys)


def judged(deployment: Deployment, works: list[Path]) -> Findings:
    found, phases = Findings(), deployment.phases()
    synced = dict(
        deployment.ledger(
            "SELECT p.object_key, count(*) FROM glacier_sync_event e JOIN glacier_sync_progress p ON p.id = e.object_id"
            " WHERE e.kind = 'synced' GROUP BY p.object_key"
        )
    )
    for work in works:
        key = staging_key(work.name)
        if phases.get(key) != "synced":
            found.lost.append(f"{key} is {phases.get(key)}")
        elif synced[key] != 1:
            found.duplicated.append(f"{key} was {synced[key]} times synced")
        elif differences := deployment.differences(work):
            found.unverified.append(f"{work.name} differs: {differences[:3]}")
    found.left += [str(path) for path in (deployment.folder / "data").rglob("*") if path.is_file()]
    found.left += [str(path) for path in (deployment.folder / "archive").glob("*/*/.*")]
    return found
