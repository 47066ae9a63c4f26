"""docs/audit-tool.md tells what is so."""

from __future__ import annotations

import io
import re
from pathlib import Path

from tests.support.images import draw_jpeg, draw_work

from glacier_sync.audit import (
    CATALOG,
    ImageReaders,
    Outcome,
    Properties,
    audit_work,
    finding_lines,
    image_readers,
    image_worker,
    print_table,
)
from glacier_sync.audit.command import _parser
from glacier_sync.audit.error_numbers import REMEDIES, ErrorNumber
from glacier_sync.audit.properties import DEFAULTS

from .test_error_numbers import FOUND

DOCUMENT = (Path(__file__).parents[3] / "docs" / "audit-tool.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables of a section, without the first head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_test_is_told_with_its_names_and_errors() -> None:
    told = rows("The tests")[: len(CATALOG)]
    assert [(short.strip("`"), full) for short, full, _, _ in told] == [(t.short_name, t.full_name) for t in CATALOG]
    found: dict[str, set[int]] = {test.short_name: set() for test in CATALOG}
    for number, (test, _, _) in FOUND.items():
        found[test].add(number)
    found["FileSizeTests"].add(113)
    for short, _, _, errors in told:
        assert {int(number) for number in errors.split(", ")} == found[short.strip("`")] - {101, 114}


def test_every_outcome_is_told() -> None:
    assert [row[0] for row in rows("The tests")[-4:]] == [str(outcome) for outcome in Outcome]


def test_every_error_is_told_with_what_to_do() -> None:
    told = {int(number): remedy for number, _, remedy in rows("The errors")}
    assert told == REMEDIES
    assert list(told) == list(ErrorNumber)


def test_every_property_is_told_with_its_default() -> None:
    told = {name.strip("`"): default.strip("`") for name, default, _ in rows("Properties")}
    assert told == {name: value or "empty" for name, value in DEFAULTS.items()}


def test_every_option_is_told() -> None:
    told = set(re.findall(r"(?<![\w-])--?\w+", " ".join(row[0] for row in rows("Options"))))
    assert told == {option for action in _parser()._actions for option in action.option_strings}


def test_the_example_is_what_is_printed(tmp_path: Path, readers: ImageReaders) -> None:
    work = draw_work(tmp_path, "W1NLM4700", images=4)
    for parent in ("archive", "images"):
        (work / parent / "W1NLM4700-I0001").rename(work / parent / "W1NLM4700-I1NLM4700_001")
        for image in (work / parent / "W1NLM4700-I1NLM4700_001").glob("*.*g*"):
            image.rename(image.with_name(image.name.replace("I0001", "I1NLM4700_001")))
    for image in (work / "images").rglob("*.tif"):
        image.rename(image.with_name(image.name.replace("I0001", "I1NLM4700_001")))
    next((work / "archive").rglob("*0003.jpg")).unlink()
    report = audit_work(work, Properties.load(), readers)
    printed = io.StringIO()
    print("\n".join(finding_lines(report, Path("log"))), file=printed)
    print_table([report], printed)
    (example,) = re.findall(r"```\n(W1NLM4700:.*?)```", section("What it prints"), re.DOTALL)
    assert [line.split() for line in printed.getvalue().splitlines()] == [line.split() for line in example.splitlines()]


def test_the_layout_that_is_shown_passes(tmp_path: Path, readers: ImageReaders) -> None:
    (layout,) = re.findall(r"```\n(W1NLM4700/\n.*?)```", DOCUMENT, re.DOTALL)
    for line in layout.splitlines()[1:]:
        draw_jpeg(tmp_path / "W1NLM4700" / line.strip())
    assert audit_work(tmp_path / "W1NLM4700", Properties.load(), readers).outcome is Outcome.PASSED


def test_the_limits_are_told() -> None:
    told = section("Images that can't be trusted").replace("\n", " ")
    assert f"{image_worker._MOST_MEMORY // 1024**2} MiB of memory and a minute for an image" in told
    assert image_readers._SECONDS_PER_IMAGE == 60
