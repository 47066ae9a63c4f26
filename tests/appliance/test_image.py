"""The images that bdrc-docker.sh builds: what they hold, what they don't, and who can run them."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import shutil
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests.appliance.base_images import DEBIAN
from tests.appliance.engine import EMULATOR_IMAGE, PROJECT, Docker, build_image
from tests.support.wheels import make_wheel

from glacier_sync import __version__

pytestmark = pytest.mark.timeout(1800)

SITE_IMAGE = "bdrc-airflow-tests-site"
MEGABYTE = 10**6


def facts(docker: Docker, image: str) -> dict[str, Any]:
    inspected: dict[str, Any] = json.loads(docker("image", "inspect", image))[0]
    return inspected


def run_in(docker: Docker, image: str, *command: str, user: str = "1001:0") -> str:
    confinement = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")
    return docker("run", "--rm", "--user", user, *confinement, image, *command)


def installed(docker: Docker, image: str) -> dict[str, str]:
    script = (
        "import importlib.metadata as m, json, re;"
        "print(json.dumps({re.sub('[-_.]+', '-', d.name).lower(): d.version for d in m.distributions()}))"
    )
    packages: dict[str, str] = json.loads(run_in(docker, image, "python", "-c", script))
    return packages


def locked(lock: Path) -> dict[str, str]:
    """Return the packages that a lock names for this platform."""
    lines = re.findall(r"^[\w.-]+(?:\[.*?\])?==[^\\\n]+", lock.read_text(encoding="utf-8"), re.MULTILINE)
    requirements = [Requirement(line.strip()) for line in lines]
    here = {"python_version": "3.13", "python_full_version": "3.13.5", "sys_platform": "linux"}
    return {
        re.sub("[-_.]+", "-", each.name).lower(): str(each.specifier).removeprefix("==")
        for each in requirements
        if each.marker is None or each.marker.evaluate(here)
    }


def layers(docker: Docker, image: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file in every layer, and of the image's own descriptions."""
    saved = folder / "image.tar"
    docker("save", "--output", str(saved), image)
    with tarfile.open(saved) as archive:
        for member in archive.getmembers():
            if (content := archive.extractfile(member)) is None:
                continue
            try:
                with tarfile.open(fileobj=content, mode="r:*") as layer:
                    for entry in layer:
                        inner = layer.extractfile(entry) if entry.isfile() else None
                        yield entry.name, inner.read() if inner else b""
            except tarfile.ReadError:
                content.seek(0)
                yield member.name, content.read()


@pytest.mark.parametrize("user", ["1001:0", "54321:0"])
def test_any_user_id_runs_every_program(docker: Docker, appliance_image: str, user: str) -> None:
    script = (
        "id -u && airflow version && glacier-sync --version && audit-tool -v && syncOneWork.sh -h && rclone version"
    )
    output = run_in(docker, appliance_image, "bash", "-ec", script, user=user)
    assert output.splitlines()[0] == user.partition(":")[0]
    for expected in ("3.3.", f"glacier-sync {__version__}", "audit-tool ", "syncOneWork.sh [-h]", "rclone v"):
        assert expected in output


def test_tasks_can_write_where_they_have_to_and_the_programs_are_out_of_reach(
    docker: Docker, appliance_image: str
) -> None:
    script = (
        "touch /opt/airflow/logs/x /opt/airflow/x /home/airflow/bdrc/data/x /home/airflow/x;"
        "find / -xdev -writable -type f ! -path '/proc/*' ! -path '/tmp/*' -newer /opt/airflow/airflow.cfg;"
        "find /opt/glacier-sync /usr -xdev -writable ! -type l"
    )
    output = docker("run", "--rm", "--user", "1001:0", appliance_image, "bash", "-c", script)
    assert sorted(output.split()) == [
        "/home/airflow/bdrc/data/x",
        "/home/airflow/x",
        "/opt/airflow/logs/x",
        "/opt/airflow/x",
    ]


def test_nothing_in_it_is_writable_for_everybody(docker: Docker, appliance_image: str) -> None:
    script = "find / -xdev -perm -o+w ! -type l ! -path '/proc/*' ! -path '/dev/*' ! -perm -1000"
    assert docker("run", "--rm", "--user", "0:0", appliance_image, "bash", "-c", script) == ""


def test_it_starts_as_an_ordinary_user_below_an_init(docker: Docker, appliance_image: str) -> None:
    config = facts(docker, appliance_image)["Config"]
    assert config["User"] == "1001:0"
    assert config["Entrypoint"] == ["tini", "--"]


def test_language_and_time_zones(docker: Docker, appliance_image: str) -> None:
    script = "echo $LANG; locale -a; TZ=America/New_York date -d @0 +%Z; TZ=Asia/Kathmandu date -d @0 +%z"
    words = run_in(docker, appliance_image, "bash", "-ec", script).split()
    assert words[0] == "C.UTF-8"
    assert {"en_US.utf8", "EST", "+0530"} <= set(words)


