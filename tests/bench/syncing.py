"""Syncing: from an unpacked work to one in the archive that is known to be what its bag holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.contenders import our_sync
from tests.bench.data import LARGE, MANY, SMALL, bag_of, emptied
from tests.bench.model import OURS, UNFLUSHED, Comparison, Contender, Goal, Scale, call, command, lacking
from tests.bench.unflushed import NO_LIBRARY, WITHOUT_FLUSHING

from glacier_sync import bags

COPY_AND_READ = "rsync -a, sha512sum --check"
# The noise of the files is no image, and they are more than an image group has: the audits look at folders only.
_SITE = "audit: {pre: [-T, NoFilesInFolder], post: [-T, NoFilesInFolder]}\n"


def syncing(scale: Scale) -> Iterator[Comparison]:
    """Compare syncing for each shape."""
    for shape in (MANY, LARGE, SMALL):
        with bag_of(scale, shape) as bag:
            staging = bag.folder / "staging"
            staging.mkdir()
            (work,) = bags.unbag(bag.zip, staging, workers=scale.workers)
            yield Comparison(
                f"Syncing {shape.title(scale)}",
                tuple(_contenders(scale, work.path)),
                base=COPY_AND_READ,
                goals=(Goal("at most 1.5 times one copy and one read", 1.5, (COPY_AND_READ,)),),
            )


def _contenders(scale: Scale, work: Path) -> Iterator[Contender]:
    home = work.parent.parent / "home"
    copied = home / "archive" / "data"
    manifest = work / "W1.bag" / "manifest-sha512.txt"

    def before() -> None:
        emptied(home)
        copied.mkdir(parents=True)
        (home / "archive" / "Archive0").mkdir()
        (home / "site-sync.yml").write_text(_SITE)

    yield Contender(
        COPY_AND_READ,
        (
            command("rsync", "-a", work, copied),
            command("sha512sum", "--check", "--quiet", "--strict", manifest, folder=copied.parent),
        ),
        before,
        lacking("rsync", "rsync"),
    )
    ours: dict[str, Any] = {"folder": work, "home": home, "workers": scale.workers}
    yield Contender(OURS, (call(our_sync.sync, **ours),), before)
    yield Contender(UNFLUSHED, (call(our_sync.sync, WITHOUT_FLUSHING, **ours),), before, NO_LIBRARY)
