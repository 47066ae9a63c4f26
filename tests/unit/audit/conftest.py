from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glacier_sync.audit import ImageReaders, Properties, WorkReport, audit_work, select


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, so that nobody's user.properties counts."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def readers() -> Iterator[ImageReaders]:
    """Readers of images for all tests, because starting them takes a while."""
    with ImageReaders(1) as started:
        yield started


@pytest.fixture
def audit(readers: ImageReaders) -> Callable[..., WorkReport]:
    """Runs the tests of these short names (none: all) on a work, with properties as -D sets them."""

    def run(work: Path, *names: str, **defined: str) -> WorkReport:
        properties = Properties.load(defined)
        return audit_work(work, properties, readers, *([select(names)[0]] if names else []))

    return run


@pytest.fixture
def numbers(audit: Callable[..., WorkReport]) -> Callable[..., list[int]]:
    """The error numbers that one test finds in a work."""

    def run(work: Path, name: str, **defined: str) -> list[int]:
        (result,) = audit(work, name, **defined).results
        return [int(finding.number) for finding in result.findings]

    return run
