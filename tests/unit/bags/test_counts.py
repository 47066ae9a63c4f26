"""Of each kind of defect the first are told and the others counted, wherever in a zip they are found."""

from __future__ import annotations

import tracemalloc
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, write_zip

from glacier_sync import bags
from glacier_sync.bags.defects import MOST_OF_A_KIND, MOST_TEXT, Findings
from glacier_sync.bags.portability import similar_names

COUNT = MOST_OF_A_KIND + 5


def named(pattern: str, **changes: int) -> list[ZipEntry]:
    return [ZipEntry((pattern % number).encode(), **changes) for number in range(COUNT)]


def counted(defects: Iterable[bags.Defect], kind: type[bags.Defect]) -> tuple[int, list[str]]:
    """Return how many of a kind are told, and what is said of the others."""
    others = f"{COUNT - MOST_OF_A_KIND} more defects of the kind {kind.__name__}:"
    found = list(defects)
    return sum(type(defect) is kind for defect in found), [str(each) for each in found if others in str(each)]


def more(path: str, kind: str) -> tuple[int, list[str]]:
    message = f"{path}: has 5 more defects of the kind {kind}: expected the first {MOST_OF_A_KIND} to tell enough"
    return MOST_OF_A_KIND, [message]


def test_entries_that_cant_be_read_are_counted_by_bag(tmp_path: Path) -> None:
    """Those of one bag don't hide those of another."""
    other = BagBuilder(name="W2").entries()
    other[0].method = 12
    path = write_zip(tmp_path / "W.zip", [*named("W1.bag/data/W1/images/%d", method=12), *other])
    first, second = bags.verify(path, workers=1)
    assert counted(first.defects, bags.UnsupportedEntry) == more("W1.bag/", "UnsupportedEntry")
    assert [type(defect) for defect in second.defects] == [bags.UnsupportedEntry]


def test_files_beside_the_bags_are_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.bag.zip", [*BagBuilder().entries(), *named("__MACOSX/%d")])
    beside, bag = bags.verify(path, workers=1)
    assert counted(beside.defects, bags.OutsideBag) == more("W1.bag.zip", "OutsideBag")
    assert bag.defects == ()


def found_in_unbagging(pattern: str, folder: Path) -> tuple[bags.Defect, ...]:
    bag = BagBuilder()
    bag.payload |= {pattern % number: b"" for number in range(COUNT)}
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(bag.zip(folder), folder / "to", workers=1)
    return caught.value.defects


def test_files_that_have_no_place_are_counted(tmp_path: Path) -> None:
    found = found_in_unbagging("stray/%d", tmp_path)
    assert counted(found, bags.StrayFile) == more("W1.bag/", "StrayFile")


def test_of_files_with_very_long_names_fewer_are_told_and_all_are_counted(tmp_path: Path) -> None:
    *told, others = found_in_unbagging(f"W1/{'/'.join(['x' * 250] * 16)}/%d", tmp_path)
    assert {type(defect) for defect in told} == {bags.UnsafeName}
    assert sum(len(str(defect)) for defect in told[:-1]) < MOST_TEXT <= sum(len(str(defect)) for defect in told)
    assert str(others) == (
        f"W1.bag/: has {COUNT - len(told)} more defects of the kind UnsafeName: "
        f"expected the first {len(told)} to tell enough"
    )


def test_warnings_of_a_zip_without_a_bag_are_counted(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.zip", named("W1/images/I1/%d."))
    (work,) = bags.unbag(path, tmp_path / "to", workers=1, plain=True)
    assert counted(work.warnings, bags.UnportableName) == more("W1", "UnportableName")


class Pairs(Collection[str]):
    """Very many names, each of which another one has in capitals, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return 2 * self._count

    def __contains__(self, name: object) -> bool:
        return name in iter(self)

    def __iter__(self) -> Iterator[str]:
        return (f"data/W1/images/{number:040}.{end}" for end in ("tif", "TIF") for number in range(self._count))


def test_similar_names_are_counted() -> None:
    found = Findings("W1.bag/", similar_names(Pairs(COUNT), "W1.bag/")).all()
    assert counted(found, bags.SimilarNames) == more("W1.bag/", "SimilarNames")
    pages = [f"{number:020b}".replace("0", "a").replace("1", "A") for number in range(COUNT + 1)]
    found = Findings("W1.bag/", similar_names(pages, "W1.bag/")).all()
    assert counted(found, bags.SimilarNames) == more("W1.bag/", "SimilarNames")


def test_similar_names_take_little_memory() -> None:
    tracemalloc.start()
    try:
        assert bags.number_of(similar_names(Pairs(10 * MOST_OF_A_KIND), "")) == 10 * MOST_OF_A_KIND
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000
