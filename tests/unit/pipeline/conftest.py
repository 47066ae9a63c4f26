import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support import aws as support
from tests.support.aws import Site
from tests.support.descriptions import remember_descriptions
from tests.support.pipeline import Bag, Bagger, Installation, installation, nest

from glacier_sync.ledger import Ledger
from glacier_sync.removal import remove_tree

emulator = support.emulator
emulator_client = support.emulator_client
aws = support.aws


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Bagger:
    """Makes bags of works."""
    return Bagger(tmp_path_factory.mktemp("bags"))


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables, to be copied."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    with Ledger(f"sqlite:///{path}", lease=timedelta(minutes=1)) as ledger:
        ledger.migrate()
    return path


@pytest.fixture
def place(aws: Site, empty_ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A site with a queue, a ledger and an empty archive."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_ledger, home)
    with installation(aws, home, monkeypatch) as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _descriptions_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember_descriptions(patch)
        yield


@pytest.fixture
def deep_bag(place: Installation, bag: Bagger) -> Iterator[Bag]:
    """A bag with a thousand folders one in the other, which pytest itself couldn't remove afterwards."""
    made = bag("W1TEST01", change=nest)
    yield made
    for folder in (made.works[0], place.settings.data_dir, place.archived("W1TEST01").parents[1]):
        remove_tree(folder)