def test_the_audit_reads_the_sites_properties(docker: Docker, appliance_image: str) -> None:
    properties = run_in(docker, appliance_image, "cat", "/home/airflow/.config/bdrc/auditTool/user.properties")
    assert properties == (PROJECT / "config/bdrc/auditTool/user.properties").read_text(encoding="utf-8")


def test_it_holds_what_the_lock_names_and_nothing_else(docker: Docker, appliance_image: str) -> None:
    assert installed(docker, appliance_image) == locked(PROJECT / "requirements.lock") | {"glacier-sync": __version__}


def test_the_emulator_is_in_an_image_of_its_own(docker: Docker, appliance_image: str) -> None:
    assert "moto" not in installed(docker, appliance_image)
    both = locked(PROJECT / "requirements.lock") | locked(PROJECT / "requirements-emulator.lock")
    assert installed(docker, EMULATOR_IMAGE) == both | {"glacier-sync": __version__}


def test_the_sbom_names_every_package_of_it(docker: Docker, appliance_image: str) -> None:
    told = subprocess.run([PROJECT / "bin" / "sbom.sh", appliance_image], capture_output=True, text=True, check=True)
    sbom = json.loads(told.stdout)
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    ours = sbom["metadata"]["component"]
    assert ours["purl"] == f"pkg:pypi/glacier-sync@{__version__}"
    python = [each for each in [ours, *sbom["components"]] if each["purl"].startswith("pkg:pypi/")]
    assert {each["name"]: each["version"] for each in python} == installed(docker, appliance_image)
    debian = [each for each in sbom["components"] if each["purl"].startswith("pkg:deb/debian/")]
    packages = run_in(docker, appliance_image, "dpkg-query", "-W", "-f", "${Package} ${Version}\n").splitlines()
    assert {f"{each['name']} {each['version']}" for each in debian} == set(packages)
    assert len(sbom["components"]) == len(python) - 1 + len(debian)


def test_size(docker: Docker, appliance_image: str) -> None:
    assert facts(docker, appliance_image)["Size"] < 900 * MEGABYTE


