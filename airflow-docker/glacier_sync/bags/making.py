"""Making zipped bags (BagIt 1.0), a file at a time, in one pass."""

from __future__ import annotations

import os
import struct
import time
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from glacier_sync.bags.errors import PathError, unreadable, writing
from glacier_sync.bags.folders import list_tree, read_file
from glacier_sync.bags.names import encode_path, shown
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX
from glacier_sync.errors import ConfigurationError
from glacier_sync.hashing.digests import SUPPORTED, hashers, normalised
from glacier_sync.works import BAG_SUFFIX, is_work, rid_of

_UTF8 = 0x800
_EXTENDED_TIME = struct.Struct("<HHBl")
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_EPOCH = 0
_LAST_TIME = 2**31 - 1


class _Entry(zipfile.ZipInfo):
    """An entry whose name goes into the zip byte for byte, which the library does for UTF-8 only."""

    def __init__(self, name: str, modified: int, *, compress: bool) -> None:
        super().__init__(name, max(time.gmtime(modified)[:6], _FIRST_TIME))
        self.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self.external_attr = 0o100644 << 16
        self.extra = _EXTENDED_TIME.pack(0x5455, 5, 1, modified)

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's name
        raw = os.fsencode(self.filename)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw, self.flag_bits & ~_UTF8
        return raw, self.flag_bits if raw.isascii() else self.flag_bits | _UTF8


def make_bag_zip(
    works: Sequence[Path],
    zip_path: Path,
    *,
    algorithms: Sequence[str] = ("sha512",),
    compress: bool = False,
    bagging_date: date | None = None,
) -> None:
    """Bag works and zip the bag as ``<RID>.bag/data/<Work>/…``, the RID being the zip's.

    The same works, times and arguments make the same bytes. The zip is complete
    or absent; one that is there is replaced. Raises ConfigurationError for
    what is no work or no algorithm, UnreadableError, and what a disk refuses as
    NoSpaceError, FolderError or WriteError.
    """
    names = [normalised(algorithm) for algorithm in algorithms]
    for name in names:
        if name not in SUPPORTED:
            raise ConfigurationError(f"{name} is no supported checksum algorithm: expected {', '.join(SUPPORTED)}")
    for work in works:
        if not work.is_dir() or not is_work(work):
            raise PathError(
                f"{shown(str(work))} isn't a work: expected a directory that has archive, images, sources or eBooks"
            )
    if len({work.name for work in works}) != len(works):
        raise ConfigurationError("two works have one name: expected each work once")
    part = zip_path.with_name(f"{zip_path.name}.part")
    try:
        with writing(zip_path.parent):
            with zipfile.ZipFile(part, "w") as archive:
                _BagWriter(archive, rid_of(zip_path.name), names, compress=compress).write(works, bagging_date)
            part.replace(zip_path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


class _BagWriter:
    def __init__(self, archive: zipfile.ZipFile, rid: str, algorithms: Sequence[str], *, compress: bool) -> None:
        self._archive = archive
        self._prefix = f"{rid}{BAG_SUFFIX}/"
        self._algorithms = algorithms
        self._compress = compress
        self._manifests: dict[str, list[str]] = {algorithm: [] for algorithm in algorithms}

    def write(self, works: Sequence[Path], bagging_date: date | None) -> None:
        files = size = 0
        for work in sorted(works):
            tree = list_tree(work)
            for name, error in tree.unreadable.items():
                raise unreadable(work / name, error)
            for name, kind in tree.special.items():
                raise ConfigurationError(f"{shown(str(work / name))} is {kind}: expected files and folders only")
            for name in sorted(tree.files):
                size += self._add(
                    f"{PAYLOAD_PREFIX}{work.name}/{name}",
                    read_file(work, name, tree.files[name]),
                    _modified(work / name),
                )
            files += len(tree.files)
        manifests = self._listings("manifest")
        dated = f"Bagging-Date: {bagging_date.isoformat()}\n" if bagging_date else ""
        self._add_text(DECLARATION, "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        self._add_text("bag-info.txt", f"{dated}Payload-Oxum: {size}.{files}\n")
        for name, text in manifests.items():
            self._add_text(name, text)
        tag_manifests = self._listings("tagmanifest")
        for name, text in tag_manifests.items():
            self._add_text(name, text)

    def _add(self, name: str, chunks: Iterable[memoryview], modified: int) -> int:
        """Write a file, hashing it for the listings; return its size."""
        engines = hashers(self._algorithms)
        entry = _Entry(f"{self._prefix}{name}", modified, compress=self._compress)
        size = 0
        with self._archive.open(entry, "w", force_zip64=True) as out:
            for chunk in chunks:
                for engine in engines.values():
                    engine.update(chunk)
                out.write(chunk)
                size += len(chunk)
        for algorithm, engine in engines.items():
            self._manifests[algorithm].append(f"{engine.hexdigest()}  {encode_path(name)}\n")
        return size

    def _add_text(self, name: str, text: str) -> None:
        self._add(name, [memoryview(text.encode("utf-8", "surrogateescape"))], _EPOCH)

    def _listings(self, kind: str) -> dict[str, str]:
        """Return what was written since the last call as manifests, by their names."""
        listings = {f"{kind}-{name}.txt": "".join(lines) for name, lines in self._manifests.items()}
        self._manifests = {name: [] for name in self._manifests}
        return listings


def _modified(path: Path) -> int:
    try:
        return min(int(path.stat().st_mtime), _LAST_TIME)
    except OSError as error:
        raise unreadable(path, error) from error
