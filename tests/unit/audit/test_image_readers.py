from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.support.images import draw_jpeg, draw_tiff, draw_work

from glacier_sync.audit import ImageReaders, Outcome, Properties, audit_work, image_readers
from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.image_readers import ReadersNotStartedError

IN_OPEN, IN_ISDIR = 0x20, 0x40000000
BAD_WORKER = [sys.executable, str(Path(__file__).parents[2] / "support" / "bad_image_worker.py")]


def children() -> set[int]:
    """This process's children that are alive."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(folder.name))
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_facts_are_in_the_order_of_the_images(tmp_path: Path, workers: int) -> None:
    tiff, jpeg = draw_tiff(tmp_path / "a.tif"), draw_jpeg(tmp_path / "a.jpg")
    images = [tiff if n % 3 else jpeg for n in range(501)]
    with ImageReaders(workers) as readers:
        for _ in range(2):
            formats = [facts.format for facts in readers.examine(images)]
            assert formats == ["TIFF" if n % 3 else "JPEG" for n in range(501)]
            assert len(readers._readers) == workers


def test_few_images_need_one_process_and_none_needs_none(tmp_path: Path) -> None:
    before = children()
    with ImageReaders(8) as readers:
        assert readers.examine([]) == []
        assert children() == before
        readers.examine([draw_tiff(tmp_path / "a.tif")] * 250)
        assert len(children() - before) == 1
    assert children() == before


def test_names_of_any_bytes_and_of_any_length(tmp_path: Path) -> None:
    names = [b"\xff\xfe", "ཀ་བ".encode(), b"a\nb", b"x" * 250]
    paths = [Path(os.fsdecode(bytes(tmp_path) + b"/" + name)) for name in names]
    deep = tmp_path.joinpath(*["y" * 250] * 12)
    paths.append(deep / "z.tif")
    drawn = draw_tiff(tmp_path / "a.tif")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(drawn)
    with ImageReaders(1) as readers:
        assert readers.examine(paths * 20) == [ImageFacts("TIFF")] * 100


@pytest.mark.parametrize(
    ("name", "seconds", "reason"),
    [
        ("crash", 60, "it crashed the program that reads images (SIGSEGV)"),
        ("leave", 60, "it crashed the program that reads images (exit status 3)"),
        ("hang", 15, "it couldn't be read within 15 seconds"),
        ("killed", 60, "it crashed the program that reads images (SIGKILL)"),
    ],
)
def test_an_image_that_stops_its_reader_is_found_and_the_others_are_read(
    tmp_path: Path, name: str, seconds: float, reason: str
) -> None:
    images = [draw_tiff(tmp_path / f"{n}.tif") for n in range(20)]
    bad = draw_tiff(tmp_path / f"{name}.tif")
    with ImageReaders(1, seconds=seconds, command=BAD_WORKER) as readers:
        facts = readers.examine([*images[:7], bad, *images[7:]])
    assert facts == [*[ImageFacts("TIFF")] * 7, ImageFacts.of_none(reason), *[ImageFacts("TIFF")] * 13]


def test_an_image_is_read_once_more_if_its_reader_was_killed(tmp_path: Path) -> None:
    """As the system does when it is short of memory, whichever process it is that takes it."""
    images = [draw_tiff(tmp_path / f"{n}.tif") for n in range(5)]
    with ImageReaders(1, command=BAD_WORKER) as readers:
        facts = readers.examine([*images, draw_tiff(tmp_path / "killed once.tif"), *images])
    assert facts == [ImageFacts("TIFF")] * 11


@pytest.mark.parametrize(
    "command", [["/bin/sh", "-c", "exit 7"], ["/bin/sh", "-c", "sleep 60"]], ids=["ends", "says nothing"]
)
def test_readers_that_do_not_start_are_the_failure_of_the_tests_that_need_them(
    tmp_path: Path, command: list[str]
) -> None:
    work = draw_work(tmp_path)
    with ImageReaders(2, seconds=0.05, command=command) as readers:
        with pytest.raises(ReadersNotStartedError, match="doesn't start"):
            readers.examine([work / "archive" / "x.jpg"])
        report = audit_work(work, Properties.load({}), readers)
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    assert len(failed) == 5
    assert {finding.number for result in failed for finding in result.findings} == {114}
    assert "doesn't start" in failed[0].findings[0].message


def test_a_reader_that_was_killed_while_it_had_nothing_to_do_is_replaced(tmp_path: Path) -> None:
    path = draw_tiff(tmp_path / "a.tif")
    with ImageReaders(1) as readers:
        assert readers.examine([path]) == [ImageFacts("TIFF")]
        os.kill(readers._readers[0]._process.pid, signal.SIGKILL)
        assert readers.examine([path, path])[1] == ImageFacts("TIFF")


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_readers_go_with_the_audit_that_was_killed(tmp_path: Path) -> None:
    path = draw_tiff(tmp_path / "a.tif")
    read, write = os.pipe()
    auditor = os.fork()
    if not auditor:
        try:
            readers = ImageReaders(1)
            readers.examine([path])
            os.write(write, b"%d" % readers._readers[0]._process.pid)
            time.sleep(60)
        finally:
            # Beyond this it would be a second pytest, and kill process 0: the whole group.
            os._exit(1)
    os.close(write)
    reader = psutil.Process(int(os.read(read, 20)))
    os.kill(auditor, signal.SIGKILL)
    os.waitpid(auditor, 0)
    os.close(read)
    for _ in range(1200):
        if not lives(reader):
            return
        time.sleep(0.05)
    pytest.fail("the reader lives on without its audit")


def _audit(work: Path, outcome: str) -> None:
    with ImageReaders(2) as readers:
        Path(outcome).write_text(audit_work(work, Properties.load({}), readers).outcome)


def test_it_works_in_a_process_that_may_have_no_children_of_multiprocessing(tmp_path: Path) -> None:
    # As a worker of Celery's is.
    work = draw_work(tmp_path)
    process = multiprocessing.get_context("spawn").Process(
        target=_audit, args=(work, str(tmp_path / "outcome")), daemon=True
    )
    process.start()
    process.join(60)
    assert (tmp_path / "outcome").read_text() == "Passed"


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json.py", "PIL.py", "glacier_sync.py"):
        (tmp_path / name).write_text("raise SystemExit('a work was run as a program')")
    monkeypatch.chdir(tmp_path)
    with ImageReaders(1) as readers:
        assert readers.examine([draw_tiff(tmp_path / "a.tif")]) == [ImageFacts("TIFF")]


def opened(watch: int) -> list[str]:
    """The names of files that were opened since the watch began, as inotify(7) tells them."""
    content = os.read(watch, 1 << 20)
    names, place = [], 0
    while place < len(content):
        mask, _, length = struct.unpack_from("III", content, place + 4)
        if not mask & IN_ISDIR:
            names.append(content[place + 16 : place + 16 + length].rstrip(b"\0").decode())
        place += 16 + length
    return names


def test_each_image_is_opened_once_for_all_tests(tmp_path: Path) -> None:
    work = draw_work(tmp_path, images=5)
    library = ctypes.CDLL(None)
    watch = library.inotify_init1(0)
    for parent in ("archive", "images"):
        library.inotify_add_watch(watch, os.fsencode(work / parent / "W1TEST-I0001"), IN_OPEN)
    with ImageReaders(1) as readers:
        assert len(audit_work(work, Properties.load({}), readers).results) == 10
    names = opened(watch)
    os.close(watch)
    assert sorted(names) == [f"I0001{n:04d}.{extension}" for n in range(1, 6) for extension in ("jpg", "tif")]


def test_the_default_is_a_process_for_each_core_but_not_too_many() -> None:
    assert ImageReaders()._workers == min(len(os.sched_getaffinity(0)), image_readers._MOST_WORKERS)
