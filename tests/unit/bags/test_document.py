"""docs/bags.md tells every kind of defect and of warning, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from glacier_sync import bags
from glacier_sync.bags.bag_warnings import BagWarning
from glacier_sync.bags.defects import MOST_OF_A_KIND, DetailedDefect
from glacier_sync.bags.tagfiles import VERSIONS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "bags.md").read_text(encoding="utf-8")


def kinds(heading: str) -> list[str]:
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section, re.MULTILINE)


def below(kind: type[bags.Defect]) -> Iterator[type[bags.Defect]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def test_every_kind_of_defect_is_told_once() -> None:
    found = {kind.__name__ for kind in below(bags.Defect) if not issubclass(kind, BagWarning)}
    assert sorted(kinds("Defects")) == sorted(found - {DetailedDefect.__name__})


def test_every_kind_of_warning_is_told_once() -> None:
    assert sorted(kinds("Warnings")) == sorted(bags.WARNINGS)


def test_what_is_told_in_figures_is_so() -> None:
    assert f"{MOST_OF_A_KIND:,}" in DOCUMENT
    *versions, last = VERSIONS
    assert f"BagIt {', '.join(versions)} and {last} are read" in DOCUMENT
