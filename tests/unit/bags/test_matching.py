"""Which files the lines of a manifest mean: whatever they list, in a few readings and little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest

from glacier_sync.bags.checks import Column
from glacier_sync.bags.files import NameList
from glacier_sync.bags.matching import Oddity, match
from glacier_sync.bags.tagfiles import Listed, Manifest

ONE = "1" * 32
COMPOSED, DECOMPOSED = ("data/caf\u00e9", "data/cafe\u0301")
MANY = 30_000


class Lines:
    """A manifest's lines, made when they are read; counts how often."""

    def __init__(self, names: Callable[[], Iterable[tuple[str, ...]]]) -> None:
        self.names = names
        self.readings = 0

    def read(self) -> Iterator[Listed]:
        self.readings += 1
        return (Listed(names, ONE, number) for number, names in enumerate(self.names(), start=1))


def matched(lines: Lines, *files: str) -> list[tuple[Oddity, int, str]]:
    return [
        (found.oddity, found.line.line, found.name) for found in match(lines.read, listing(*files), column(len(files)))
    ]


def listing(*names: str) -> NameList:
    files = NameList()
    for name in names:
        files.add(name, 0)
    return files


def column(files: int) -> Column:
    return Column(Manifest("manifest-md5.txt", "md5", of_tags=False), files)


AGAIN, ENCODED, FORM, MISSING = Oddity.AGAIN, Oddity.OTHER_ENCODING, Oddity.OTHER_FORM, Oddity.MISSING
CASES = {
    "a reading whose file another line names": (
        [("data/a%25", "data/a%"), ("data/a%",)], ["data/a%"], [(MISSING, 1, "data/a%25")],
    ),
    "a reading whose file another line named before": (
        [("data/a%",), ("data/a%25", "data/a%")], ["data/a%"], [(MISSING, 2, "data/a%25")],
    ),
    "the reading behind one that is named": (
        [("1", "2", "3"), ("2",)], ["2", "3"], [(ENCODED, 1, "3")],
    ),
    "one file by readings of two names": (
        [("1", "3"), ("2", "3"), ("1", "3")], ["3"], [(ENCODED, 1, "3"), (MISSING, 2, "2"), (AGAIN, 3, "3")],
    ),
    "a form": ([(COMPOSED,), (COMPOSED,)], [DECOMPOSED], [(FORM, 1, DECOMPOSED), (AGAIN, 2, DECOMPOSED)]),
    "a form in ASCII": ([("data/K",)], ["data/\u212a"], [(FORM, 1, "data/\u212a")]),
    "a form that another line names": ([(DECOMPOSED,), (COMPOSED,)], [DECOMPOSED], [(MISSING, 2, COMPOSED)]),
    "a form of two lines": (
        [("\u212b",), ("\u00c5",)], ["A\u030a"], [(MISSING, 1, "\u212b"), (MISSING, 2, "\u00c5")],
    ),
    "a form of two files": ([("\u212b",)], ["A\u030a", "\u00c5"], [(MISSING, 1, "\u212b")]),
    "a form of a file that another line means by a reading": (
        [(COMPOSED,), ("1", DECOMPOSED), ("1", DECOMPOSED)], [DECOMPOSED],
        [(ENCODED, 2, DECOMPOSED), (AGAIN, 3, DECOMPOSED), (MISSING, 1, COMPOSED)],
    ),
    "names that are nowhere": ([("1", "2"), ("3",)], ["4"], [(MISSING, 1, "1"), (MISSING, 2, "3")]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_line_means_a_file_that_no_other_line_names(case: str) -> None:
    names, files, expected = CASES[case]
    assert matched(Lines(lambda: names), *files) == expected


def test_lines_that_all_have_their_files_are_read_once() -> None:
    lines = Lines(lambda: [("1",), ("2",)])
    assert matched(lines, "1", "2", "3") == []
    assert lines.readings == 1


def variant(number: int) -> str:
    """Return one of very many names that have one form."""
    return "data/" + "".join("\u00e9" if digit == "1" else "e\u0301" for digit in f"{number:016b}")


@pytest.mark.parametrize(
    "names",
    [lambda number: (f"data/{number}%25", f"data/{number}%"), lambda number: (variant(number),)],
    ids=["nowhere", "of one form"],
)
def test_lines_without_files_are_read_a_few_times_and_not_held(names: Callable[[int], tuple[str, ...]]) -> None:
    lines = Lines(lambda: map(names, range(1, MANY)))
    tracemalloc.start()
    try:
        missing = sum(found.oddity is MISSING for found in match(lines.read, listing(variant(0)), column(1)))
        _, held = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (missing, lines.readings <= 3) == (MANY - 1, True)
    assert held < 1 << 20
