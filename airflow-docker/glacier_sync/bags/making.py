"""Making zipped bags (BagIt 1.0): each file is read once, hashed and written at the same time."""

from __future__ import annotations

import errno
import fcntl
import filecmp
import os
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from glacier_sync.bags.disk import sync_folder
from glacier_sync.bags.errors import BusyError, PathError, WorkExistsError, unreadable, writing
from glacier_sync.bags.folders import Tree, list_tree
from glacier_sync.bags.names import encode_path, shown
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX
from glacier_sync.errors import ConfigurationError
from glacier_sync.hashing.digests import SUPPORTED, Hasher, hashers, normalised
from glacier_sync.hashing.files import FileReader
from glacier_sync.progress import Progress
from glacier_sync.works import BAG_SUFFIX, is_work, rid_of

_UTF8 = 0x800
_EXTENDED_TIME = struct.Struct("<HHBl")
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_EPOCH = 0
_LAST_TIME = 2**31 - 1
# Below this handing over to another thread takes longer than hashing.
_WORTH_A_THREAD = 2**17
_BLOCK = 2**18
_NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True)
class MadeBag:
    """A zipped bag: its payload's files and bytes; ``made`` is False if the same one was there already."""

    path: Path
    works: tuple[str, ...]
    files: int
    bytes: int
    made: bool


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
    algorithms: Sequence[str] = ("sha256", "sha512"),
    compress: bool = False,
    bagging_date: date | None = None,
    progress: Progress | None = None,
) -> MadeBag:
    """Bag works and zip the bag as ``<RID>.bag/data/<Work>/…``, the RID being the zip's.

    The same works, times and arguments make the same bytes. The zip is complete
    and on the disk, or absent; if one is there, it stays, and must be the same.
    Raises WorkExistsError if it differs, BusyError if another process makes it,
    ConfigurationError for what is no work or no algorithm, UnreadableError, and
    what a disk refuses as NoSpaceError, FolderError or WriteError.
    """
    names = [normalised(algorithm) for algorithm in algorithms]
    for name in names:
        if name not in SUPPORTED:
            raise ConfigurationError(f"{name} is no supported checksum algorithm: expected {', '.join(SUPPORTED)}")
    _check_works(works, zip_path)
    with writing(zip_path.parent), _part_file(zip_path) as (part, file):
        payload = _Payload.of(works)
        if not compress:
            _allocate(file, payload.bytes)
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(file, "w"))
            listings = _Listings(names, zip_path.parent, stack)
            writer = _BagWriter(archive, rid_of(zip_path.name), listings, compress=compress, stack=stack)
            writer.write(payload, bagging_date, progress or _silent)
        file.flush()
        os.fsync(file.fileno())
        made = _place(part, zip_path)
    return MadeBag(zip_path, tuple(work.name for work in payload.works), payload.files, payload.bytes, made)


def _check_works(works: Sequence[Path], zip_path: Path) -> None:
    for work in works:
        if not work.is_dir() or not is_work(work):
            raise PathError(
                f"{shown(str(work))} isn't a work: expected a directory that has archive, images, sources or eBooks"
            )
        if zip_path.absolute().is_relative_to(work.absolute()):
            raise PathError(f"{shown(str(zip_path))} would lie in the work itself: expected a folder outside of it")
    if len({work.name for work in works}) != len(works):
        raise ConfigurationError("two works have one name: expected each work once")


