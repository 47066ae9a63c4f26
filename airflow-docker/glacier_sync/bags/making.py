"""Making zipped bags (BagIt 1.0): each file is read once, hashed and written at the same time."""

from __future__ import annotations

import errno
import fcntl
import filecmp
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from glacier_sync.bags.disk import rename_to_new, sync_folder
from glacier_sync.bags.errors import BusyError, PathError, WorkExistsError, unreadable, writing
from glacier_sync.bags.interrupts import closed_whole, interrupts_held_back
from glacier_sync.bags.matching import find_works
from glacier_sync.bags.names import encode_path, shown, unsafe
from glacier_sync.bags.tagfiles import DECLARATION, PAYLOAD_PREFIX
from glacier_sync.bags.zip_writing import EntryWriter, ZipWriter
from glacier_sync.errors import ConfigurationError
from glacier_sync.hashing.digests import SUPPORTED, Hasher, hashers, normalised
from glacier_sync.hashing.files import FileReader
from glacier_sync.progress import Progress
from glacier_sync.works import BAG_SUFFIX, FOLDERS_IN_WORDS, WORK_FOLDERS, is_work, rid_of

_EPOCH = 0
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


def make_bag_zip(
    works: Sequence[Path],
    zip_path: Path,
    *,
    algorithms: Sequence[str] = ("sha256", "sha512"),
    progress: Progress | None = None,
) -> MadeBag:
    """Bag works and zip the bag as ``<RID>.bag/data/<Work>/…``, the RID being the zip's.

    The same works, times and arguments make the same bytes. The zip is complete
    and on the disk, or absent; if one is there, it stays, and must be the same.
    Raises WorkExistsError if it differs, BusyError if another process makes it or
    changes a work, ConfigurationError for what is no work or no algorithm, UnreadableError, and
    what a disk refuses as NoSpaceError, FolderError or WriteError.
    """
    names = [normalised(algorithm) for algorithm in algorithms]
    for name in names:
        if name not in SUPPORTED:
            raise ConfigurationError(f"{name} is no supported checksum algorithm: expected {', '.join(SUPPORTED)}")
    _check_works(works, zip_path)
    with writing(zip_path.parent), _part_file(zip_path) as (part, file):
        rid = rid_of(zip_path.name)
        payload = _Payload.of(works, rid)
        _allocate(file, payload.bytes)
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryFile(dir=zip_path.parent))
            archive = ZipWriter(file, directory)
            listings = _Listings(names, zip_path.parent, stack)
            writer = _BagWriter(archive, rid, listings, stack)
            writer.write(payload, progress or _silent)
            archive.finish()
        file.flush()
        os.fsync(file.fileno())
        made = _place(part, zip_path)
    return MadeBag(zip_path, tuple(work.name for work in payload.works), payload.files, payload.bytes, made)


def _check_works(works: Sequence[Path], zip_path: Path) -> None:
    for work in works:
        if not work.is_dir() or not is_work(work):
            raise PathError(f"{shown(str(work))} isn't a work: expected a directory that has {FOLDERS_IN_WORDS}")
        if work.name in WORK_FOLDERS:
            raise PathError(
                f"{shown(str(work))} has the name of a folder of works, so that its bag would be taken for the work: "
                "expected another name"
            )
        # By their real paths: the zip would be bagged while it grows.
        if zip_path.parent.resolve().is_relative_to(work.resolve()):
            raise PathError(f"{shown(str(zip_path))} would lie in the work itself: expected a folder outside of it")
    if len({work.name for work in works}) != len(works):
        raise ConfigurationError("two works have one name: expected each work once")