def test_labels_name_version_and_revision(docker: Docker, appliance_image: str) -> None:
    for image in (appliance_image, EMULATOR_IMAGE):
        labels = facts(docker, image)["Config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == __version__
        assert re.fullmatch(r"[0-9a-f]{40}(-modified)?|unknown", labels["org.opencontainers.image.revision"])


def test_no_python_cache_of_the_clone_and_no_tool_of_the_build_is_in_it(docker: Docker, appliance_image: str) -> None:
    script = "ls /opt/glacier-sync/bin; command -v pip gcc apt-get || true"
    assert sorted(run_in(docker, appliance_image, "bash", "-c", script).split()) == [
        "/usr/bin/apt-get",
        "_common.sh",
        "_sync_archive.sh",
        "_sync_web.sh",
        "check-service",
        "housekeeping",
        "init-appliance",
        "syncOneWork.sh",
    ]


def test_a_change_of_ours_adds_one_small_layer(
    docker: Docker, appliance_image: str, build_dir: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    ours = ("airflow-docker", "bin", "config")
    for name in ours:
        shutil.copytree(PROJECT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in PROJECT.iterdir():
        if path.is_file():
            shutil.copy(path, clone)
    for changed in ("bin/syncOneWork.sh", "airflow-docker/glacier_sync/works.py"):
        with (clone / changed).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
    image = f"{appliance_image}-changed"
    done = build_image("--build_dir", str(build_dir), "--", "bdrc-airflow", image=image, project=clone)
    try:
        assert done.returncode == 0, done.stdout
        before, after = (facts(docker, name) for name in (appliance_image, image))
        assert before["RootFS"]["Layers"][:-1] == after["RootFS"]["Layers"][:-1]
        assert before["RootFS"]["Layers"][-1] != after["RootFS"]["Layers"][-1]
        assert run_in(docker, image, "tail", "-n1", "/opt/glacier-sync/bin/syncOneWork.sh") == "# changed\n"
    finally:
        subprocess.run(["docker", "image", "rm", image], capture_output=True, check=False)


# --- a site with everything of its own --------------------------------------------------

PASSWORD = "the-package-indexs-password"
CERTIFICATE_MARK = "certificate-that-only-the-build-sees"


class _Index(http.server.SimpleHTTPRequestHandler):
    """A private package index: HTTP basic authentication, one package."""

    folder: Path

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, directory=str(self.folder), **options)

    def do_GET(self) -> None:
        expected = base64.b64encode(f"site:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        pass


def gateway_of(route_table: str) -> str:
    """Return the default gateway in /proc/net/route: this machine, as a container sees it."""
    rows = [line.split() for line in route_table.splitlines()]
    return socket.inet_ntoa(next(bytes.fromhex(row[2])[::-1] for row in rows if row[1] == "00000000"))


@pytest.fixture
def package_index(docker: Docker, tmp_path: Path) -> Iterator[str]:
    """The URL, with user and password, of an index that has `site-own-package` 1.0."""
    pages = tmp_path / "index" / "site-own-package"
    wheel = make_wheel(pages, "site-own-package", "1.0")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (pages / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>', encoding="utf-8")
    gateway = gateway_of(docker("run", "--rm", DEBIAN, "cat", "/proc/net/route"))
    try:
        server = http.server.ThreadingHTTPServer((gateway, 0), type("Index", (_Index,), {"folder": tmp_path / "index"}))
    except OSError as error:
        pytest.skip(f"builds can't reach a server on this machine ({gateway}: {error})")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://site:{PASSWORD}@{gateway}:{server.server_port}/"
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Site:
    """What a site gives to bdrc-docker.sh."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


@pytest.fixture
def site(tmp_path: Path, package_index: str) -> Site:
    requirements = tmp_path / "dags-requirements.txt"
    requirements.write_text("site-own-package\n", encoding="utf-8")

    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "syncOneWork.sh").write_text("#!/bin/sh\necho the site syncs\n", encoding="utf-8")
    (scripts / "syncOneWork.sh").chmod(0o700)
    (scripts / "requirements.txt").write_text("site-own-package>=1\n", encoding="utf-8")

    configuration = tmp_path / "config" / "bdrc"
    (configuration / "auditTool").mkdir(parents=True)
    (configuration / "auditTool" / "user.properties").write_text("MaximumImageFileSize=1G\n", encoding="utf-8")
    (configuration / "other.txt").write_text("not on the list\n", encoding="utf-8")

    control = "Package: audit-tool\nVersion: 9.9\nArchitecture: all\nMaintainer: A Site\nDescription: audits\n"
    (tmp_path / "deb" / "DEBIAN").mkdir(parents=True)
    (tmp_path / "deb" / "DEBIAN" / "control").write_text(control, encoding="utf-8")
    (tmp_path / "deb" / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "deb" / "usr" / "bin" / "audit-tool").write_text("#!/bin/sh\necho the site audits\n", encoding="utf-8")
    (tmp_path / "deb" / "usr" / "bin" / "audit-tool").chmod(0o755)
    package = tmp_path / "audit.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tmp_path / "deb", package], capture_output=True, check=True)

    default_bundle = subprocess.run(
        ["python3", PROJECT / "bin/_pip_settings.py", "/dev/null"], capture_output=True, text=True, check=False
    ).stdout.strip()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(
        f"{Path(default_bundle or '/etc/ssl/certs/ca-certificates.crt').read_text()}\n# {CERTIFICATE_MARK}\n"
    )
    return Site(
        arguments=(
            *("--requirements", str(requirements), "--sync-scripts", str(scripts)),
            *("--config_dir", str(tmp_path / "config"), "--ca-bundle", str(bundle)),
            *("--audit-tool-deb", str(package)),
            *("--audit-tool-sha256", hashlib.sha256(package.read_bytes()).hexdigest()),
        ),
        environment={
            "PIP_EXTRA_INDEX_URL": package_index,
            "PIP_TRUSTED_HOST": re.sub(r".*@([^:/]+).*", r"\1", package_index).strip(),
        },
    )


def test_a_site_with_everything_of_its_own(docker: Docker, site: Site, build_dir: Path, tmp_path: Path) -> None:
    arguments = ("--build_dir", str(tmp_path / "build"), *site.arguments, "--", "bdrc-airflow")
    try:
        done = build_image(*arguments, image=SITE_IMAGE, env=site.environment)
        assert done.returncode == 0, done.stdout
        assert "left out: bdrc/other.txt" in done.stdout

        packages = locked(tmp_path / "build" / "requirements.lock")
        assert packages == locked(PROJECT / "requirements.lock") | {"site-own-package": "1.0"}
        assert installed(docker, SITE_IMAGE) == packages | {"glacier-sync": __version__}
        script = "syncOneWork.sh; audit-tool; cat ~/.config/bdrc/auditTool/user.properties; ls ~/.config/bdrc"
        assert run_in(docker, SITE_IMAGE, "bash", "-c", script).split("\n") == [
            *("the site syncs", "the site audits", "MaximumImageFileSize=1G", "auditTool", "site-sync.yml", "")
        ]

        again = build_image(*arguments, image=SITE_IMAGE, env=site.environment)
        assert again.returncode == 0, again.stdout
        assert "taking its lock" in again.stdout

        marks = (PASSWORD.encode(), CERTIFICATE_MARK.encode())
        names = []
        for name, content in layers(docker, SITE_IMAGE, tmp_path):
            assert not any(mark in content for mark in marks), f"{name} holds a secret of the build"
            names.append(name)
        assert any("site_own_package" in name for name in names), "the layers were read"
    finally:
        subprocess.run(["docker", "image", "rm", SITE_IMAGE], capture_output=True, check=False)


def test_requirements_that_no_version_meets_are_named_with_their_lines(docker: Docker, tmp_path: Path) -> None:
    requirements = tmp_path / "dags.txt"
    requirements.write_text("# ours\n\nApache_Airflow==2.10.5\n", encoding="utf-8")
    done = build_image("-d", str(tmp_path / "build"), "-m", str(requirements))
    assert done.returncode == 1
    assert re.search(r"\n  requirements\.txt line \d+: apache-airflow~=3", done.stdout)
    assert f"{requirements} line 3: Apache_Airflow==2.10.5" in done.stdout
