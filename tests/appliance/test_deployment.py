"""A deployment on a real engine, from deploy.sh to restore.sh. The tests share one, in this order."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.appliance.base_images import run
from tests.appliance.deployment import DAG_ID, UID, Deployment, derived_image, running_deployment, wait_for
from tests.appliance.engine import PROJECT, Docker
from tests.support.images import draw_jpeg, draw_work

from glacier_sync.bags import make_bag_zip
from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.works import archive_path, staging_key

pytestmark = pytest.mark.timeout(1200)

SERVICES = {"postgres", "webserver", "scheduler", "dag-processor", "triggerer", "housekeeping", "emulator"}
MIB = 2**20
IDLE_MIB = 1300

# A migration that changes a table, and then can't go on.
FAILING_MIGRATION = """
from alembic import op
revision, down_revision = "9999", "{head}"
def upgrade():
    op.execute("ALTER TABLE glacier_sync_progress DROP COLUMN user_data")
    op.execute("SELECT 1 / 0")
"""
MIGRATION = """
from alembic import op
revision, down_revision = "9999", "{head}"
def upgrade():
    op.execute("CREATE TABLE made_by_the_next_version (id integer)")
"""
VERSIONS = Path("glacier_sync/ledger/migrations/versions")


@pytest.fixture(scope="module")
def deployment(appliance_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that deploy.sh --dev has laid out, and that runs."""
    with running_deployment(appliance_image, tmp_path_factory.mktemp("appliance")) as made:
        yield made
    for name in (f"{appliance_image}-failing", f"{appliance_image}-next"):
        run("docker", "image", "rm", name, f"{name}-emulator", check=False)


@pytest.fixture(scope="module")
def samples(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Works of all sorts, of which two can't be synced; their restore is requested."""
    made = make_samples(tmp_path_factory.mktemp("samples"))
    for sample in made:
        deployment.restore(sample.key, sample.zip_path)
    return made


def test_every_service_is_confined(deployment: Deployment) -> None:
    published = {}
    for service in SERVICES:
        found = deployment.inspect(service)
        assert found["State"]["Health"]["Status"] == "healthy", service
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"], service
        assert host["ReadonlyRootfs"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"] == "10m", service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        published[service] = [entry["HostIp"] for ports in host["PortBindings"].values() for entry in ports]
    assert {service: hosts for service, hosts in published.items() if hosts} == {
        "webserver": ["127.0.0.1"],
        "emulator": ["127.0.0.1"],
    }


def test_nothing_runs_as_root(deployment: Deployment, docker: Docker) -> None:
    for service in SERVICES:
        users = docker("top", deployment.container(service), "-eo", "uid,pid").splitlines()[1:]
        assert {line.split()[0] for line in users} == {str(UID)}, service


def test_only_the_services_user_reads_the_secrets(deployment: Deployment) -> None:
    files = list((deployment.folder / "secrets").iterdir())
    assert files
    for file in files:
        assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o600, UID), file
    for path in deployment.folder.rglob("*"):
        assert path.is_symlink() or not path.stat().st_mode & 0o002, f"{path} is writable by everybody"


def test_secrets_are_in_no_environment(deployment: Deployment) -> None:
    values = {path.read_text() for path in (deployment.folder / "secrets").iterdir() if path.stat().st_size > 0}
    for service in SERVICES:
        environment = "\n".join(deployment.inspect(service)["Config"]["Env"])
        assert not [value for value in values if value.strip() in environment], service


def test_idle_memory(deployment: Deployment, docker: Docker) -> None:
    containers = [deployment.container(service) for service in SERVICES - {"emulator"}]
    used = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", *containers)
    sizes = [float(found) for found in re.findall(r"^([\d.]+)MiB /", used, re.MULTILINE)]
    assert len(sizes) == len(containers), used
    print(f"idle memory: {sum(sizes):.0f} MiB")
    assert sum(sizes) < IDLE_MIB


def test_only_the_right_password_lets_in(deployment: Deployment) -> None:
    assert deployment.token("not the password").status_code == 401
    assert httpx.get(f"{deployment.url}/api/v2/dags", timeout=30).status_code == 401
    assert deployment.token(deployment.secret("admin-password")).is_success


def test_the_database_is_not_for_the_host(deployment: Deployment) -> None:
    found = deployment.inspect("postgres")
    assert not found["HostConfig"]["PortBindings"]
    for network in found["NetworkSettings"]["Networks"].values():
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=network["IPAddress"], user="postgres", password="guess", connect_timeout=5)


