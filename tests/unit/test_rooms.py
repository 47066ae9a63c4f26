"""The rooms keep to themselves: what they import, and how large their files are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "airflow-docker" / "glacier_sync"

HEAVY = ["airflow", "alembic", "boto3", "botocore", "httpx", "moto", "PIL", "rich", "sqlalchemy", "typer"]


def test_lower_rooms_know_nothing_of_higher_ones(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("rooms", "allowed"),
    [
        ("errors works events settings progress removal hashing bags sync audit", set()),
        ("ledger", {"sqlalchemy"}),
    ],
)
def test_light_rooms_import_nothing_heavy(rooms: str, allowed: set[str]) -> None:
    imports = "\n".join(f"import glacier_sync.{room}" for room in rooms.split())
    probe = f"{imports}\nimport sys\nprint(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == allowed


def test_every_file_can_be_read_in_one_go() -> None:
    folders = [PACKAGE, PROJECT / "airflow-docker" / "dags", PROJECT / "bin"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".sh"}]
    files += PROJECT.glob("*.sh")
    assert len(files) > 90
    long = {str(path.relative_to(PROJECT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
