"""What the appliance's tests stand on: Docker's plugins and the base images.

A machine with a container registry pulls the images. Without one they are made from
Debian's packages under the same names, once for each machine. Run as a program, it
prepares everything that is named on its command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DEBIAN = "debian:trixie-slim"
RELEASE = "trixie"
POSTGRES_RECIPE = Path(__file__).parent / "postgres"

PLUGIN_PACKAGES = ("docker-compose=2.26.1-4", "docker-buildx=0.13.1+ds1-3")
PLUGINS = ("compose", "buildx")

PULL_SECONDS = 300
BUILD_SECONDS = 1200


class UnavailableError(Exception):
    """This machine can't run the appliance: the message says why, in one line."""


def run(*command: str, seconds: float = BUILD_SECONDS, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command, its output captured; raise UnavailableError with its last line if it fails and ``check``."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise UnavailableError(f"the command {command[0]!r} isn't on PATH") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{' '.join(command)} didn't end within {seconds:.0f} seconds") from None
    if check and done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no message"]
        raise UnavailableError(f"{' '.join(command)} failed: {last[0]}")
    return done


def require_engine() -> None:
    """Raise UnavailableError unless a Docker engine answers."""
    run("docker", "version", "--format", "{{.Server.Version}}", seconds=30)


def has_image(name: str) -> bool:
    """Whether the engine holds an image of that name."""
    return run("docker", "image", "inspect", name, check=False).returncode == 0


def pulled(name: str) -> bool:
    """Whether the image is there, after an attempt to pull it where it isn't."""
    return has_image(name) or run("docker", "pull", "--quiet", name, seconds=PULL_SECONDS, check=False).returncode == 0


def ensure_debian() -> None:
    """Have the base image: the engine's, the registry's, or one that debootstrap makes."""
    if pulled(DEBIAN):
        return
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise UnavailableError(
            f"{DEBIAN} can't be pulled here, and making it takes root and Debian's package debootstrap"
        )
    with tempfile.TemporaryDirectory(prefix="glacier-sync-base-") as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", RELEASE, str(root))
        archive = Path(folder) / "root.tar"
        run("tar", "-C", str(root), "-cf", str(archive), ".")
        run("docker", "import", "--change", 'CMD ["bash"]', str(archive), DEBIAN)


def ensure_postgres(name: str) -> None:
    """Have the database's image ``name``: pulled, or Debian's PostgreSQL behaving like the official one."""
    if pulled(name):
        return
    ensure_debian()
    run("docker", "buildx", "build", "--quiet", "--load", "--tag", name, str(POSTGRES_RECIPE))


def missing_plugins() -> list[str]:
    """Return those of Docker's plugins that aren't installed."""
    return [name for name in PLUGINS if run("docker", name, "version", check=False).returncode]


def ensure_plugins() -> None:
    """Have ``docker compose`` and ``docker buildx``: where they lack, Debian's go to the user's own Docker folder."""
    if not missing_plugins():
        return
    ensure_debian()
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    folder.mkdir(parents=True, exist_ok=True)
    script = f"""set -eu
        cd "$(mktemp -d)"
        apt-get update -qq
        apt-get download -qq {" ".join(PLUGIN_PACKAGES)}
        for package in *.deb; do dpkg-deb -x "$package" unpacked; done
        find unpacked -path '*/cli-plugins/*' -type f -exec cp {{}} /plugins/ ';'"""
    run("docker", "run", "--rm", "--volume", f"{folder}:/plugins", DEBIAN, "bash", "-c", script)
    if missing := missing_plugins():
        raise UnavailableError(f"docker {missing[0]} doesn't work, although {folder} holds the plugin")


def prepare(*databases: str) -> None:
    """Have everything that building and running the appliance takes; UnavailableError says what lacks."""
    require_engine()
    ensure_debian()
    ensure_plugins()
    for name in databases:
        ensure_postgres(name)


if __name__ == "__main__":
    try:
        prepare(*sys.argv[1:])
    except UnavailableError as unavailable:
        sys.exit(f"base_images.py: {unavailable}")
