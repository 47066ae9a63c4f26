"""The working folder: where an object's zip and its unpacked works are meanwhile.

``download/<object>/`` and ``work/<object>/`` belong to one object of the ledger
each, and are gone once it is synced, failed, or waits for a restore. Their name says the object's id and
what it is, so that another ledger's left-overs are never taken for its own.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from glacier_sync.errors import ConfigurationError, TransientError
from glacier_sync.ledger import WORKABLE, Ledger, LedgerObject, UnknownObjectError, Way
from glacier_sync.settings import Settings
from glacier_sync.works import rid_of

MIB = 2**20


class NoSpaceError(TransientError):
    """The working folder has too little space for an object, for now."""


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
    for folder in (settings.download_dir, settings.work_dir, settings.log_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{folder} can't be made ({error.strerror}): expected a folder that this user may write to; "
                "correct its permissions, or GLACIER_SYNC_DATA_DIR and GLACIER_SYNC_LOG_DIR"
            ) from error


def require_space(settings: Settings, item: LedgerObject, size: int) -> None:
    """Check that the zip and its contents fit, beside what other objects still need.

    The contents of a bag of images are about as large as its zip; ``unbag``
    checks the exact sum again before it writes. Raises NoSpaceError with the sum.
    """
    already = size if item.way is Way.FOLDER else _downloaded(settings, item)
    promised = _promised(settings, _folder_name(item))
    needed = max(2 * size - already, 0) + promised + settings.keep_free_mib * MIB
    free = shutil.disk_usage(settings.data_dir).free
    if free < needed:
        raise NoSpaceError(
            f"{item.key} needs {_gib(2 * size - already)} for its zip and contents, {_gib(promised)} are promised "
            f"to others and {settings.keep_free_mib} MiB stay free, but {settings.data_dir} has {_gib(free)}: "
            "it is tried again later; make room if it stays so"
        )


def remove(settings: Settings, item: LedgerObject) -> None:
    """Remove an object's working data, if there is any."""
    for folder in (settings.download_dir / _folder_name(item), unbagged_dir(settings, item)):
        while folder.exists():
            # Another run may be sweeping the same folder.
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)


def sweep(settings: Settings, ledger: Ledger) -> None:
    """Remove working data of objects that nobody is to work on now: what a kill left behind."""
    for number in set(_object_ids(settings)):
        try:
            item = ledger.object(number)
        except UnknownObjectError:
            continue
        if item.phase not in WORKABLE:
            remove(settings, item)


def _object_ids(settings: Settings) -> Iterator[int]:
    for parent in (settings.download_dir, settings.work_dir):
        for folder in parent.iterdir():
            number = folder.name.partition("-")[0]
            if number.isdecimal():
                yield int(number)


def _folder_name(item: LedgerObject) -> str:
    identity = "\0".join([item.bucket, item.key, item.version_id or "", item.etag])
    return f"{item.id}-{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _downloaded(settings: Settings, item: LedgerObject) -> int:
    """Bytes of an object's zip that are on the disk already."""
    return sum(path.stat().st_blocks * 512 for path in (settings.download_dir / _folder_name(item)).glob("*.zip*"))


def _promised(settings: Settings, own_name: str) -> int:
    """Bytes that other objects' zips on this disk still need for their contents."""
    total = 0
    for folder in settings.download_dir.iterdir():
        if folder.name != own_name and not (settings.work_dir / folder.name).exists():
            # Another run may finish or sweep it meanwhile.
            with suppress(FileNotFoundError):
                total += sum(path.stat().st_size for path in folder.iterdir() if path.suffix in {".zip", ".part"})
    return total


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
