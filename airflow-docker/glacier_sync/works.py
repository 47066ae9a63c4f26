"""Works: their RIDs, where they live in archive and buckets, how one is recognised.

A *work* is a directory named by its RID. Structure 1 has one of ``WORK_FOLDERS``
as a direct child; structure 2 has a child ``<Work>-I…`` that has one of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from glacier_sync.errors import ConfigurationError, PermanentError

_FOLDERS = ("archive", "images", "sources", "eBooks", "sync-inventory")
WORK_FOLDERS = frozenset(_FOLDERS)
FOLDERS_IN_WORDS = f"{', '.join(_FOLDERS[:-1])} or {_FOLDERS[-1]}"
BAG_SUFFIX = ".bag"

_MAX_RID_BYTES = 200
# Unicode's categories of control characters and of what ends a line or a paragraph: to bash they are one.
_BREAKS = frozenset({"Cc", "Zl", "Zp"})


class InvalidRidError(PermanentError):
    """A name that can't be a work's RID, because it isn't safe as a directory's name."""


def rid_of(name: str) -> str:
    """Return the RID of an S3 key or a file: its base name up to the first dot.

    Raises InvalidRidError if that isn't a name a work can have.
    """
    return check_rid(PurePosixPath(name).name.partition(".")[0])


def check_rid(rid: str) -> str:
    """Return ``rid`` if it is safe as a directory's name and a command's argument.

    Raises InvalidRidError for an empty or overlong name, one that begins with a
    dot, a dash or one of ``=+@`` (to a spreadsheet a formula), and one with a slash,
    a control character or a line's end.
    """
    unsafe = any(c == "/" or unicodedata.category(c) in _BREAKS for c in rid)
    if not rid or rid[0] in ".-=+@" or unsafe or len(_as_bytes(rid)) > _MAX_RID_BYTES:
        raise InvalidRidError(
            f"{rid!r} can't be a work's RID: expected 1 to {_MAX_RID_BYTES} bytes without slash, "
            "control characters and line ends, not beginning with one of . - = + @; rename the work in its bag"
        )
    return rid


def given_rid(rid: str) -> str:
    """Return ``rid`` if a work can be named so; for a name that a person gives.

    Raises ConfigurationError, as that is wrong use and says nothing of any work.
    """
    try:
        return check_rid(rid)
    except InvalidRidError as error:
        raise ConfigurationError(error.message.replace("rename the work in its bag", "name a work")) from error


def tree_number(rid: str) -> int:
    """Return the RID's number in the tree, 0 to 99: its last two characters, or 0."""
    tail = rid[-2:]
    return int(tail) if len(tail) == 2 and tail.isascii() and tail.isdigit() else 0


def archive_path(archive_parent: str | Path, rid: str) -> Path:
    """Return a work's place in the archive's tree: ``<parent><nn div 25>/<nn>/<Work>``.

    ``archive_parent`` is a prefix, not a folder: ``/mnt/Archive`` leads to
    ``/mnt/Archive0/00/W1NLM4700``.
    """
    number = tree_number(check_rid(rid))
    return Path(f"{archive_parent}{number // 25}") / f"{number:02d}" / rid


def staging_key(rid: str) -> str:
    """Return a work's key in a Glacier staging bucket: ``Archive<nn div 50>/<nn>/…``."""
    number = tree_number(check_rid(rid))
    return f"Archive{number // 50}/{number:02d}/{rid}/{rid}{BAG_SUFFIX}.zip"


def is_work(path: Path) -> bool:
    """Tell whether a directory on disk is laid out as a work."""
    return looks_like_work(path.name, lambda parts: _subfolders(path.joinpath(*parts)))


def looks_like_work(rid: str, subfolders: Callable[[tuple[str, ...]], Iterable[str]]) -> bool:
    """Tell whether a directory is laid out as a work, wherever it is listed from.

    ``subfolders`` returns the names of the folders at a path relative to the work
    (``()`` is the work itself), so that a zip's listing serves as well as a disk's.
    """
    children = set(subfolders(()))
    if children & WORK_FOLDERS:
        return True
    groups = (child for child in children if child.startswith(f"{rid}-I"))
    return any(WORK_FOLDERS.intersection(subfolders((group,))) for group in groups)


def find_works(folder: Path) -> list[Path]:
    """Return the works that are direct children of a folder, by name."""
    return sorted(folder / name for name in _subfolders(folder) if is_work(folder / name))


def _subfolders(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]


def _as_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
