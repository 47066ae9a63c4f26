"""Removing folders, however deep."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FOLDERS_AT_ONCE = 1000


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, links not followed. Raises OSError, also if it is a link itself.

    ``shutil.rmtree`` takes a call and an open file for each folder that lies in another, and
    fails where a thousand do.
    """
    if folder.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "is a link", str(folder))
    pending = [os.fspath(folder)]
    while pending:
        below = _emptied(pending[-1])
        pending += below
        if not below:
            os.rmdir(pending.pop())  # noqa: PTH106 - paths are text here: there may be millions


def _emptied(folder: str) -> list[str]:
    """Remove the files of a folder; return some of the folders that are in it, or none if there are none."""
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108 - as above
            elif len(below) < _FOLDERS_AT_ONCE:
                below.append(entry.path)
    return below
