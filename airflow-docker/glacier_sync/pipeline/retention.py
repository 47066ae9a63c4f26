"""The retention folder: originals stay there until their works are synced and the retention time is over.

Each has a folder of its own, which is named by when the original came into it and
ends with ``.new`` as long as the original isn't in the watched folder as well.
"""

from __future__ import annotations

import errno
import filecmp
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from glacier_sync.errors import ConfigurationError, TransientError, one_line
from glacier_sync.ledger import Ledger, LedgerObject, Phase, Way
from glacier_sync.pipeline.arrivals import Arrival, FolderAwayError, look_at

log = logging.getLogger(__name__)

NEW = ".new"

_STAMP = "%Y%m%dT%H%M%SZ"
_FOLDER = re.compile(r"(\d{8}T\d{6}Z)-.*")
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
_PART = ".part"


class MovingError(TransientError):
    """A file couldn't be moved from one folder to the other; it is where it was."""


def keep(arrival: Arrival, retention_dir: Path) -> Path:
    """Move an original into a new folder of the retention folder; return where it is then. Raises MovingError."""
    with _moving(arrival.path, retention_dir):
        folder = Path(tempfile.mkdtemp(NEW, f"{datetime.now(UTC):{_STAMP}}-", retention_dir))
        try:
            folder.chmod(0o750)
            _move(arrival, folder / arrival.name)
        except BaseException:
            _discard(folder)
            raise
        _sync_names(folder, retention_dir, arrival.path.parent)
    return folder / arrival.name


def end_move(kept: Path, came_from: Path) -> bool:
    """Remove where an original came from what a kill has left there of it; tell whether there was something.

    Between file systems it is copied, then removed. Raises MovingError, FolderAwayError.
    """
    left = came_from / kept.name
    original, other = look_at(kept), look_at(left)
    if original is None or other is None or original.etag != other.etag:
        return False
    with _moving(left, kept.parent):
        # On one file system it was renamed: this is another one.
        if left.stat().st_dev == kept.stat().st_dev or not filecmp.cmp(kept, left, shallow=False):
            return False
        left.unlink()
    return True


def put(kept: Path, to: Path) -> None:
    """Let a kept original appear in a folder, whole at once. Raises MovingError, FileExistsError."""
    part = _part(kept, to)
    with _moving(kept, to):
        try:
            os.link(kept, to / kept.name)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _copy(kept, part)
            _appear(part, to / kept.name)
        _sync_names(to)


def settle(kept: Path, to: Path) -> None:
    """Note that an original has appeared there, and needs nothing more but its time. Raises MovingError."""
    folder = kept.parent
    with _moving(kept, to):
        _part(kept, to).unlink(missing_ok=True)
        folder.rename(folder.with_name(folder.name.removesuffix(NEW)))


def unsettled(retention_dir: Path) -> list[Path]:
    """Return the originals of which a kill may have left nothing in the watched folder."""
    found = []
    for folder in sorted(retention_dir.glob(f"*{NEW}")):
        originals = [path for path in folder.iterdir() if path.name != _PART]
        if originals:
            found += originals
        else:
            _discard(folder)
    return found


def is_kept(retention_dir: Path, item: LedgerObject) -> bool:
    """Tell whether an object's original is in the retention folder."""
    return any(path.name == item.key and _is_original(path, item) for path, _ in _originals(retention_dir))


def clear(ledger: Ledger, retention_dir: Path, days: float) -> list[Path]:
    """Remove the originals whose works were synced that many days ago; return where they were.

    What a folder refuses is told, and the others are gone through. Raises ConfigurationError if
    the retention folder can't be listed.
    """
    removed = []
    for path, since in _originals(retention_dir):
        try:
            if _is_over(ledger, path, since, timedelta(days=days)):
                path.unlink()
                removed.append(path)
                path.parent.rmdir()
        except (OSError, FolderAwayError) as error:
            log.warning("%s or its folder can't be removed: %s; it is tried again", one_line(str(path)), error)
    return removed


def _is_over(ledger: Ledger, path: Path, since: datetime, time: timedelta) -> bool:
    """Tell whether all is synced that an original may have become since it came in, and long enough ago.

    Another file may have its name, size and time: an original is kept as long as any of them isn't synced.
    """
    items = [item for item in ledger.find(path.name) if item.way is Way.FOLDER and _is_original(path, item)]
    own = [item for item in items if not item.phase.is_terminal or _last_time(item) >= since]
    for item in own:
        if item.phase is Phase.FAILED:
            log.warning("%s is kept: object %d has failed", one_line(str(path)), item.id)
    synced = [item.sync_complete_on for item in own if item.sync_complete_on]
    return bool(synced) and len(synced) == len(own) and max(synced) + time <= datetime.now(UTC)


def _last_time(item: LedgerObject) -> datetime:
    return item.sync_complete_on or item.create_time


def _originals(retention_dir: Path) -> Iterator[tuple[Path, datetime]]:
    """Yield the settled originals, each with when it came in."""
    for folder in _listed(retention_dir):
        name = _FOLDER.fullmatch(folder.name)
        if name and folder.is_dir() and not folder.name.endswith(NEW):
            since = datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC)
            for path in _listed(folder):
                yield path, since
            # A kill may have left it empty.
            with suppress(OSError):
                folder.rmdir()


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"{folder} can't be looked into ({error.strerror}): expected the retention folder, and to be allowed to "
            "read it; mount it, or correct its permissions"
        ) from error


def _is_original(path: Path, item: LedgerObject) -> bool:
    arrival = look_at(path)
    return arrival is not None and arrival.etag == item.etag


@contextmanager
def _moving(path: Path, to: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise MovingError(
            f"{path} can't be moved to {to} ({error.strerror}): expected room there, and folders that this user "
            "may change; it stays where it was",
            cause=str(error),
        ) from error


def _move(arrival: Arrival, target: Path) -> None:
    try:
        arrival.path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(_PART)
        _copy(arrival.path, part)
        if look_at(arrival.path) != arrival:
            raise MovingError(
                f"{arrival.path} was changed while it was copied: expected a file that is left alone; "
                "it is moved once it is"
            ) from error
        part.rename(target)
        # The other file system may be the first to write down what is done.
        _sync_names(target.parent, target.parent.parent)
        arrival.path.unlink(missing_ok=True)


def _discard(folder: Path) -> None:
    """Remove a new folder with what was copied into it, unless an original has come into it."""
    (folder / _PART).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _part(kept: Path, to: Path) -> Path:
    return to / f".{kept.parent.name}{_PART}"


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _appear(part: Path, target: Path) -> None:
    """Give a copy its name, which nothing else must have."""
    try:
        os.link(part, target)
    except FileExistsError:
        part.unlink()
        raise
    except OSError:
        # This file system has no links at all.
        if os.path.lexists(target):
            part.unlink()
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        part.rename(target)
    else:
        part.unlink()


def _sync_names(*folders: Path) -> None:
    for folder in folders:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
