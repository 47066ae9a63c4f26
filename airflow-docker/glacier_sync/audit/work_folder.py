"""A work as it lies on disk: image-group parents, image groups, files.

Symbolic links that lead out of the work are never followed, so that an audit
vouches for nothing but the work itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.image_readers import ImageReaders
from glacier_sync.audit.report import Finding

_LEADS_OUT = "is a symbolic link that leads out of the work, which is not followed"


@dataclass(frozen=True)
class WorkFile:
    """Something in an image group that isn't a folder; ``defect`` says why it can't be read."""

    name: str
    path: Path
    defect: str | None = None

    @property
    def hidden(self) -> bool:
        """Whether the name starts with a dot."""
        return self.name.startswith(".")

    @property
    def is_image(self) -> bool:
        """Whether the tests take it for an image: not hidden, not JSON."""
        return not self.hidden and not self.name.endswith("json")


@dataclass(frozen=True)
class ImageGroup:
    """An image group's contents, by name; ``label`` is its path in the work."""

    name: str
    label: str
    path: Path
    files: tuple[WorkFile, ...]
    folders: tuple[str, ...]

    @property
    def images(self) -> Iterator[WorkFile]:
        """The files that the tests take for images."""
        return (file for file in self.files if file.is_image)

    def label_of(self, file: WorkFile) -> str:
        """Return a file's path in the work."""
        return f"{self.label}/{file.name}"


@dataclass(frozen=True)
class GroupParent:
    """A folder of image groups; ``problems`` are findings about groups that can't be read."""

    groups: tuple[ImageGroup, ...]
    problems: tuple[Finding, ...]


class WorkFolder:
    """Reads a work's folders and images, each once, when a test first asks for them.

    Its methods raise OSError where the disk does.
    """

    def __init__(self, path: Path, readers: ImageReaders) -> None:
        self.path = path
        self._readers = readers
        self._root = os.path.realpath(path)
        self._parents: dict[str, GroupParent | None] = {}
        self._images: dict[str, list[tuple[ImageGroup, WorkFile, ImageFacts]]] = {}

    def files_in_root(self) -> list[WorkFile]:
        """Return what lies in the work's root and isn't a folder, by name."""
        return [self._file(entry) for entry in _entries(self.path) if not _is_folder(entry)]

    def parent(self, name: str) -> GroupParent | None:
        """Return the image-group parent of that name, or None if the work has no such folder."""
        if name not in self._parents:
            self._parents[name] = self._read_parent(name)
        return self._parents[name]

    def images(self, name: str) -> list[tuple[ImageGroup, WorkFile, ImageFacts]]:
        """Return a parent's images with what their headers say; several are read at a time."""
        if name not in self._images:
            parent = self.parent(name)
            found = [(group, file) for group in parent.groups for file in group.images] if parent else []
            facts = iter(self._readers.examine([file.path for _, file in found if not file.defect]))
            self._images[name] = [
                (group, file, ImageFacts.of_none(f"it {file.defect}") if file.defect else next(facts))
                for group, file in found
            ]
        return self._images[name]

    def _read_parent(self, name: str) -> GroupParent | None:
        path = self.path / name
        if not path.is_dir():
            return None
        if not self._inside(path):
            return GroupParent((), (Finding(ErrorNumber.UNKNOWN, f"{name} {_LEADS_OUT}", path),))
        groups: list[ImageGroup] = []
        problems: list[Finding] = []
        for entry in _entries(path):
            if not _is_folder(entry):
                continue
            label = f"{name}/{entry.name}"
            if entry.is_symlink() and not self._inside(entry.path):
                problems.append(Finding(ErrorNumber.UNKNOWN, f"{label} {_LEADS_OUT}", Path(entry.path)))
                continue
            try:
                groups.append(self._read_group(label, entry))
            except OSError as error:
                message = f"{label} can't be read: {error.strerror}"
                problems.append(Finding(ErrorNumber.UNKNOWN, message, Path(entry.path)))
        return GroupParent(tuple(groups), tuple(problems))

    def _read_group(self, label: str, entry: os.DirEntry[str]) -> ImageGroup:
        path = Path(entry.path)
        files: list[WorkFile] = []
        folders: list[str] = []
        for child in _entries(path):
            if _is_folder(child):
                folders.append(child.name)
            else:
                files.append(self._file(child))
        return ImageGroup(entry.name, label, path, tuple(files), tuple(folders))

    def _file(self, entry: os.DirEntry[str]) -> WorkFile:
        return WorkFile(entry.name, Path(entry.path), self._defect(entry))

    def _defect(self, entry: os.DirEntry[str]) -> str | None:
        if entry.is_symlink():
            if not self._inside(entry.path):
                return _LEADS_OUT
            if not os.path.exists(entry.path):  # noqa: PTH110 - Path.exists raises errors of the link's target
                return "is a symbolic link to nothing that can be read"
        return None if entry.is_file() else "is no regular file"

    def _inside(self, path: str | Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle, say: whatever it is, it can't be read, and is no folder.
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
