"""Merges requirement files and locks the result, inside the image's build.

`_lock_requirements.py INPUT OUTPUT`: INPUT holds `sources` (a line for each requirement
file: its name in INPUT, a tab, the name that its owner knows it by), these files,
requirements-emulator.txt and the project's two locks, whose versions are preferred. OUTPUT
gets requirements.lock and requirements-emulator.lock; or `problem`, a text for whoever
wrote the files, because a build step that fails would bury it in its own messages.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCK = "requirements.lock"
EMULATOR_LOCK = "requirements-emulator.lock"
EMULATOR_REQUIREMENTS = "requirements-emulator.txt"

PIP_CONF = Path("/run/secrets/pip_conf")
CA_BUNDLE = Path("/run/secrets/ca_bundle")


class RequirementsError(Exception):
    """The requirement files can't be locked: the message names the lines."""


@dataclass(frozen=True)
class Line:
    """One requirement, and where it's written."""

    file: str
    number: int
    requirement: Requirement

    @property
    def name(self) -> str:
        """The package's normalised name."""
        return canonicalize_name(self.requirement.name)

    def __str__(self) -> str:
        return f"{self.file} line {self.number}: {self.requirement}"


def read_lines(path: Path, file: str) -> Iterator[Line]:
    """Yield a file's requirements; raise RequirementsError for a line that isn't one."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split(" #")[0].strip()
        if not words or words.startswith("#"):
            continue
        try:
            yield Line(file, number, Requirement(words))
        except InvalidRequirement:
            raise RequirementsError(
                f"{file} line {number}: '{words}' isn't a requirement: expected a package's name with, "
                "if need be, its versions, such as 'requests~=2.32'; options, paths and included files aren't taken"
            ) from None


def require_compatible(lines: Sequence[Line]) -> None:
    """Raise RequirementsError that names each two lines which no version of a package meets."""
    wanted = [line for line in lines if line.requirement.marker is None or line.requirement.marker.evaluate()]
    conflicts = [(a, b) for a, b in combinations(wanted, 2) if a.name == b.name and not compatible(a, b)]
    if conflicts:
        pairs = "\n".join(f"  {first}\n  {second}" for first, second in conflicts)
        raise RequirementsError(f"these requirements contradict each other; change one of each two:\n{pairs}")


def compatible(first: Line, second: Line) -> bool:
    """Whether some version can meet both lines, as far as their texts tell."""
    urls = {first.requirement.url, second.requirement.url}
    if urls != {None}:
        return None in urls or len(urls) == 1
    both = first.requirement.specifier & second.requirement.specifier
    return not both or any(both.contains(version, prereleases=True) for version in versions_to_try(both))


def versions_to_try(specifiers: SpecifierSet) -> Iterator[Version]:
    """Yield the versions at, just above and just below each bound: if any meets them all, one of these does."""
    yield Version("0")
    for specifier in specifiers:
        try:
            bound = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        yield bound
        epoch = f"{bound.epoch}!" if bound.epoch else ""
        yield Version(f"{epoch}{'.'.join(map(str, bound.release))}.0.0.1")
        release = list(bound.release)
        while release and not release[-1]:
            release.pop()
        if release:
            yield Version(epoch + ".".join(map(str, [*release[:-1], release[-1] - 1, 2**31])))


def index_settings() -> dict[str, str]:
    """Return pip's settings as the resolver's environment variables."""
    parser = configparser.RawConfigParser()
    parser.read(PIP_CONF)
    settings = {"SSL_CERT_FILE": str(CA_BUNDLE)} if CA_BUNDLE.is_file() and CA_BUNDLE.stat().st_size else {}
    variables = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "trusted-host": "UV_INSECURE_HOST",
        "timeout": "UV_HTTP_TIMEOUT",
        "proxy": "ALL_PROXY",
    }
    for option, variable in variables.items():
        if value := parser.get("global", option, fallback="").split():
            settings[variable] = " ".join(value)
    # As pip does: the best version of all indexes, not that of the first which has any.
    return settings | {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def resolve(folder: Path, lock: Path, *inputs: str) -> None:
    """Write the lock of the input files in ``folder``; raise RequirementsError, in the resolver's words."""
    command = ["uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-header", *inputs]
    done = subprocess.run(
        [*command, "--output-file", str(lock)],
        cwd=folder,
        env=os.environ | index_settings(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RequirementsError(f"the requirements can't be met together:\n{done.stderr.strip()}")


def named_in(text: str, lines: Sequence[Line]) -> str:
    """Return those lines whose package the text names, a line each."""
    packages = {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*", text)}
    return "".join(f"\n  {line}" for line in lines if line.name in packages)


def lock(folder: Path, output: Path) -> None:
    """Write both locks to ``output``; raise RequirementsError if the files can't be met."""
    sources = [line.split("\t", 1) for line in (folder / "sources").read_text(encoding="utf-8").splitlines()]
    lines = [line for name, file in sources for line in read_lines(folder / name, file)]
    require_compatible(lines)
    for name in (LOCK, EMULATOR_LOCK):
        shutil.copyfile(folder / name, output / name)
    try:
        resolve(folder, output / LOCK, *(name for name, _ in sources))
        resolve(folder, output / EMULATOR_LOCK, EMULATOR_REQUIREMENTS, "--constraint", str(output / LOCK))
    except RequirementsError as problem:
        named = named_in(str(problem), lines)
        raise RequirementsError(f"{problem}\nThe lines that ask for these packages:{named}") from None


def main() -> None:
    """Lock, or write down what's wrong."""
    folder, output = (Path(argument) for argument in sys.argv[1:3])
    output.mkdir(parents=True, exist_ok=True)
    try:
        lock(folder, output)
    except RequirementsError as problem:
        (output / "problem").write_text(f"{problem}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
