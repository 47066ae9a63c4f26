"""The locks hold what the requirements ask for, pinned, with hashes, from nowhere in particular."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[2]
NAMES = ["requirements", "requirements-emulator", "requirements-test", "requirements-bench"]
PYTHONS = ["3.11", "3.12", "3.13"]


def requirements(name: str) -> list[Requirement]:
    lines = (PROJECT / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """A lock's requirements, each with its hashes."""
    text = (PROJECT / f"{name}.lock").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    split = [line.partition(" --hash=") for line in lines if line.strip()]
    return [(Requirement(pin), re.findall(r"sha256:([0-9a-f]{64})(?= |$)", hashes)) for pin, _, hashes in split]


def pins(name: str, python: str) -> dict[str, Version]:
    """The version of each package that a lock installs on Linux with this Python."""
    machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, Version] = {}
    for requirement, _ in entries(name):
        if requirement.marker is None or requirement.marker.evaluate(machine):
            package = canonicalize_name(requirement.name)
            assert package not in found, f"{package} is there twice"
            (specifier,) = requirement.specifier
            found[package] = Version(specifier.version)
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_locked_at_a_version_it_takes(name: str, python: str) -> None:
    locked = pins(name, python)
    wanted = requirements(name)
    assert wanted
    for requirement in wanted:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_pinned_with_hashes(name: str) -> None:
    found = entries(name)
    assert len(found) >= len(requirements(name))
    for requirement, hashes in found:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes, requirement


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["txt", "lock"])
def test_nothing_says_where_packages_come_from(name: str, suffix: str) -> None:
    text = (PROJECT / f"{name}.{suffix}").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-|--(index-url|extra-index-url|find-links|trusted-host))\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_no_lock_names_a_path_of_the_machine_that_made_it(name: str) -> None:
    text = (PROJECT / f"{name}.lock").read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(tmp|home|root)/", text)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_agree_with_each_other(python: str) -> None:
    for first, second in combinations([pins(name, python) for name in NAMES], 2):
        assert {package: first[package] for package in first.keys() & second.keys()} == {
            package: second[package] for package in first.keys() & second.keys()
        }


def test_production_runs_without_what_tests_and_emulator_need() -> None:
    own = {canonicalize_name(found.name) for name in NAMES[1:] for found in requirements(name)}
    assert "moto" in own
    for python in PYTHONS:
        assert own & pins("requirements", python).keys() == set()