@contextmanager
def _part_file(zip_path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open the file that the zip grows in, empty and locked; remove it if it isn't placed."""
    part = zip_path.with_name(f"{zip_path.name}.part")
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except (BlockingIOError, FileNotFoundError):
            ours = False
        if not ours:
            raise BusyError(f"{shown(str(zip_path))} is being made by another process: wait until it has ended")
        with part.open("r+b") as writable:
            writable.truncate(0)
            try:
                yield part, writable
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()


def _allocate(file: IO[bytes], size: int) -> None:
    """Find out at the start if the disk is too full."""
    try:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in _NO_PREALLOCATION:
            raise


def _place(part: Path, zip_path: Path) -> bool:
    """Give the finished zip its name; tell whether that was needed."""
    if os.path.lexists(zip_path):
        if not zip_path.is_file() or not filecmp.cmp(part, zip_path, shallow=False):
            raise WorkExistsError(
                f"{shown(str(zip_path))} exists already and holds something else: expected nothing there, or the "
                "same bag; move it away, or make the bag in another folder"
            )
        return False
    part.rename(zip_path)
    sync_folder(zip_path.parent)
    return True


def _silent(done: int, in_all: int) -> None:
    del done, in_all


@dataclass(frozen=True)
class _Payload:
    """What is to be bagged, works by their names; files and bytes in all."""

    works: tuple[Path, ...]
    trees: tuple[Tree, ...]
    files: int
    bytes: int

    @classmethod
    def of(cls, works: Sequence[Path]) -> _Payload:
        ordered = tuple(sorted(works, key=lambda work: work.name))
        trees = tuple(_listed(work) for work in ordered)
        sizes = [size for tree in trees for _, size in tree.files.pairs()]
        return cls(ordered, trees, len(sizes), sum(sizes))


def _listed(work: Path) -> Tree:
    tree = list_tree(work)
    for name, error in tree.unreadable.items():
        raise unreadable(work / name, error)
    for name, kind in tree.special.items():
        raise ConfigurationError(f"{shown(str(work / name))} is {kind}: expected files and folders only")
    return tree


class _Listings:
    """The manifests while they grow, in files without a name, so that a work of any size takes little memory."""

    def __init__(self, algorithms: Sequence[str], folder: Path, stack: ExitStack) -> None:
        self.algorithms = algorithms
        self._folder = folder
        self._stack = stack
        self._files = self._begin()

    def add(self, name: str, digests: Iterable[str]) -> None:
        """Take a file's checksums, in the order of the algorithms."""
        for digest, file in zip(digests, self._files, strict=True):
            file.write(os.fsencode(f"{digest}  {encode_path(name)}\n"))

    def take(self, kind: str) -> dict[str, IO[bytes]]:
        """Return what was added since the last call as manifests to read, by their names."""
        finished, self._files = self._files, self._begin()
        for file in finished:
            file.seek(0)
        return {f"{kind}-{name}.txt": file for name, file in zip(self.algorithms, finished, strict=True)}

    def _begin(self) -> list[IO[bytes]]:
        return [self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder)) for _ in self.algorithms]


class _BagWriter:
    def __init__(
        self, archive: zipfile.ZipFile, rid: str, listings: _Listings, *, compress: bool, stack: ExitStack
    ) -> None:
        self._archive = archive
        self._prefix = f"{rid}{BAG_SUFFIX}/"
        self._listings = listings
        self._compress = compress
        # The file is written in this thread while others hash it.
        self._threads = stack.enter_context(ThreadPoolExecutor(len(listings.algorithms)))

    def write(self, payload: _Payload, bagging_date: date | None, progress: Progress) -> None:
        done = 0
        for work, tree in zip(payload.works, payload.trees, strict=True):
            reader = FileReader(os.fspath(work))
            for name, size in sorted(tree.files.pairs()):
                chunks = _read(reader, work, name, size)
                done += self._add(f"{PAYLOAD_PREFIX}{work.name}/{name}", chunks, _modified(work / name))
                progress(done, payload.bytes)
        dated = f"Bagging-Date: {bagging_date.isoformat()}\n" if bagging_date else ""
        manifests = self._listings.take("manifest")
        self._add_text(DECLARATION, "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        self._add_text("bag-info.txt", f"{dated}Payload-Oxum: {done}.{payload.files}\n")
        self._add_listings(manifests)
        self._add_listings(self._listings.take("tagmanifest"))

    def _add(self, name: str, chunks: Iterable[memoryview], modified: int) -> int:
        """Write a file, hashing it for the listings; return its size."""
        engines = list(hashers(self._listings.algorithms).values())
        entry = _Entry(f"{self._prefix}{name}", modified, compress=self._compress)
        size = 0
        with self._archive.open(entry, "w", force_zip64=True) as out:
            for chunk in chunks:
                self._hash_and_write(engines, out, chunk)
                size += len(chunk)
        self._listings.add(name, (engine.hexdigest() for engine in engines))
        return size

    def _hash_and_write(self, engines: Sequence[Hasher], out: IO[bytes], chunk: memoryview) -> None:
        if len(chunk) < _WORTH_A_THREAD:
            for engine in engines:
                engine.update(chunk)
            out.write(chunk)
            return
        hashing = [self._threads.submit(engine.update, chunk) for engine in engines]
        try:
            out.write(chunk)
        finally:
            for each in hashing:
                each.result()

    def _add_listings(self, listings: dict[str, IO[bytes]]) -> None:
        for name, file in listings.items():
            self._add(name, _blocks(file), _EPOCH)

    def _add_text(self, name: str, text: str) -> None:
        self._add(name, [memoryview(text.encode())], _EPOCH)


def _read(reader: FileReader, work: Path, name: str, size: int) -> Iterator[memoryview]:
    try:
        yield from reader.chunks(name, size)
    except OSError as error:
        raise unreadable(work / name, error) from error


def _blocks(file: IO[bytes]) -> Iterator[memoryview]:
    while block := file.read(_BLOCK):
        yield memoryview(block)


def _modified(path: Path) -> int:
    try:
        return min(int(path.stat().st_mtime), _LAST_TIME)
    except OSError as error:
        raise unreadable(path, error) from error
