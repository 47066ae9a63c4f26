"""The working folder: where an object's zip and its unpacked works are meanwhile.

``download/<object>/`` and ``work/<object>/`` belong to one attempt of one object of the
ledger, and are gone once that is synced, failed, or waits for a restore. Their name
says the object's id, what it is and which attempt: neither another ledger's left-overs
nor what an ended attempt has left, half removed maybe, is ever taken for its own.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import WORKABLE, Ledger, LedgerObject, Run, UnknownObjectError, Way
from glacier_sync.removal import remove_tree
from glacier_sync.settings import Settings
from glacier_sync.works import rid_of

log = logging.getLogger(__name__)

MIB = 2**20

_CLAIM = ".claim-"

# Not longer than what every database takes for an object's number.
_FOLDER_NAME = re.compile(r"(?P<stem>(?P<number>[0-9]{1,18})-[0-9a-f]{12})(?:-(?P<attempt>[0-9]{1,18}))?")


def zip_path(settings: Settings, item: LedgerObject) -> Path:
    """Return where an object's zip is: downloaded, or in the watched folder.

    Raises InvalidRidError if the key has no RID.
    """
    if item.way is Way.FOLDER:
        return Path(item.bucket) / item.key
    return settings.download_dir / _folder_name(item) / f"{rid_of(item.key)}.bag.zip"


def unbagged_dir(settings: Settings, item: LedgerObject) -> Path:
    """Return the folder that an object's works are unpacked in."""
    return settings.work_dir / _folder_name(item)


def folders_of(settings: Settings, item: LedgerObject) -> tuple[Path, Path]:
    """Return the folders that hold the working data of an object's attempt."""
    return settings.download_dir / _folder_name(item), unbagged_dir(settings, item)


def claim_file(settings: Settings, item: LedgerObject, run: Run) -> Path:
    """Return the file that tells the bash of a sync until when this process has the object in hand."""
    holder = hashlib.sha256(f"{run.name}\0{run.worker}".encode()).hexdigest()[:12]
    return unbagged_dir(settings, item) / f"{_CLAIM}{holder}"


def sync_has_begun(settings: Settings, item: LedgerObject) -> bool:
    """Tell whether the bash of a sync may have been started for an attempt, on this host."""
    return any(unbagged_dir(settings, item).glob(f"{_CLAIM}*"))


def copy_note(settings: Settings, item: LedgerObject, rid: str) -> Path:
    """Return the file in which the bash of a sync notes which copy it has made of a work."""
    return unbagged_dir(settings, item) / f".copied-{rid}"


def kept_dir(settings: Settings, item: LedgerObject) -> Path:
    """Return the folder for what is kept of an object's bags: defects, and manifests that travel with no work."""
    return settings.log_dir / "bags" / _stem(item)


def unbagged_works(settings: Settings, item: LedgerObject) -> list[Path]:
    """Return the unpacked works that the ledger knows of, or nothing if one isn't on this disk."""
    folders = [unbagged_dir(settings, item) / work.rid for work in item.works]
    return folders if all(folder.is_dir() for folder in folders) else []


def prepare(settings: Settings) -> None:
    """Make the working folders.

    Raises ConfigurationError if they can't be made or written to.
    """
    settings.make_home()
    for folder in (settings.download_dir, settings.work_dir, settings.log_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{folder} can't be made ({error.strerror}): expected a folder that this user may write to; "
                "correct its permissions, or GLACIER_SYNC_DATA_DIR and GLACIER_SYNC_LOG_DIR"
            ) from error


def remove(settings: Settings, item: LedgerObject) -> None:
    """Remove the working data of an object's attempt, if there is any.

    What can't be removed is told and left to the next run: the ledger has
    recorded what became of the object, and others have to go on.
    """
    for folder in folders_of(settings, item):
        try:
            _remove(folder)
        except OSError as error:
            log.warning(
                "%s can't be removed (%s): expected a folder that this user may empty; see to its owner, its "
                "permissions and its disk; the next run tries again",
                folder,
                error,
            )


def items_here(settings: Settings, ledger: Ledger) -> Iterator[LedgerObject]:
    """Yield the objects whose present attempt has working data on this disk."""
    for item, attempt in _attempts_here(settings, ledger):
        if attempt == item.attempt and any(folder.exists() for folder in folders_of(settings, item)):
            yield item


def ended_here(settings: Settings, ledger: Ledger) -> Iterator[LedgerObject]:
    """Yield the objects that have working data on this disk which nobody is to work on now: as of that attempt."""
    for item, attempt in _attempts_here(settings, ledger):
        if attempt != item.attempt:
            yield replace(item, attempt=attempt, debag_complete_on=None)
        elif item.phase not in WORKABLE:
            yield item


def _remove(folder: Path) -> None:
    while folder.exists():
        # Another run may be sweeping the same folder.
        with suppress(FileNotFoundError):
            remove_tree(folder)


def _attempts_here(settings: Settings, ledger: Ledger) -> Iterator[tuple[LedgerObject, int]]:
    # Listed before the ledger is asked: no attempt that begins meanwhile is taken for an ended one.
    names = {folder.name for parent in (settings.download_dir, settings.work_dir) for folder in parent.iterdir()}
    for found in filter(None, map(_FOLDER_NAME.fullmatch, sorted(names))):
        with suppress(UnknownObjectError):
            item = ledger.object(int(found["number"]))
            if found["stem"] == _stem(item):
                yield item, int(found["attempt"] or 1)


def _folder_name(item: LedgerObject) -> str:
    return _stem(item) if item.attempt == 1 else f"{_stem(item)}-{item.attempt}"


def _stem(item: LedgerObject) -> str:
    identity = "\0".join([item.bucket, item.key, item.version_id or "", item.etag])
    return f"{item.id}-{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
