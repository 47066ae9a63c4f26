"""RIDs, the layout rules, and recognising works."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync import works
from glacier_sync.works import InvalidRidError


@pytest.mark.parametrize(
    ("rid", "number"),
    [
        ("W1NLM4700", 0),
        ("W1NLM4708", 8),
        ("W1NLM4709", 9),
        ("W1NLM4799", 99),
        ("W1NLM", 0),
        ("W7x", 0),
        ("W1٣٤", 0),
        ("5", 0),
    ],
)
def test_tree_number_is_the_last_two_ascii_digits(rid: str, number: int) -> None:
    assert works.tree_number(rid) == number


@pytest.mark.parametrize(
    ("rid", "place"),
    [
        ("W1NLM4700", "/mnt/Archive0/00/W1NLM4700"),
        ("W1NLM4709", "/mnt/Archive0/09/W1NLM4709"),
        ("W1NLM4725", "/mnt/Archive1/25/W1NLM4725"),
        ("W1NLM4799", "/mnt/Archive3/99/W1NLM4799"),
        ("W1ABC", "/mnt/Archive0/00/W1ABC"),
    ],
)
def test_archive_path(rid: str, place: str) -> None:
    assert works.archive_path("/mnt/Archive", rid) == Path(place)


def test_staging_key_has_two_archives_of_fifty() -> None:
    assert works.staging_key("W1NLM4700") == "Archive0/00/W1NLM4700/W1NLM4700.bag.zip"
    assert works.staging_key("W1NLM4750") == "Archive1/50/W1NLM4750/W1NLM4750.bag.zip"


@pytest.mark.parametrize(
    ("name", "rid"),
    [("a/b/W1.bag.zip", "W1"), ("W1", "W1"), ("x/W 1+é.zip", "W 1+é"), ("Archive0/00/W2/W2.bag.zip", "W2")],
)
def test_rid_of_is_the_base_name_up_to_the_first_dot(name: str, rid: str) -> None:
    assert works.rid_of(name) == rid


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".zip",
        "..",
        "-rf",
        "a/.hidden",
        "W1\n.zip",
        "W\x001",
        "x" * 201,
        "W\x1b[2J",
        "W\x85",
        "W\u2028",
        "W\u2029",
        "=1+1",
        "+1",
        "@W1",
    ],
)
def test_what_is_not_safe_as_a_directory_is_no_rid(name: str) -> None:
    with pytest.raises(InvalidRidError, match="rename the work"):
        works.rid_of(name)


@given(st.text())
def test_a_checked_rid_is_one_component_below_its_parent(name: str) -> None:
    try:
        rid = works.check_rid(name)
    except InvalidRidError:
        return
    place = works.archive_path("/mnt/Archive", rid)
    assert place.name == rid
    assert place.parts[:2] == ("/", "mnt")
    assert len(place.parts) == 5


@pytest.mark.parametrize("folder", sorted(works.WORK_FOLDERS))
def test_a_work_of_structure_1_has_a_known_folder(tmp_path: Path, folder: str) -> None:
    (tmp_path / "W1" / folder).mkdir(parents=True)
    assert works.is_work(tmp_path / "W1")


def test_a_work_of_structure_2_has_a_group_with_a_known_folder(tmp_path: Path) -> None:
    (tmp_path / "W1" / "W1-I001" / "archive").mkdir(parents=True)
    assert works.is_work(tmp_path / "W1")


@pytest.mark.parametrize("inside", ["W2-I001/archive", "W1-I001/other", "data/archive", "Archive"])
def test_other_folders_make_no_work(tmp_path: Path, inside: str) -> None:
    (tmp_path / "W1" / inside).mkdir(parents=True)
    assert not works.is_work(tmp_path / "W1")


def test_a_file_or_a_link_makes_no_work(tmp_path: Path) -> None:
    (tmp_path / "W1").mkdir()
    (tmp_path / "W1" / "archive").write_text("a file")
    (tmp_path / "W1" / "images").symlink_to(tmp_path)
    assert not works.is_work(tmp_path / "W1")


def test_find_works_returns_direct_children_by_name(tmp_path: Path) -> None:
    for rid in ("W2", "W1"):
        (tmp_path / rid / "images").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert works.find_works(tmp_path) == [tmp_path / "W1", tmp_path / "W2"]
