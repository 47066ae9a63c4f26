"""Files read by blocks: whole whatever their size was said to be, and the system's memory left as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glacier_sync.hashing.files import FileReader
from glacier_sync.hashing.memory import ReadAhead, is_in_memory

BLOCK = 256 * 1024
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]


def read(folder: Path, name: str, size: int, *, drop_cache: bool = False) -> bytes:
    return b"".join(map(bytes, FileReader(str(folder), drop_cache=drop_cache).chunks(name, size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("said", SIZES)
def test_a_file_is_read_to_its_end_whatever_size_was_said(tmp_path: Path, size: int, said: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert read(tmp_path, "file", said) == data


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"link|seek"):
            read(tmp_path, name, 4)


def in_memory(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_in_memory(fd, 0)
    finally:
        os.close(fd)


def dropped(path: Path) -> Path:
    """Drop a file from the system's memory; skip the test where that can't be told."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if is_in_memory(fd, 0):
        pytest.skip("this file system doesn't drop what is in memory, or doesn't tell")
    os.close(fd)
    return path


def read_all(folder: Path, data: dict[str, bytes], cold: set[str]) -> set[str]:
    """Read files that were announced, some of which aren't in memory before; return those that are afterwards."""
    for name, content in data.items():
        (folder / name).write_bytes(content)
    for name in cold:
        dropped(folder / name)
    reader = FileReader(str(folder))
    reader.announce([(name, len(content)) for name, content in data.items()])
    for name, content in data.items():
        assert b"".join(map(bytes, reader.chunks(name, len(content)))) == content
    reader.close()
    return {name for name in data if in_memory(folder / name)}


def test_what_was_not_in_memory_is_not_left_there_and_what_was_stays(tmp_path: Path) -> None:
    data = {f"{number:03}": os.urandom(30_000 if number else 3 * BLOCK) for number in range(80)}
    cold = set(list(data)[:50])
    assert read_all(tmp_path, data, cold) == data.keys() - cold


def test_of_files_that_follow_others_in_memory_only_few_small_ones_are_left_there(tmp_path: Path) -> None:
    data = {f"{number:03}": os.urandom(3 * BLOCK if number == 40 else 30_000) for number in range(80)}
    cold = set(list(data)[40:])
    left = read_all(tmp_path, data, cold) & cold
    assert "040" not in left
    assert len(left) < 16


def test_with_drop_cache_nothing_is_taken_from_memory_nor_left_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    dropped(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert in_memory(tmp_path / "file")
    assert read(tmp_path, "file", 4, drop_cache=True) == b"data"
    assert not in_memory(tmp_path / "file")


def test_a_long_stretch_is_asked_for_and_dropped_by_parts(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(40 << 20))
    dropped(path)
    fd = os.open(path, os.O_RDONLY)
    ahead = ReadAhead(fd, 0, 40 << 20)
    for offset in range(0, 40 << 20, 1 << 20):
        assert len(os.pread(fd, 1 << 20, offset)) == 1 << 20
        ahead.read_up_to(offset + (1 << 20))
    assert not in_memory(path)
    assert is_in_memory(fd, (40 << 20) - 1)
    ahead.close()
    assert not is_in_memory(fd, (40 << 20) - 1)
    os.close(fd)
