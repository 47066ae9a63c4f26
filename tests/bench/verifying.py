"""Verifying: bags as directories and as zips, nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.bench.contenders import libraries, our_bags
from tests.bench.data import DEFLATED, LARGE, MANY, SMALL, Bag, Shape, bag_of
from tests.bench.model import LITTLE_MEMORY, Comparison, Contender, Goal, Scale, call
from tests.bench.on_bags import LIMIT, reading_and_hashing, sha512sum

SHA512SUM = "sha512sum on all cores"
DIRECTORY = "glacier-sync, of the directory"
ZIP = "glacier-sync, of the zip"


def verifying(scale: Scale) -> Iterator[Comparison]:
    """Compare verifying for each shape."""
    for shape in (MANY, LARGE, SMALL, DEFLATED):
        with bag_of(scale, shape) as bag:
            yield Comparison(
                f"Verifying {shape.title(scale)}",
                tuple(_contenders(scale, shape, bag)),
                base=LIMIT,
                goals=tuple(_goals(shape)),
            )


def _goals(shape: Shape) -> Iterator[Goal]:
    for ours in (ZIP,) if shape.compress else (DIRECTORY, ZIP):
        if shape is SMALL:
            yield Goal(f"{ours}: no slower than {SHA512SUM}", 1, (SHA512SUM,), ours=ours)
        else:
            yield Goal(f"{ours}: at most 1.2 times the limit", 1.2, (LIMIT,), ours=ours)
        yield replace(LITTLE_MEMORY, text=f"{ours}: {LITTLE_MEMORY.text}", ours=ours)


def _contenders(scale: Scale, shape: Shape, bag: Bag) -> Iterator[Contender]:
    workers = scale.workers
    if not shape.compress:
        folder = bag.unpacked()
        yield Contender("bagit-python, one process", (call(libraries.validate, bag=folder, processes=1),))
        yield Contender("bagit-python on all cores", (call(libraries.validate, bag=folder, processes=workers),))
        yield Contender(SHA512SUM, (sha512sum(folder, workers),))
        yield Contender(DIRECTORY, (call(our_bags.verify, path=folder, workers=workers),))
    yield Contender(ZIP, (call(our_bags.verify, path=bag.zip, workers=workers),))
    yield reading_and_hashing(scale, shape, bag)
