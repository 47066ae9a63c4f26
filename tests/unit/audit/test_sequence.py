from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync.audit import WorkReport
from glacier_sync.audit.sequence import check_group, missing_numbers
from glacier_sync.audit.work_folder import ImageGroup, WorkFile


def group(*names: str) -> ImageGroup:
    path = Path("/W1/images/W1-I1")
    return ImageGroup("W1-I1", "images/W1-I1", path, tuple(WorkFile(n, path / n) for n in sorted(names)), ())


def found(*names: str, length: int = 4) -> list[tuple[int, str]]:
    return [(int(f.number), f.message) for f in check_group(group(*names), length)]


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("I10001.jpg",),
        ("I10001.jpg", "I10002.tif"),
        ("1.jpg", "02.jpg", "x003.jpg"),
        ("I10001.jpg", ".0009.jpg", "dimensions.json", "0007.json"),
        ("0000.jpg", "0001.jpg"),
    ],
)
def test_good_sequences(names: tuple[str, ...]) -> None:
    assert found(*names) == []


def test_gaps_are_109_and_a_105_each() -> None:
    assert found("0001.jpg", "0004.jpg") == [
        (109, "images/W1-I1 has 2 images that are numbered up to 4; expected 4"),
        (105, "images/W1-I1 lacks image 0002 (of 4)"),
        (105, "images/W1-I1 lacks image 0003 (of 4)"),
    ]


def test_names_without_digits_are_106_once_and_a_105_each() -> None:
    assert [number for number, _ in found("0001.jpg", "a.jpg", "b.jpg")] == [106, 105, 105]
    assert "images/W1-I1/a.jpg" in found("0001.jpg", "a.jpg")[1][1]


def test_a_repeated_number_is_106_and_107_naming_both_files() -> None:
    findings = found("x0001.jpg", "y0001.jpg", "z0002.jpg")
    assert [number for number, _ in findings] == [106, 107]
    assert findings[1][1] == "images/W1-I1 has image 0001 twice: x0001.jpg and y0001.jpg; expected it once"


def test_a_group_has_one_106_whatever_breaks_it() -> None:
    assert Counter(number for number, _ in found("a.jpg", "x01.jpg", "y01.jpg", "x03.jpg")) == {
        106: 1,
        105: 2,
        107: 1,
        109: 1,
    }


def test_image_0000_does_not_make_up_for_a_lost_one() -> None:
    assert [number for number, _ in found("0000.jpg", "0002.jpg")] == [109, 105]


def test_only_the_last_digits_count() -> None:
    assert found("I1KG149510001.tif", "I1KG149510002.tif") == []
    assert [number for number, _ in found("I10001.tif", "I10002.tif", length=6)][:1] == [109]


def test_only_ascii_digits_count() -> None:
    assert [number for number, _ in found("༡.jpg")] == [106, 105]


def test_a_billion_gaps_are_not_all_named() -> None:
    findings = found("999999999.jpg", length=9)
    assert len(findings) == 1 + 9999 + 1
    assert findings[-1] == (105, f"images/W1-I1 lacks {999_999_998 - 9999} more")


def test_the_length_is_a_property_and_both_parents_are_tested(tmp_path: Path, audit: Callable[..., WorkReport]) -> None:
    for name in ("archive/W1-I1/10001.jpg", "images/W1-I1/10002.jpg", "images/W1-I2/x.jpg"):
        path = tmp_path / "W1" / name
        path.parent.mkdir(parents=True)
        path.write_text("")
    (result,) = audit(tmp_path / "W1", "FileSequence", **{"FileSequence.SequenceLength": "1"}).results
    assert [(int(f.number), f.message.split()[0]) for f in result.findings] == [
        (109, "images/W1-I1"),
        (105, "images/W1-I1"),
        (106, "images/W1-I2"),
        (105, "images/W1-I2/x.jpg"),
    ]


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=40))
def test_the_findings_are_what_counting_says(numbers: list[int]) -> None:
    names = [f"{chr(97 + place)}x{number:04d}.jpg" for place, number in enumerate(numbers[:26])]
    wanted = set(range(1, max(numbers[:26], default=0) + 1))
    present = set(numbers[:26])
    findings = found(*names)
    counted = Counter(number for number, _ in findings)
    assert counted[105] == len(wanted - present)
    assert counted[109] == bool(wanted - present)
    assert counted[107] == len(names) - len(present)
    assert counted[106] == (len(names) > len(present))
    assert sum(counted.values()) == counted[105] + counted[106] + counted[107] + counted[109]


@given(st.sets(st.integers(min_value=0, max_value=10**4)))
def test_missing_numbers_fill_up_what_is_there(numbers: set[int]) -> None:
    missing = list(missing_numbers(numbers))
    assert missing == sorted(missing)
    assert not numbers & set(missing)
    assert (numbers - {0}) | set(missing) == set(range(1, max(numbers, default=0) + 1))
