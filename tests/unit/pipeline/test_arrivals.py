"""What lies in a folder that zips are put into."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, write_zip
from tests.support.clocks import look_after
from tests.support.rights import ordinary_rights

from glacier_sync.errors import ConfigurationError
from glacier_sync.pipeline.arrivals import Contents, look_at, look_into

SETTLE = 0.1
END = b"PK\5\6"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "watched"
    made.mkdir()
    return made


def settled(folder: Path) -> Contents:
    """Look once everything was left alone for long enough to be settled, and not long enough to lose patience."""
    time.sleep(SETTLE)
    return look_into(folder, SETTLE)


def patient(folder: Path) -> Contents:
    """Look with a patience that has run out."""
    time.sleep(SETTLE)
    return look_into(folder, SETTLE / 10)


def names(contents: Contents) -> tuple[list[str], list[str], list[str]]:
    return (
        [found.name for found in contents.ready],
        [found.name for found in contents.waiting],
        [found.arrival.name for found in contents.foreign],
    )


def test_a_whole_zip_is_ready_once_it_was_left_alone(folder: Path) -> None:
    bag = BagBuilder().zip(folder)
    assert names(look_into(folder, 60)) == ([], [bag.name], [])
    contents = settled(folder)
    assert names(contents) == ([bag.name], [], [])
    assert contents.ready[0].size == bag.stat().st_size


def test_a_zip_whose_comment_looks_like_an_end_is_whole(folder: Path) -> None:
    path = write_zip(folder / "W1.zip", [ZipEntry(b"a", b"b")])
    comment = b"no " + END + bytes(18) + b"end"
    content = path.read_bytes()
    path.write_bytes(content[:-2] + len(comment).to_bytes(2, "little") + comment)
    assert names(settled(folder)) == (["W1.zip"], [], [])


@pytest.mark.parametrize(
    "cut",
    [lambda data: data[: len(data) // 2], lambda data: data[:-1], lambda data: data[:0], lambda data: bytes(len(data))],
    ids=["half-copied", "all but a byte", "empty", "room that isn't filled yet"],
)
def test_a_zip_without_its_end_is_waited_for_and_then_taken_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cut: Callable[[bytes], bytes]
) -> None:
    path = BagBuilder().zip(folder)
    path.write_bytes(cut(path.read_bytes()))
    look_after(monkeypatch, path, 2 * SETTLE)
    assert names(settled(folder)) == ([], [path.name], [])
    monkeypatch.undo()
    assert names(patient(folder)) == ([path.name], [], [])


def test_a_zip_that_is_written_to_is_waited_for_though_its_time_is_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = BagBuilder().zip(folder)
    time.sleep(SETTLE)
    os.utime(path, (0, 0))
    look_after(monkeypatch, path, SETTLE / 2)
    assert names(look_into(folder, SETTLE)) == ([], [path.name], [])


def test_what_copying_programs_hide_is_passed_over(folder: Path) -> None:
    BagBuilder().zip(folder).rename(folder / ".W1.bag.zip.x7Gh2A")
    assert names(settled(folder)) == ([], [], [])


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("W1.bag.zip", Path.mkdir, "is a folder: expected a zip"),
        ("W1.bag.zip", lambda path: path.symlink_to("/etc/passwd"), "is a link: expected a zip"),
        ("W1.bag.zip", os.mkfifo, "is a named pipe: expected a zip"),
        ("W1.bag.zip", make_socket, "is a socket: expected a zip"),
        ("W1.bag.zip.filepart", Path.touch, r"isn't called \*.bag.zip or \*.zip"),
        ("Thumbs.db", Path.touch, r"isn't called \*.bag.zip or \*.zip"),
        ("W1.BAG.ZIP", Path.touch, r"isn't called \*.bag.zip or \*.zip"),
        ("-rf.bag.zip", Path.touch, "can't be taken: '-rf' can't be a work's RID"),
        ("W1\n[2026] synced.bag.zip", Path.touch, "can't be a work's RID"),
        ("\x1b[2J.zip", Path.touch, "can't be a work's RID"),
    ],
)
def test_what_does_not_belong_there_is_told_and_why(
    folder: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    make(folder / name)
    contents = settled(folder)
    assert names(contents) == ([], [], [name])
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(contents.foreign[0].reason)


def test_a_zip_that_this_user_may_not_read_is_told(folder: Path) -> None:
    BagBuilder().zip(folder).chmod(0)
    with ordinary_rights():
        (foreign,) = settled(folder).foreign
    assert "can't be read by this user" in foreign.reason


def test_names_that_are_not_utf_8_are_kept_byte_for_byte(folder: Path) -> None:
    name = os.fsdecode(b"W1\xff.bag.zip")
    BagBuilder().zip(folder).rename(folder / name)
    (ready,) = settled(folder).ready
    assert os.fsencode(ready.name) == b"W1\xff.bag.zip"


def test_the_one_that_was_left_alone_longest_comes_first(folder: Path) -> None:
    for name in ("W3", "W1", "W2"):
        BagBuilder(name=name).zip(folder)
        time.sleep(0.02)
    assert names(settled(folder))[0] == ["W3.bag.zip", "W1.bag.zip", "W2.bag.zip"]


def test_a_file_that_vanishes_meanwhile_is_no_file(folder: Path) -> None:
    assert look_at(folder / "W1.bag.zip") is None
    (folder / "W1.bag.zip").mkdir()
    assert look_at(folder / "W1.bag.zip") is None


def test_a_file_that_is_put_there_again_has_another_version_with_the_same_etag(folder: Path) -> None:
    path = BagBuilder().zip(folder)
    before = look_at(path)
    content, times = path.read_bytes(), path.stat()
    path.unlink()
    time.sleep(0.02)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = look_at(path)
    assert before
    assert again
    assert again.etag == before.etag
    assert again.version != before.version


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere can't be read \(No such file or directory\)"):
        look_into(tmp_path / "nowhere", SETTLE)


def test_a_folder_that_this_user_may_not_change(folder: Path) -> None:
    folder.chmod(0o555)
    with ordinary_rights(), pytest.raises(ConfigurationError, match="can't be changed by this user"):
        look_into(folder, SETTLE)
