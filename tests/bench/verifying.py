"""Verifying: bags as directories and as zips, nothing written."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.contenders import libraries, limits, our_bags
from tests.bench.data import DEFLATED, LARGE, MANY, SMALL, Bag, Shape, make_bag
from tests.bench.model import Comparison, Contender, Goal, Scale, call
from tests.bench.unbagging import sha512sum

SHA512SUM = "sha512sum on all cores"
LIMIT = "limit: read and hash"
DIRECTORY = "glacier-sync, of the directory"
ZIP = "glacier-sync, of the zip"


def verifying(scale: Scale) -> Iterator[Comparison]:
    """Compare verifying for each shape."""
    for shape in (MANY, LARGE, SMALL, DEFLATED):
        bag = make_bag(scale, shape)
        try:
            yield Comparison(
                f"Verifying {shape.title(scale)}",
                tuple(_contenders(scale, shape, bag)),
                base=LIMIT,
                goals=_goals(shape),
            )
        finally:
            bag.remove()


def _goals(shape: Shape) -> tuple[Goal, ...]:
    if shape is DEFLATED:
        return ()
    return tuple(
        Goal(f"{ours}: no slower than {SHA512SUM}", 1, (SHA512SUM,), ours=ours)
        if shape is SMALL
        else Goal(f"{ours}: at most 1.2 times the limit", 1.2, (LIMIT,), ours=ours)
        for ours in (DIRECTORY, ZIP)
    )


def _contenders(scale: Scale, shape: Shape, bag: Bag) -> Iterator[Contender]:
    workers = scale.workers
    if not shape.compress:
        folder = bag.unpacked()
        yield Contender("bagit-python, one process", (call(libraries.validate, bag=folder, processes=1),))
        yield Contender("bagit-python on all cores", (call(libraries.validate, bag=folder, processes=workers),))
        yield Contender(SHA512SUM, (sha512sum(folder, workers),))
        yield Contender(DIRECTORY, (call(our_bags.verify, path=folder, workers=workers),))
    yield Contender(ZIP, (call(our_bags.verify, path=bag.zip, workers=workers),))
    limit = call(limits.hash_extents, file=bag.zip, extents=bag.extents, workers=workers, inflate=shape.compress)
    yield Contender(LIMIT, (limit,))
