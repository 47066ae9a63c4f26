"""What several benchmarks do with bags: the programs that are peers, and the limit."""

from __future__ import annotations

from pathlib import Path

from tests.bench.contenders import limits
from tests.bench.data import Bag, Shape
from tests.bench.model import Contender, Scale, Step, call, command

LIMIT = "limit: read and hash"


def reading_and_hashing(scale: Scale, shape: Shape, bag: Bag) -> Contender:
    """Return the limit of everything that verifies a bag: its payload read and hashed on all cores, nothing written."""
    where = {"file": bag.zip, "extents": bag.extents}
    return Contender(LIMIT, (call(limits.hash_extents, **where, workers=scale.workers, inflate=shape.compress),))


def extract_with_7zz(zip_path: Path, to: Path) -> Step:
    """Return the step that unpacks with 7-Zip's own program."""
    return command("7zz", "x", "-y", "-bd", f"-o{to}", zip_path)


def sha512sum(bag: Path, processes: int) -> Step:
    """Return the step that checks a bag's payload by coreutils, several processes at once."""
    check = "sha512sum --check --quiet --strict -"
    return command("split", "-n", f"r/{processes}", f"--filter={check}", "manifest-sha512.txt", folder=bag)
