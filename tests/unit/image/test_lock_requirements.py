"""Merging requirement files: which lines contradict each other, and how that is told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.wheels import make_wheel

PROGRAM = Path(__file__).resolve().parents[3] / "bin" / "_lock_requirements.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("lock_requirements", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["lock_requirements"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the build gives to the program, for a project that needs nothing."""
    for name in ("ours.txt", "requirements.lock", "requirements-emulator.txt", "requirements-emulator.lock"):
        (tmp_path / name).touch()
    (tmp_path / "sources").write_text("ours.txt\trequirements.txt\nsite.txt\t/home/site/dags.txt\n", encoding="utf-8")
    return tmp_path


def problem(folder: Path, **environment: str) -> str:
    """Run the program; return the problem that it wrote down, or nothing."""
    command = [sys.executable, str(PROGRAM), str(folder), str(folder / "out")]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(command, env={"PATH": path, "HOME": str(folder), **environment}, check=True)
    written = folder / "out" / "problem"
    return written.read_text(encoding="utf-8") if written.exists() else ""


def offline(folder: Path) -> dict[str, str]:
    """Let the resolver see the wheels in ``folder/wheels`` and nothing else."""
    return {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(folder / "wheels"), "UV_OFFLINE": "1"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("boto3", "boto3==1.2"),
        ("boto3>=1", "boto3<2"),
        ("boto3>=1.0", "boto3<=1.0"),
        ("boto3>1.0", "boto3<1.1"),
        ("boto3~=1.10", "boto3!=1.10"),
        ("boto3==1.10.*", "boto3>1.10.5"),
        ("boto3<10", "boto3>=9.9"),
        ("boto3<2", "boto3!=1.0"),
        ("boto3>=1!1.0", "boto3<1!2"),
        ("boto3>=2 ; sys_platform == 'win32'", "boto3<2"),
        ("boto3 @ https://site.example/boto3.zip", "boto3>=1"),
        ("pillow==1", "boto3==2"),
    ],
)
def test_lines_that_some_version_meets(program: ModuleType, folder: Path, ours: str, theirs: str) -> None:
    (folder / "ours.txt").write_text(f"{ours}\n", encoding="utf-8")
    (folder / "site.txt").write_text(f"{theirs}\n", encoding="utf-8")
    lines = [*program.read_lines(folder / "ours.txt", "ours"), *program.read_lines(folder / "site.txt", "theirs")]
    program.require_compatible(lines)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("boto3==1.1", "boto3==1.2"),
        ("boto3>=2", "boto3<2"),
        ("boto3>2", "boto3<=2"),
        ("boto3~=3.3.2", "Boto3==2.10.5"),
        ("boto3==1.*", "boto3>=2"),
        ("boto3<10", "boto3>=10"),
        ("boto3==1.0", "boto3!=1.0"),
        ("boto3>=1!1.0", "boto3<99"),
        ("my_package[extra]>=2", "My.Package<2 ; python_version >= '3'"),
        ("boto3 @ https://site.example/a.zip", "boto3 @ https://site.example/b.zip"),
    ],
)
def test_lines_that_no_version_meets_are_both_named(folder: Path, ours: str, theirs: str) -> None:
    (folder / "ours.txt").write_text(f"# a comment\n{ours}  # why\n", encoding="utf-8")
    (folder / "site.txt").write_text(f"\n\nsix\n{theirs}\n", encoding="utf-8")
    message = problem(folder)
    assert "contradict each other" in message
    assert "  requirements.txt line 2: " in message
    assert "  /home/site/dags.txt line 4: " in message
    assert not (folder / "out" / "requirements.lock").exists()


@pytest.mark.parametrize(
    "line", ["-r more.txt", "./a.whl", "--index-url https://x.example", "boto3=1", "a b", "boto3 \\"]
)
def test_a_line_that_is_no_requirement_is_named(folder: Path, line: str) -> None:
    (folder / "site.txt").write_text(f"six\n{line}\n", encoding="utf-8")
    assert f"/home/site/dags.txt line 2: '{line}' isn't a requirement" in problem(folder)


def test_the_result_is_locked_and_keeps_the_versions_of_our_lock(folder: Path) -> None:
    for version in ("1.0", "1.1"):
        make_wheel(folder / "wheels", "ours", version)
        make_wheel(folder / "wheels", "theirs", version)
    (folder / "ours.txt").write_text("ours\n", encoding="utf-8")
    (folder / "requirements.lock").write_text("ours==1.0\n", encoding="utf-8")
    (folder / "site.txt").write_text("theirs\n", encoding="utf-8")
    assert problem(folder, **offline(folder)) == ""
    locked = (folder / "out" / "requirements.lock").read_text(encoding="utf-8")
    assert "ours==1.0 \\\n    --hash=sha256:" in locked
    assert "theirs==1.1 \\\n    --hash=sha256:" in locked


def test_the_emulator_gets_the_versions_of_the_result(folder: Path) -> None:
    for version in ("1.0", "1.1"):
        make_wheel(folder / "wheels", "shared", version)
    (folder / "ours.txt").write_text("shared\n", encoding="utf-8")
    (folder / "requirements.lock").write_text("shared==1.1\n", encoding="utf-8")
    (folder / "requirements-emulator.txt").write_text("shared\n", encoding="utf-8")
    (folder / "requirements-emulator.lock").write_text("shared==1.1\n", encoding="utf-8")
    (folder / "site.txt").write_text("shared<1.1\n", encoding="utf-8")
    assert problem(folder, **offline(folder)) == ""
    for name in ("requirements.lock", "requirements-emulator.lock"):
        assert "shared==1.0" in (folder / "out" / name).read_text(encoding="utf-8")


def test_a_contradiction_deeper_down_names_the_lines_that_lead_to_it(folder: Path) -> None:
    make_wheel(folder / "wheels", "ours", "1.0", needs="deep<2")
    make_wheel(folder / "wheels", "theirs", "1.0", needs="deep>=2")
    make_wheel(folder / "wheels", "deep", "1.0")
    make_wheel(folder / "wheels", "deep", "2.0")
    (folder / "ours.txt").write_text("unrelated\nours\n", encoding="utf-8")
    make_wheel(folder / "wheels", "unrelated", "1.0")
    (folder / "site.txt").write_text("theirs\n", encoding="utf-8")
    message = problem(folder, **offline(folder))
    assert "can't be met together" in message
    assert "  requirements.txt line 2: ours\n" in message
    assert "  /home/site/dags.txt line 1: theirs\n" in message
    assert "unrelated" not in message