@contextmanager
def _part_file(zip_path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open the file that the zip grows in, empty and locked; remove it if it isn't placed."""
    part = zip_path.with_name(f"{zip_path.name}.part")
    with closed_whole() as stack:
        with interrupts_held_back():
            file = stack.enter_context(_opened(part))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except (BlockingIOError, FileNotFoundError):
                ours = False
            if not ours:
                raise BusyError(f"{shown(str(zip_path))} is being made by another process: wait until it has ended")
            stack.callback(_remove, part, file)
            file.truncate(0)
        yield part, file


def _opened(part: Path) -> IO[bytes]:
    """Open a file to write to, there or not; never a pipe, or what a link leads to. Raises PathError and OSError."""
    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        # What a link, a folder and a socket answer.
        if error.errno not in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise
    else:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return os.fdopen(fd, "r+b")
        os.close(fd)
    raise PathError(f"{shown(str(part))} is no file: expected nothing there, or what an earlier run left; remove it")


def _remove(part: Path, file: IO[bytes]) -> None:
    """Remove what wasn't placed; where it was, the name may be another process's by now."""
    with suppress(FileNotFoundError):
        if os.path.samestat(part.stat(), os.fstat(file.fileno())):
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
    try:
        rename_to_new(part, zip_path)
    except FileExistsError as error:
        if not zip_path.is_file() or not filecmp.cmp(part, zip_path, shallow=False):
            raise WorkExistsError(
                f"{shown(str(zip_path))} exists already and holds something else: expected nothing there, or the "
                "same bag; move it away, or make the bag in another folder"
            ) from error
        return False
    sync_folder(zip_path.parent)
    return True


def _silent(done: int, in_all: int) -> None:
    del done, in_all


@dataclass(frozen=True)
class _Payload:
    """What is to be bagged, works by their names; files and bytes in all."""

    works: tuple[Path, ...]
    files: int
    bytes: int

    @classmethod
    def of(cls, works: Sequence[Path], bag_name: str) -> _Payload:
        """Go through the works. Raises PathError for one that nobody would find in the bag."""
        files = size = 0

        def listed() -> Iterator[str]:
            nonlocal files, size
            for work in works:
                for name, status in _files(work, f"{bag_name}{BAG_SUFFIX}/"):
                    files += 1
                    size += status.st_size
                    yield f"{PAYLOAD_PREFIX}{work.name}/{name}"

        found = find_works(listed(), bag_name)
        for work in works:
            if work.name not in found:
                raise PathError(
                    f"{shown(str(work))} has no file in {FOLDERS_IN_WORDS}, and a bag holds no empty folders: "
                    "expected a work with files in one of them"
                )
        return cls(tuple(sorted(works, key=lambda work: work.name)), files, size)


def _files(work: Path, bag_prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files of a work by their names in it, sorted; the names of one folder at a time are held."""
    pending = [""]
    while pending:
        name = pending.pop()
        if name and not name.endswith("/"):
            _require_safe(work / name, f"{bag_prefix}{PAYLOAD_PREFIX}{work.name}/{name}")
            yield name, _status(work / name)
        else:
            pending += sorted(_names(work, name), reverse=True)


def _require_safe(path: Path, name: str) -> None:
    """Raise ConfigurationError unless a file's name in the bag is one that is unpacked again."""
    danger = unsafe(name)
    if danger:
        raise ConfigurationError(
            f"{shown(str(path))} has a name in the bag that {danger}: expected one that is safe everywhere, "
            "where backslashes separate folders too; rename it"
        )


def _names(work: Path, prefix: str) -> list[str]:
    """Return the names below a folder of a work, with a slash behind those of folders."""
    try:
        with os.scandir(work / prefix) as entries:
            return [f"{prefix}{entry.name}{'/' * entry.is_dir(follow_symlinks=False)}" for entry in entries]
    except OSError as error:
        raise unreadable(work / prefix, error) from error


def _status(path: Path) -> os.stat_result:
    try:
        status = path.lstat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a special file"
        raise ConfigurationError(f"{shown(str(path))} is {kind}: expected files and folders only")
    return status


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
    def __init__(self, archive: ZipWriter, rid: str, listings: _Listings, stack: ExitStack) -> None:
        self._archive = archive
        self._prefix = f"{rid}{BAG_SUFFIX}/"
        self._listings = listings
        # The file is written in this thread while others hash it.
        self._threads = stack.enter_context(ThreadPoolExecutor(len(listings.algorithms)))

    def write(self, payload: _Payload, progress: Progress) -> None:
        done = files = 0
        for work in payload.works:
            reader = FileReader(os.fspath(work))
            for name, status in _files(work, self._prefix):
                chunks = _read(reader, work, name, status.st_size)
                done += self._add(f"{PAYLOAD_PREFIX}{work.name}/{name}", chunks, int(status.st_mtime))
                files += 1
                progress(done, payload.bytes)
        if (files, done) != (payload.files, payload.bytes):
            raise BusyError(
                f"{' and '.join(shown(str(work)) for work in payload.works)} changed while being bagged: "
                f"{payload.files} files of {payload.bytes} bytes became {files} of {done}; "
                "wait until nobody writes there, then try again"
            )
        manifests = self._listings.take("manifest")
        self._add_text(DECLARATION, "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        self._add_text("bag-info.txt", f"Payload-Oxum: {done}.{files}\n")
        self._add_listings(manifests)
        self._add_listings(self._listings.take("tagmanifest"))

    def _add(self, name: str, chunks: Iterable[memoryview], modified: int) -> int:
        """Write a file, hashing it for the listings; return its size."""
        engines = list(hashers(self._listings.algorithms).values())
        with self._archive.entry(f"{self._prefix}{name}", modified) as entry:
            for chunk in chunks:
                self._hash_and_write(engines, entry, chunk)
        self._listings.add(name, (engine.hexdigest() for engine in engines))
        return entry.size

    def _hash_and_write(self, engines: Sequence[Hasher], entry: EntryWriter, chunk: memoryview) -> None:
        if len(chunk) < _WORTH_A_THREAD:
            for engine in engines:
                engine.update(chunk)
            entry.write(chunk)
            return
        hashing = [self._threads.submit(engine.update, chunk) for engine in engines]
        try:
            entry.write(chunk)
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
