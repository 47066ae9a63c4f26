"""The working folder: where an object's zip and its unpacked works are meanwhile.

``download/<object>/`` and ``work/<object>/`` belong to one object of the ledger
each, and are gone once it is synced, failed, or waits for a restore. Their name says the object's id and
what it is, so that another ledger's left-overs are never taken for its own.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import WORKABLE, Ledger, LedgerObject, Run, UnknownObjectError, Way
from glacier_sync.settings import Settings
from glacier_sync.works import rid_of

log = logging.getLogger(__name__)

MIB = 2**20

# What every database takes for an object's number.
_LARGEST_NUMBER = 2**63 - 1


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
    """Return the folders that hold an object's working data."""
    return settings.download_dir / _folder_name(item), unbagged_dir(settings, item)


def claim_file(settings: Settings, item: LedgerObject, run: Run) -> Path:
    """Return the file that tells the bash of a sync until when this process has the object in hand."""
    holder = hashlib.sha256(f"{run.name}\0{run.worker}".encode()).hexdigest()[:12]
    return unbagged_dir(settings, item) / f".claim-{holder}"


def copy_note(settings: Settings, item: LedgerObject, rid: str) -> Path:
    """Return the file in which the bash of a sync notes the inode of the copy that it has made of a work."""
    return unbagged_dir(settings, item) / f".copied-{rid}"


def kept_dir(settings: Settings, item: LedgerObject) -> Path:
    """Return the folder for what is kept of an object's bags: defects, and manifests that travel with no work."""
    return settings.log_dir / "bags" / _folder_name(item)


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
    """Remove an object's working data, if there is any.

    What can't be removed is told and left to the next ``sweep``: the ledger has
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


def sweep(settings: Settings, ledger: Ledger) -> None:
    """Remove working data of objects that nobody is to work on now: what a kill left behind."""
    for item in items_here(settings, ledger):
        if item.phase not in WORKABLE:
            remove(settings, item)


def items_here(settings: Settings, ledger: Ledger) -> Iterator[LedgerObject]:
    """Yield the objects that have working data on this disk."""
    for number in sorted(set(_object_ids(settings))):
        with suppress(UnknownObjectError):
            item = ledger.object(number)
            if any(folder.exists() for folder in folders_of(settings, item)):
                yield item


def _remove(folder: Path) -> None:
    while folder.exists():
        # Another run may be sweeping the same folder.
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _object_ids(settings: Settings) -> Iterator[int]:
    for parent in (settings.download_dir, settings.work_dir):
        for folder in parent.iterdir():
            number = folder.name.partition("-")[0]
            if number.isdecimal() and int(number) <= _LARGEST_NUMBER:
                yield int(number)


def _folder_name(item: LedgerObject) -> str:
    identity = "\0".join([item.bucket, item.key, item.version_id or "", item.etag])
    return f"{item.id}-{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
