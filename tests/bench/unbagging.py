"""Unbagging: from a local zip to verified files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.bench.contenders import libraries, limits, our_bags
from tests.bench.data import DEFLATED, LARGE, MANY, SMALL, Bag, Shape, bag_of, emptied
from tests.bench.model import LITTLE_MEMORY, OURS, UNFLUSHED, Comparison, Contender, Goal, Scale, call, lacking
from tests.bench.on_bags import LIMIT, extract_with_7zz, reading_and_hashing, sha512sum
from tests.bench.unflushed import NO_LIBRARY, WITHOUT_FLUSHING

OBVIOUS = "zipfile, bagit-python"
PEERS = ("7zz, sha512sum on all cores", "7zz, bagit-python on all cores")
WRITING = "limit: read and write"


def unbagging(scale: Scale) -> Iterator[Comparison]:
    """Compare unbagging for each shape."""
    for shape in (MANY, LARGE, SMALL, DEFLATED):
        with bag_of(scale, shape) as bag:
            yield Comparison(
                f"Unbagging {shape.title(scale)}",
                tuple(_contenders(scale, shape, bag)),
                base=LIMIT,
                goals=(*_GOALS[shape], LITTLE_MEMORY),
            )


_GOALS = {
    MANY: (
        Goal("at most 1.25 times the limit", 1.25, (LIMIT,)),
        Goal("at least 2 times as fast as the best peers", 1 / 2, PEERS),
        Goal("at least 3 times as fast as the obvious way", 1 / 3, (OBVIOUS,)),
    ),
    LARGE: (
        Goal("at most 1.25 times the limit", 1.25, (LIMIT,)),
        Goal("at least 1.5 times as fast as the best peers", 1 / 1.5, PEERS),
        Goal("at least 3 times as fast as the obvious way", 1 / 3, (OBVIOUS,)),
    ),
    SMALL: (
        Goal("at most 3 times the higher limit", 3, (LIMIT, WRITING), slowest=True),
        Goal("at least 1.5 times as fast as the best peers", 1 / 1.5, PEERS),
        Goal("at least 3 times as fast as the obvious way", 1 / 3, (OBVIOUS,)),
    ),
    DEFLATED: (Goal("never slower than the best peers", 1, PEERS),),
}


def _contenders(scale: Scale, shape: Shape, bag: Bag) -> Iterator[Contender]:
    to = bag.folder / "to"
    unpacked = to / bag.zip.name.removesuffix(".zip")

    def before() -> None:
        emptied(to)

    yield Contender(
        OBVIOUS,
        (
            call(libraries.extract, zip_path=bag.zip, to=to),
            call(libraries.validate, bag=unpacked, processes=1),
        ),
        before,
    )
    missing = lacking("7zz", "7zip")
    yield Contender(PEERS[0], (extract_with_7zz(bag.zip, to), sha512sum(unpacked, scale.workers)), before, missing)
    yield Contender(
        PEERS[1],
        (
            extract_with_7zz(bag.zip, to),
            call(libraries.validate, bag=unpacked, processes=scale.workers),
        ),
        before,
        missing,
    )
    ours: dict[str, Any] = {"zip_path": bag.zip, "to": to, "workers": scale.workers}
    yield Contender(OURS, (call(our_bags.unbag, **ours),), before)
    yield Contender(UNFLUSHED, (call(our_bags.unbag, WITHOUT_FLUSHING, **ours),), before, NO_LIBRARY)
    yield reading_and_hashing(scale, shape, bag)
    if not shape.compress:
        copying = call(limits.copy_extents, file=bag.zip, extents=bag.extents, workers=scale.workers, to=to)
        yield Contender(WRITING, (copying,), before)
