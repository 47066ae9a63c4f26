"""Small disks that are full, read-only or away: tmpfs, which only root may mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.needs import lacking


def remount(folder: Path, options: str) -> None:
    """Give a disk other options, such as ``ro``."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@contextmanager
def disk(folder: Path, options: str = "size=8M") -> Iterator[None]:
    """Mount a disk at a folder, which is made; the options are tmpfs's."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        lacking(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
