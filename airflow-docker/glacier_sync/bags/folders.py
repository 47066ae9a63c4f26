"""Directories as sources: a bag that isn't zipped, or a work's copy."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from glacier_sync.bags.defects import NotABag, SpecialFile
from glacier_sync.bags.errors import unreadable
from glacier_sync.bags.files import NameList
from glacier_sync.bags.names import own_name
from glacier_sync.bags.sources import Bag, Listing
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX, Manifest
from glacier_sync.hashing.files import FileReader
from glacier_sync.hashing.tasks import Job
from glacier_sync.works import BAG_SUFFIX


@dataclass
class Tree:
    """What stands below a folder, links not followed: names relative to it.

    ``folders`` are those that stand in it directly; ``special`` are links, pipes and
    devices; ``unreadable`` are folders that can't be listed.
    """

    files: NameList = field(default_factory=NameList)
    folders: set[str] = field(default_factory=set)
    special: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, OSError] = field(default_factory=dict)


def list_tree(folder: Path) -> Tree:
    """List all that stands below a folder; what can't be listed is noted, not raised."""
    tree = Tree()
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                for entry in entries:
                    name = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if not prefix:
                            tree.folders.add(name)
                        pending.append(f"{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        tree.files.add(name, entry.stat(follow_symlinks=False).st_size)
                    else:
                        mode = entry.stat(follow_symlinks=False).st_mode
                        tree.special[name] = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
        except OSError as error:
            tree.unreadable[prefix.removesuffix("/")] = error
    return tree


def read_file(folder: Path, name: str, size: int) -> Iterator[memoryview]:
    """Yield the bytes of a file below a folder; each chunk is valid until the next one. Raises UnreadableError."""
    try:
        yield from FileReader(os.fspath(folder)).chunks(name, size)
    except OSError as error:
        raise unreadable(folder / name, error) from error


class FolderSource:
    """A directory that is a bag."""

    has_checksums = False

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = list_tree(path)
        self._files = tree.files
        for name, error in tree.unreadable.items():
            raise unreadable(path / name, error) from error
        self.listing = _listing(path, tree)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def chunks(self, name: str, *, checked: bool) -> Iterator[memoryview]:
        """Yield a file's bytes; see ``Source.chunks``."""
        return read_file(self.path, name, self._files[name])

    def job(self) -> Job:
        """Return what a worker needs to read files; see ``Source.job``."""
        return Job(folder=os.fspath(self.path))

    def entry(self, bag: Bag, number: int) -> None:
        """Return None: no zip holds it."""

    def modified(self, bag: Bag, number: int) -> None:
        """Return None: a file that isn't unpacked keeps its time."""


def _listing(path: Path, tree: Tree) -> Listing:
    name = own_name(path)
    if DECLARATION not in tree.files and "data" not in tree.folders and not any(map(Manifest.named, tree.files)):
        return Listing((), (NotABag(name, f"is a directory without {DECLARATION} and {PAYLOAD_PREFIX}", "a bag"),))
    defects = tuple(
        SpecialFile(file, f"is {kind}", "files and folders only") for file, kind in sorted(tree.special.items())
    )
    for file in tree.special:
        tree.files.add(file, 0)
    return Listing(
        (
            Bag(
                name.removesuffix(BAG_SUFFIX),
                "",
                tree.files,
                frozenset(tree.folders),
                frozenset(tree.special),
                defects,
            ),
        )
    )
