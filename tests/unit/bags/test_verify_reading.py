"""Verifying bags: what can't be read, what is no bag at all, and how progress is told."""

from __future__ import annotations

import errno
import os
import re
import resource
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.bag_builder import BagBuilder, ZipEntry, write_zip
from tests.support.rights import ordinary_rights

from glacier_sync import bags

PAGE = "data/W1/images/I1/0001.jpg"
SHA = "manifest-sha512.txt"

Write = Callable[[BagBuilder, Path], Path]


def defects_of(path: Path) -> list[str]:
    (report,) = bags.verify(path, workers=2)
    return [str(defect).removeprefix("W1.bag/") for defect in report.defects]


def test_links_and_special_files_are_refused_and_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"first page")
    bag = BagBuilder(info="").folder(tmp_path)
    (bag / PAGE).unlink()
    (bag / PAGE).symlink_to(secret)
    os.mkfifo(bag / "data/W1/images/pipe")
    assert defects_of(bag) == [
        "data/W1/images/I1/0001.jpg: is a symbolic link: expected files and folders only",
        "data/W1/images/pipe: is a special file: expected files and folders only",
        f"data/W1/images/pipe: isn't listed in {SHA}",
    ]


@pytest.mark.parametrize("large", [0, 40 << 20], ids=["in this process", "by workers"])
@pytest.mark.parametrize("name", [PAGE, SHA, "data/W1", "data/W1/images/I1/large"])
def test_what_cant_be_read_is_an_error_and_no_defect(name: str, large: int, tmp_path: Path) -> None:
    # A page that is wrong as well says nothing of what nobody could read.
    bag = BagBuilder(overrides={"data/W1/images/I1/0002.jpg": b"wrong"})
    bag.payload["W1/images/I1/large"] = bytes(large)
    folder = bag.folder(tmp_path)
    (folder / name).chmod(0)
    with ordinary_rights(), pytest.raises(bags.UnreadableError) as caught:
        bags.verify(folder, workers=2)
    (folder / name).chmod(0o700)
    assert str(caught.value) == (
        f"{folder / name} can't be read (Permission denied), so nothing is known about its bag: "
        "make it readable, then try again"
    )