def test_the_main_job(deployment: Deployment, samples: list[Sample]) -> None:
    wait_for("the DAG is known", deployment.dag)
    deployment.api("PATCH", f"dags/{DAG_ID}", is_paused=False)
    deployment.api("POST", f"dags/{DAG_ID}/dagRuns", logical_date=None)
    wait_until_settled(deployment, [sample.key for sample in samples])
    expected = {sample.key: "failed" if sample.fault else "synced" for sample in samples}
    assert deployment.phases() == expected
    for sample in samples:
        for work in sample.works:
            if sample.fault:
                assert not list((deployment.folder / "archive").glob(f"*/*/{work.name}"))
            else:
                assert deployment.differences(work) == []
    assert list((deployment.folder / "processing" / "logs").glob("sync-logs/*/*/*.log"))
    leftover = [path for path in (deployment.folder / "data").rglob("*") if path.is_file()]
    assert not leftover, "working data of works that are synced or failed"


def test_the_second_way_in_and_a_dag_of_the_sites_own(deployment: Deployment, tmp_path: Path) -> None:
    dags = {"feeder", "down_scheduled", "on_synced_works"}
    shutil.copy(PROJECT / "airflow-docker" / "examples" / "on_synced_works.py", deployment.folder / "dags")
    wait_for("the DAGs are known", lambda: dags <= {dag["dag_id"] for dag in deployment.api("GET", "dags")["dags"]})
    work = draw_work(tmp_path, "W1ZIP0031")
    zips = deployment.folder / "zips"
    make_bag_zip([work], zips / "incoming" / "W1ZIP0031.bag.zip")
    (zips / "incoming" / "W1ZIP0032.zip").write_bytes(b"half of a zip")
    for dag in dags:
        deployment.api("PATCH", f"dags/{dag}", is_paused=False)
    wait_until_settled(deployment, ["W1ZIP0031.bag.zip", "W1ZIP0032.zip"])
    phases = deployment.phases()
    assert (phases["W1ZIP0031.bag.zip"], phases["W1ZIP0032.zip"]) == ("synced", "failed")
    assert deployment.differences(work) == []
    assert list((zips / "incoming").iterdir()) == []
    assert [path.name for path in (zips / "watched").iterdir()] == ["W1ZIP0032.zip"]
    assert sorted(path.name for path in (zips / "retention").glob("*/*")) == ["W1ZIP0031.bag.zip", "W1ZIP0032.zip"]

    def told() -> bool:
        runs = deployment.api("GET", "dags/on_synced_works/dagRuns")["dag_runs"]
        return any(found["state"] == "success" for found in runs)

    wait_for("the site's own DAG has followed", told)
    for dag in dags:
        deployment.api("PATCH", f"dags/{dag}", is_paused=True)


def test_a_kill_in_the_middle_of_a_sync(deployment: Deployment, docker: Docker, tmp_path: Path) -> None:
    # A sync may be over before the kill strikes, and then proves nothing.
    works = (large_work(tmp_path / f"W1GS009{number}") for number in range(5))
    work = next(work for work in works if killed_in_the_middle(deployment, docker, work))
    key = staging_key(work.name)
    wait_until_settled(deployment, [key])
    assert deployment.phases()[key] == "synced"
    assert deployment.differences(work) == []
    synced = (
        "SELECT count(*) FROM glacier_sync_event e JOIN glacier_sync_progress p ON p.id = e.object_id"
        f" WHERE p.object_key = '{key}' AND e.kind = 'synced'"
    )
    assert deployment.ledger(synced) == [[1]]


def killed_in_the_middle(deployment: Deployment, docker: Docker, work: Path) -> bool:
    """Have a work synced, and kill what syncs it; tell whether the sync wasn't over before."""
    zip_path = work.with_suffix(".bag.zip")
    make_bag_zip([work], zip_path)
    deployment.restore(staging_key(work.name), zip_path)
    kill = killing(deployment, docker, "scheduler")
    place = archive_path(deployment.folder / "archive" / "Archive", work.name)
    wait_for("the sync has begun", lambda: any(place.parent.rglob("*.jpg*")), seconds=400, pause=0.02)
    kill()
    return deployment.phases()[staging_key(work.name)] != "synced"


