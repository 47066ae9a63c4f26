"""What holds for all tests."""

import random
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.support.needs import require_commands
from tests.support.side_by_side import Division

# A busy machine is no fault of what is tested, and what is random finds its own time with the faults.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("faults", settings.get_profile("tests"), derandomize=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the faults, which are read before their own folder is."""
    parser.addoption("--faults", action="store_true", help="inject all faults, the slow ones too")
    parser.addoption("--faults-seed", type=int, help="repeat the random choices of an earlier session's faults")
    parser.addoption("--faults-table", type=Path, help="write the table of faults to this file, as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Take random examples for the faults only, and SIGINT and SIGHUP as a terminal's user sends them.

    Also where this run's caller ignores them.
    A signal that is ignored stays so in every program that is started, and a shell
    can't trap it any more.
    """
    settings.load_profile("faults" if config.getoption("--faults") else "tests")
    # What isn't asked for as faults makes the same choices each time.
    if config.getoption("--faults-seed") is None:
        config.option.faults_seed = secrets.randbelow(2**32) if config.getoption("--faults") else 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Division:
    """Divide the tests where several processes run them."""
    return Division(config, log)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random choices of a test's own, which the session's seed repeats."""
    return random.Random(f"{request.config.getoption('--faults-seed')} {request.node.name}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start no test that lacks a command it needs."""
    require_commands(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow faults to whoever asks for them."""
    if not config.getoption("--faults"):
        slow = [item for item in items if item.get_closest_marker("slow_faults")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