def test_a_machine_that_fails_is_an_error_and_no_defect(write: Write, tmp_path: Path) -> None:
    # A limit of this process on open files stands in for a disk that fails.
    bag = write(BagBuilder(), tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(bags.UnreadableError, match=r"can't be read \(Too many open files\)") as caught:
            bags.verify(bag, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.exit_status == 3


# More than is held of a central directory, so that it is read again while the bag is judged.
MANY_FIELDS = struct.pack("<HH", 0x7777, 0) * 11_000
LARGE = BagBuilder(payload={f"W1/images/{number}": b"x" for number in range(10)})
FORMS: dict[str, list[ZipEntry] | None] = {
    "with an entry of a folder": [*BagBuilder().entries(), ZipEntry(b"W1.bag/data/W1/archive/", mode=0o40755)],
    "with a large directory": [replace(entry, extra=MANY_FIELDS) for entry in LARGE.entries()],
    "that is none": None,
}


@contextmanager
def before(reading: int, act: Callable[[int], object]) -> Iterator[list[str]]:
    """Do something to the zip's descriptor before it is read for so many times; yield the calls until then."""
    calls: list[str] = []

    def acting(call: Callable[..., Any]) -> Callable[..., Any]:
        def read(fd: int, *arguments: Any) -> Any:
            if len(calls) == reading:
                act(fd)
            calls.append(call.__name__)
            return call(fd, *arguments)

        return read

    with pytest.MonkeyPatch.context() as patch:
        for call in (os.pread, os.preadv):
            patch.setattr(os, call.__name__, acting(call))
        yield calls


@contextmanager
def away_from(reading: int) -> Iterator[list[str]]:
    """Take the zip away from under its descriptor when it is read for so many times; yield the calls until then."""
    folder = os.open("/", os.O_RDONLY)
    with before(reading, lambda fd: os.dup2(folder, fd)) as calls:
        yield calls
    os.close(folder)


@contextmanager
def bad_block(first: int, length: int) -> Iterator[None]:
    """Have the disk fail in one place, as Linux tells it: a read that reaches it ends before it."""
    pread, preadv = os.pread, os.preadv

    def readable(offset: int, wanted: int) -> int:
        if first <= offset < first + length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return min(wanted, first - offset) if offset < first else wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, wanted, offset: pread(fd, readable(offset, wanted), offset))
        patch.setattr(
            os, "preadv", lambda fd, rooms, offset: preadv(fd, [rooms[0][: readable(offset, len(rooms[0]))]], offset)
        )
        yield


@pytest.mark.parametrize("form", FORMS)
def test_whichever_read_of_a_zip_fails_is_an_error_and_no_defect(form: str, tmp_path: Path) -> None:
    path = tmp_path / "W1.bag.zip"
    path.write_bytes(b"some text")
    entries = FORMS[form]
    if entries is not None:
        write_zip(path, entries)
    with away_from(-1) as calls:
        bags.verify(path, workers=1)
    for reading in range(len(calls)):
        with away_from(reading), pytest.raises(bags.UnreadableError, match=r"can't be read \(Is a directory\)"):
            bags.verify(path, workers=1)


def test_wherever_a_disk_fails_is_an_error_and_no_defect(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "W1.bag.zip", FORMS["with a large directory"] or [])
    length = 4096
    for first in range(0, path.stat().st_size, length):
        with bad_block(first, length), pytest.raises(bags.UnreadableError, match="Input/output error"):
            bags.verify(path, workers=1)


def test_a_zip_that_is_cut_off_while_it_is_read_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "W1.bag.zip"
    entries = FORMS["with a large directory"] or []
    write_zip(path, entries)
    with before(-1, os.close) as calls:
        bags.verify(path, workers=1)
    for reading in range(len(calls)):
        write_zip(path, entries)
        with before(reading, lambda _: os.truncate(path, 1000)):
            try:
                found = [str(defect) for report in bags.verify(path, workers=1) for defect in report.defects]
            except bags.UnreadableError as error:
                found = [str(error)]
        assert any("cut off" in each for each in found), (reading, found)


CHANGED: dict[str, Callable[[bytes], bytes]] = {
    "name": lambda data: data.replace(b"W1.bag/data/W1/images/3", b"W1.bag/../../../../evil"),
    "length of a name": lambda data: re.sub(b"(?s)(PK\1\2.{24}).", lambda found: found[1] + b"\xff", data),
    "all": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_zip_whose_directory_is_changed_while_it_is_read_is_told_as_such(change: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / "W1.bag.zip"
    path.parent.mkdir()
    entries = FORMS["with a large directory"] or []
    whole = write_zip(path, entries).read_bytes()
    start = whole.index(b"PK\1\2")

    def write(_: int) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(CHANGED[change](whole[start:-22]))

    with before(-1, os.close) as calls:
        bags.verify(path, workers=1)
    found = Counter[str]()
    for reading in range(len(calls)):
        path.write_bytes(whole)
        with before(reading, write):
            try:
                found.update("valid" if not report.defects else "invalid" for report in bags.verify(path, workers=1))
            except bags.UnreadableError as error:
                found["changed"] += "it was changed while it was read" in str(error)
    assert found.total() == len(calls)
    assert min(found["changed"], found["invalid"]) > 0


def test_nothing_is_said_of_a_zip_that_cant_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = BagBuilder(overrides={"data/W1/images/I1/0001.jpg": b"first pagX"}).zip(tmp_path)
    place = path.read_bytes().index(b"first pagX")
    read, times = os.preadv, 0

    def failing(fd: int, buffers: list[memoryview], offset: int) -> int:
        nonlocal times
        times += offset <= place < offset + sum(map(len, buffers))
        if times > 1:
            raise OSError(5, "Input/output error")
        return read(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    ((defect,),) = (report.defects for report in bags.verify(path, workers=1))
    assert times > 1
    assert "CRC-32" not in str(defect)


def test_what_is_no_bag_is_reported_as_an_invalid_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.zip").write_bytes(b"some text")
    (tmp_path / "empty.zip").write_bytes(b"")
    assert defects_of(tmp_path / "folder") == ["folder: is a directory without bagit.txt and data/: expected a bag"]
    assert defects_of(tmp_path / "text.zip") == [
        "text.zip: is no zip: it has no end of its central directory: expected a whole zip"
    ]
    assert defects_of(tmp_path / "empty.zip") == ["empty.zip: is empty: expected a zip"]


@pytest.mark.parametrize(("below", "path"), [("", "."), ("data", ".."), ("data/W1", "../.."), ("", "data/..")])
def test_a_bag_has_its_own_name_however_its_path_is_given(
    below: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The payload is a work itself, which has the bag's name.
    bag = BagBuilder(payload={"images/1.jpg": b"1", "W1/sources/1.txt": b"1"}).folder(tmp_path)
    monkeypatch.chdir(bag / below)
    (report,) = bags.verify(Path(path), workers=1)
    assert (report.name, report.works, report.defects) == ("W1", ("W1",), ())


def test_a_path_that_isnt_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(bags.PathError, match=r"doesn't exist: expected a bag, a directory or a zip; correct the path"):
        bags.verify(tmp_path / "absent", workers=1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(bags.PathError, match="neither a directory nor a file"):
        bags.verify(tmp_path / "pipe", workers=1)


def test_the_error_shows_the_first_defects_and_has_all() -> None:
    defects = [bags.MissingFile(f"data/{number}\n", SHA, "sha512", "0" * 128) for number in range(5)]
    error = bags.InvalidBagError(Path("W1.bag.zip"), defects)
    assert str(error) == (
        "W1.bag.zip is not a valid bag, 5 defects: "
        + "; ".join(f"data/{number}\\n: is listed in {SHA}, but isn't in the bag" for number in range(3))
        + "; and 2 more"
    )
    assert error.defects == tuple(defects)
    assert error.further_defects == tuple(defects[3:])
    assert error.cause.count("\n") == 4


def test_progress_is_told_in_the_callers_thread_and_ends_complete(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    bag = BagBuilder(payload={"W1/images/large": b"x" * 3_000_000})
    bags.verify(bag.zip(tmp_path), workers=2, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] == sum(map(len, bag.files().values()))


def test_an_exception_in_progress_ends_the_work(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bags.verify(BagBuilder().zip(tmp_path), workers=2, progress=stop)