def test_a_changed_dag_is_picked_up_without_a_restart(deployment: Deployment) -> None:
    started = {service: deployment.inspect(service)["State"]["StartedAt"] for service in SERVICES}
    secrets = {path.name: path.read_bytes() for path in (deployment.folder / "secrets").iterdir()}
    env = (deployment.folder / ".env").read_text()
    dag = deployment.source / "airflow-docker" / "dags" / "glacier_staging_to_sync.py"
    dag.write_text(dag.read_text().replace('tags=["glacier-sync"]', 'tags=["glacier-sync", "changed"]'))

    assert f"replace {deployment.folder}/dags/{dag.name}" in deployment.deploy("--dry-run")
    assert "changed" not in (deployment.folder / "dags" / dag.name).read_text()
    printed = deployment.deploy()
    assert [line for line in printed.splitlines() if line.startswith(("make", "replace"))] == [
        f"replace {deployment.folder}/dags/{dag.name}"
    ]
    wait_for("the changed DAG is known", lambda: "changed" in [tag["name"] for tag in deployment.dag()["tags"]])

    assert {service: deployment.inspect(service)["State"]["StartedAt"] for service in SERVICES} == started
    assert {path.name: path.read_bytes() for path in (deployment.folder / "secrets").iterdir()} == secrets
    assert (deployment.folder / ".env").read_text() == env


def test_old_logs_and_runs_are_cleaned_up(deployment: Deployment) -> None:
    logs = deployment.folder / "logs" / "dag_id=gone"
    logs.mkdir(mode=0o755)
    for name, days in (("old.log", 31), ("new.log", 29)):
        (logs / name).write_text("x")
        then = time.time() - days * 86400
        os.utime(logs / name, (then, then))
    if os.geteuid() == 0:
        for path in (logs, *logs.iterdir()):
            os.chown(path, UID, 0)
    runs = deployment.runs()
    deployment.compose("exec", "-T", "housekeeping", "/opt/glacier-sync/bin/housekeeping", "--once")
    assert [path.name for path in logs.iterdir()] == ["new.log"]
    assert runs <= deployment.runs()


def test_an_edited_setting_holds_after_down_and_up_and_history_is_kept(deployment: Deployment) -> None:
    deployment.api("PATCH", f"dags/{DAG_ID}", is_paused=True)
    runs, phases = deployment.runs(), deployment.phases()
    deployment.change("GLACIER_SYNC_MAX_SYNCS", "3")
    deployment.compose("down")
    deployment.up()
    assert runs
    assert runs <= deployment.runs()
    assert deployment.phases() == phases
    assert deployment.dag()["is_paused"]
    assert deployment.api("GET", "pools/syncs")["slots"] == 3


def test_a_failed_upgrade_leaves_the_old_state_usable(deployment: Deployment, docker: Docker, tmp_path: Path) -> None:
    phases, runs = deployment.phases(), deployment.runs()
    upgrade = upgraded_image(docker, deployment.image, "failing", FAILING_MIGRATION, tmp_path)
    deployment.change("COMPOSE_AIRFLOW_IMAGE", upgrade)

    assert "services still use it" in deployment.compose("run", "--rm", "--no-deps", "init", fails=True)
    assert deployment.token(deployment.secret("admin-password")).is_success, "the running deployment goes on"

    deployment.compose("down")
    deployment.compose("up", "-d", "--wait", fails=True)
    assert "the databases are as they were before" in init_log(deployment)
    deployment.change("COMPOSE_AIRFLOW_IMAGE", deployment.image)
    deployment.compose("down")
    deployment.up()
    assert deployment.phases() == phases
    assert runs <= deployment.runs()


