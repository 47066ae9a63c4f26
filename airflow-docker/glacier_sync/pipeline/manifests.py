"""The manifests that speak for archived works: the tag files of the bags that they came from.

Those of a bag of one work are archived inside it. What isn't there is kept in the
log folder's ``bags``: by the object that brought the work, or by the work that was
synced by hand. Whichever came last speaks for the archive.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from glacier_sync import bags
from glacier_sync.bags.disk import sync_filesystem, sync_folder
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger, LedgerObject, Phase
from glacier_sync.pipeline import destination, working
from glacier_sync.settings import Settings


def keep(settings: Settings, item: LedgerObject, folders: Sequence[Path]) -> None:
    """Keep the manifests of an object's works that aren't in the archive with them."""
    kept = working.kept_dir(settings, item)
    for bag in {destination.bag_dir_of(folder) for folder in folders if not _is_archived(settings, folder)}:
        shutil.copytree(bag, kept / bag.name, dirs_exist_ok=True)
        # The unpacked works, which have them too, are removed soon.
        sync_filesystem(kept)
    for folder in folders:
        shutil.rmtree(_kept_by_hand(settings, folder.name), ignore_errors=True)


def keep_by_hand(settings: Settings, folder: Path) -> None:
    """Keep the manifests of a work that was synced by hand, in place of what was kept of it so before."""
    bag = destination.bag_dir_of(folder)
    kept = _kept_by_hand(settings, folder.name)
    coming = kept.with_name(f".{kept.name}.partial")
    shutil.rmtree(coming, ignore_errors=True)
    shutil.copytree(bag, coming / bag.name)
    sync_filesystem(coming)
    shutil.rmtree(kept, ignore_errors=True)
    coming.rename(kept)
    sync_folder(kept.parent)


def of(settings: Settings, ledger: Ledger, copy: Path) -> Path:
    """Return the tag files of the bag that an archived work came from last.

    Raises ConfigurationError if none are known.
    """
    inside = copy / f"{copy.name}.bag"
    brought = [item for item in ledger.find(copy.name) if _was_synced(item, copy.name)]
    kept = [_kept_by_hand(settings, copy.name), *(working.kept_dir(settings, item) for item in brought[-1:])]
    for folder in kept:
        for bag in sorted(folder.glob("*.bag")):
            if bags.holds_work(bag, copy.name):
                return bag
    if inside.is_dir():
        return inside
    raise ConfigurationError(
        f"no manifest of {copy.name} is known: expected {inside} or one kept in {settings.log_dir / 'bags'}; "
        "restore the work once more to have it verified"
    )


def _is_archived(settings: Settings, folder: Path) -> bool:
    """Tell whether the archive's copy has its bag's tag files, and the very ones that came with this work."""
    inside = folder / f"{folder.name}.bag"
    if destination.bag_dir_of(folder) != inside:
        return False
    archived = destination.place_of(settings, folder.name) / inside.name
    return archived.is_dir() and _texts(archived) == _texts(inside)


def _texts(bag: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bag.iterdir() if path.is_file()}


def _kept_by_hand(settings: Settings, rid: str) -> Path:
    return settings.log_dir / "bags" / "by-hand" / rid


def _was_synced(item: LedgerObject, rid: str) -> bool:
    return any(work.rid == rid and work.phase is Phase.SYNCED for work in item.works)
