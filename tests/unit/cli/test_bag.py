"""``bag``: what it makes, prints and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.bag_builder import make_work

from glacier_sync import bags

from .conftest import Command


@pytest.fixture
def to(tmp_path: Path) -> Path:
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


def test_a_bag_of_each_work_is_made_and_a_second_run_finds_them(command: Command, tmp_path: Path, to: Path) -> None:
    works = [make_work(tmp_path, "W1"), make_work(tmp_path, "W2")]
    paths = [to / "W1.bag.zip", to / "W2.bag.zip"]
    ended = command("bag", *works, "--to", to)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "".join(f"{path.name[:2]}\t{path}\n" for path in paths)
    assert [bags.verify(path, workers=1)[0].defects for path in paths] == [(), ()]
    again = command("bag", *works, "--to", to)
    assert again.status == 0
    assert [line.split("\t")[2] for line in again.out.splitlines()] == ["the same was there already"] * 2


def test_facts_as_json(command: Command, tmp_path: Path, to: Path) -> None:
    work = make_work(tmp_path, "W1", {"images/I1/1.jpg": b"page"})
    expected = {"path": str(to / "W1.bag.zip"), "works": ["W1"], "files": 1, "bytes": 4, "made": True}
    assert command("bag", work, "--to", to, "--json").facts == [expected]


def test_what_a_bag_is_made_of_can_be_unbagged(command: Command, tmp_path: Path, to: Path) -> None:
    work = make_work(tmp_path, "W1")
    assert command("bag", work, "--to", to).status == 0
    (tmp_path / "out").mkdir()
    assert command("unbag", to / "W1.bag.zip", "--to", tmp_path / "out").status == 0
    for path in filter(Path.is_file, work.rglob("*")):
        assert (tmp_path / "out" / path.relative_to(tmp_path)).read_bytes() == path.read_bytes()


def test_the_folder_one_stands_in_has_a_name(
    command: Command, tmp_path: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_work(tmp_path, "W1"))
    assert command("bag", ".", "--to", to).status == 0
    assert (to / "W1.bag.zip").is_file()


def test_one_that_cannot_be_made_does_not_keep_the_others(command: Command, tmp_path: Path, to: Path) -> None:
    works = [make_work(tmp_path, "W1"), make_work(tmp_path, "W2")]
    (to / "W1.bag.zip").write_bytes(b"something else")
    ended = command("bag", *works, "--to", to)
    assert ended.status == 1
    assert ended.error.startswith(f"{to / 'W1.bag.zip'} exists already and holds something else")
    assert (to / "W1.bag.zip").read_bytes() == b"something else"
    assert (to / "W2.bag.zip").is_file()


@pytest.mark.parametrize(
    ("work", "folder", "found"),
    [
        ("W1", "nowhere", "nowhere isn't there: expected a folder to put the zips in"),
        ("nowhere", "to", "nowhere isn't a work: expected a directory that has archive"),
        ("W1.old", "to", "W1.old can't be told from its bag's name"),
        ("-W1", "to", "can't be a work's RID"),
        ("", "to", "a path is empty: expected the name"),
    ],
)
def test_wrong_use(command: Command, tmp_path: Path, to: Path, *, work: str, folder: str, found: str) -> None:
    for name in ("W1", "W1.old", "-W1"):
        make_work(tmp_path, name)
    ended = command("bag", "--to", tmp_path / folder, "--", tmp_path / work if work else "")
    assert ended.status == 2
    assert found in ended.error
    assert list(to.iterdir()) == []