def test_backup_wreck_restore(deployment: Deployment, docker: Docker, tmp_path: Path) -> None:
    phases, runs, password = deployment.phases(), deployment.runs(), deployment.secret("admin-password")
    backup = tmp_path / "backup.tar"
    override = deployment.folder / "docker-compose.override.yaml"
    override.write_text("services: {housekeeping: {labels: {site: own}}}")
    deployment.script("backup.sh", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o600

    deployment.compose("down", "--volumes")
    shutil.rmtree(deployment.folder / "secrets")
    (deployment.folder / "dags" / "glacier_staging_to_sync.py").write_text("wrecked")
    override.unlink()
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(backup.read_bytes().replace(b"DEPLOYMENT=dev", b"DEPLOYMENT=xxx"))
    assert "damaged" in deployment.script("restore.sh", "--yes", str(damaged), fails=True)

    deployment.script("restore.sh", "--yes", str(backup))
    assert deployment.secret("admin-password") == password
    assert deployment.phases() == phases
    assert runs <= deployment.runs()
    assert "wrecked" not in (deployment.folder / "dags" / "glacier_staging_to_sync.py").read_text()
    assert deployment.inspect("housekeeping")["Config"]["Labels"]["site"] == "own"
    # Over a running one it works as well, and the rows that came after the backup are gone.
    deployment.compose(
        "exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "ledger", "-qc", "CREATE TABLE later ()"
    )
    deployment.script("restore.sh", "--yes", str(backup))
    assert deployment.ledger("SELECT to_regclass('later')::text AS found") == [[None]]
    assert deployment.phases() == phases


def test_an_upgrade_migrates_in_init(deployment: Deployment, docker: Docker, tmp_path: Path) -> None:
    phases = deployment.phases()
    upgrade = upgraded_image(docker, deployment.image, "next", MIGRATION, tmp_path)
    deployment.change("COMPOSE_AIRFLOW_IMAGE", upgrade)
    deployment.compose("down")
    deployment.up()
    assert "to be migrated: ledger" in init_log(deployment)
    assert deployment.ledger("SELECT to_regclass('made_by_the_next_version')::text AS found") == [
        ["made_by_the_next_version"]
    ]
    assert deployment.ledger("SELECT count(*) FROM pg_database WHERE datname LIKE '%before_upgrade'") == [[0]]
    assert deployment.phases() == phases


def wait_until_settled(deployment: Deployment, keys: list[str]) -> None:
    def settled() -> bool:
        phases = deployment.phases()
        return all(phases.get(key) in ("synced", "failed") for key in keys)

    wait_for(f"{keys} are synced or failed", settled, seconds=600)


def large_work(folder: Path) -> Path:
    """Make a work whose sync takes a while."""
    draw_jpeg(folder.with_suffix(".jpg"))
    page, noise = folder.with_suffix(".jpg").read_bytes(), random.Random(0)
    for parent in ("archive", "images"):
        group = folder / parent / f"{folder.name}-I{folder.name[1:]}"
        group.mkdir(parents=True)
        for number in range(1, 301):
            (group / f"{group.name.partition('-')[2]}{number:04d}.jpg").write_bytes(page + noise.randbytes(300_000))
    return folder


def killing(deployment: Deployment, docker: Docker, service: str) -> Callable[[], None]:
    """Return what ends a container's processes with SIGKILL, as the kernel does when memory runs out.

    What it needs is asked for here, so that it strikes at once.
    """
    container, process = deployment.container(service), deployment.inspect(service)["State"]["Pid"]
    if os.geteuid() == 0:
        return lambda: os.kill(process, signal.SIGKILL)

    def kill_and_start() -> None:
        # The engine takes this for the operator's wish, and doesn't start it again by itself.
        docker("kill", container)
        deployment.compose("start", service)

    return kill_and_start


def upgraded_image(docker: Docker, base: str, suffix: str, migration: str, tmp_path: Path) -> str:
    """Make the images of a next version, which has a migration more."""
    script = "import glacier_sync.ledger as l, pathlib; print(pathlib.Path(l.__file__).parent / 'migrations/versions')"
    versions = Path(docker("run", "--rm", base, "python", "-c", script).strip())
    names = docker("run", "--rm", base, "ls", str(versions)).split()
    head = max(found.group(1) for name in names if (found := re.match(r"v(\d{4})_", name)))
    path = tmp_path / "v9999_next.py"
    path.write_text(migration.format(head=head))
    path.chmod(0o644)
    name = f"{base}-{suffix}"
    derived_image(docker, base, name, [(path, str(versions / path.name))])
    docker("tag", f"{base}-emulator", f"{name}-emulator")
    return name


def init_log(deployment: Deployment) -> str:
    return deployment.compose("logs", "--no-log-prefix", "init")
