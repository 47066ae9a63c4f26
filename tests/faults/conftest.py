from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from tests.faults import kinds
from tests.faults.cases import Outcome
from tests.faults.invariants import Findings
from tests.faults.scene import Scenes
from tests.support import aws as support
from tests.support.aws import Site
from tests.support.descriptions import remember_descriptions
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.pipeline import Bagger

from glacier_sync.ledger import Ledger

emulator = support.emulator
emulator_client = support.emulator_client
aws = support.aws

_MEMORY = Path("/dev/shm")
_TOO_FEW = pytest.StashKey[bool]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole run of the faults in which too few kills struck."""
    if _is_whole(session) and kinds.shortage(_rows(_reporter(session.config))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_TOO_FEW] = True


def _is_whole(session: pytest.Session) -> bool:
    """Tell whether all tests of faults were asked for, the slow ones too."""
    config = session.config
    if not config.getoption("--faults") or config.getoption("--collect-only"):
        return False
    if "deselected" in _reporter(config).stats or any("::" in word for word in config.args):
        return False
    return {item.path for item in session.items} >= set(Path(__file__).parent.glob("test_*.py"))


def _reporter(config: pytest.Config) -> pytest.TerminalReporter:
    found = config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(found, pytest.TerminalReporter)
    return found


def _rows(reporter: pytest.TerminalReporter) -> dict[str, kinds.Row]:
    ended = (report for name in ("passed", "failed") for report in reporter.stats.get(name, []))
    return kinds.table(ended)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was injected and what it came to."""
    rows = _rows(terminalreporter)
    if injected := {kind: row for kind, row in rows.items() if row.times}:
        terminalreporter.section(f"faults, --faults-seed {config.getoption('--faults-seed')}")
        terminalreporter.write(kinds.as_markdown(injected))
    if config.stash.get(_TOO_FEW, False):
        terminalreporter.write_line(f"FAILED: {kinds.shortage(rows)}", red=True)
    if path := config.getoption("--faults-table"):
        path.write_text(kinds.as_markdown(rows), encoding="utf-8")


class Note:
    """Notes for the table what a test has injected and what it came to; fails if a promise is broken."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def __call__(self, kind: str, findings: Findings, times: int = 1) -> None:
        self._write(kind, findings, times)
        assert not findings, findings

    def cases(self, kind: str, outcome: Outcome) -> None:
        self._write(kind, outcome.findings, outcome.strikes)
        if outcome.broken:
            pytest.fail("\n".join(outcome.broken), pytrace=False)

    def _write(self, kind: str, findings: Findings, times: int) -> None:
        assert kind in kinds.KINDS
        self._record(kinds.PROPERTY, (kind, asdict(findings), times))


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Takes what is injected."""
    return Note(record_property)


@pytest.fixture(scope="session", autouse=True)
def _descriptions_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember_descriptions(patch)
        yield


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for all cases, in memory where that is possible: thousands of them sync their files to the disk."""
    made = Path(tempfile.mkdtemp(prefix="glacier-sync-faults-", dir=_MEMORY if _MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def bag(folder: Path) -> Bagger:
    """Makes bags of works."""
    return Bagger(folder / "bags")


@pytest.fixture(scope="session")
def empty_ledger(folder: Path) -> Path:
    """A ledger with its tables, to be copied."""
    path = folder / "ledger.sqlite"
    with Ledger(f"sqlite:///{path}", lease=timedelta(minutes=1)) as ledger:
        ledger.migrate()
    return path


@pytest.fixture
def scenes(aws: Site, folder: Path, empty_ledger: Path) -> Scenes:
    """Makes sites with a queue, a ledger and an empty archive; they share a bucket."""
    return Scenes(aws, folder, empty_ledger)


@pytest.fixture
def proxy(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What stands between the pipeline and Amazon; what fails is tried again by the next run, not before."""
    with fault_proxy(scenes.url) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield running
