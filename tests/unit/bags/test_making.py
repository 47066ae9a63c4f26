"""Making bags, held against the reference implementation."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from tests.support.bag_builder import SOME_FILES, make_work
from tests.support.rights import ordinary_rights

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError


def test_a_made_bag_is_valid_for_the_reference_implementation(tmp_path: Path) -> None:
    works = [make_work(tmp_path, "W1"), make_work(tmp_path, "W2", {"images/a\nb.jpg": b"x", "images/ཀ.jpg": b"y"})]
    path = tmp_path / "W1.bag.zip"
    bags.make_bag_zip(works, path, algorithms=("md5", "SHA-512"))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    bag = bagit.Bag(str(tmp_path / "out" / "W1.bag"))
    assert bag.validate()
    assert bag.info == {"Payload-Oxum": "11012.5"}
    assert sorted(bag.algorithms) == ["md5", "sha512"]
    (report,) = bags.verify(path, workers=2)
    assert (report.works, report.defects) == (("W1", "W2"), ())


def test_the_same_works_make_the_same_bytes_and_keep_their_times(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1")
    os.utime(work / "sources/readme.txt", (1_000_000_001, 1_000_000_001))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bags.make_bag_zip([work], tmp_path / name / "W1.bag.zip")
    assert (tmp_path / "a/W1.bag.zip").read_bytes() == (tmp_path / "b/W1.bag.zip").read_bytes()
    (unbagged,) = bags.unbag(tmp_path / "a/W1.bag.zip", tmp_path / "to", workers=1)
    assert (unbagged.path / "sources/readme.txt").stat().st_mtime == 1_000_000_001
    assert (unbagged.files, unbagged.bytes) == (3, sum(map(len, SOME_FILES.values())))


def test_what_cant_be_bagged_is_wrong_use_and_leaves_nothing(tmp_path: Path) -> None:
    work = make_work(tmp_path / "a", "W1")
    path = tmp_path / "W1.bag.zip"
    with pytest.raises(bags.PathError, match="isn't a work: expected a directory that has archive"):
        bags.make_bag_zip([tmp_path], path)
    with pytest.raises(ConfigurationError, match="crc32 is no supported checksum algorithm: expected blake2b"):
        bags.make_bag_zip([work], path, algorithms=["crc32"])
    with pytest.raises(ConfigurationError, match="two works have one name"):
        bags.make_bag_zip([work, make_work(tmp_path / "b", "W1")], path)
    (work / "images" / "link").symlink_to(work)
    with pytest.raises(ConfigurationError, match="link is a symbolic link: expected files and folders only"):
        bags.make_bag_zip([work], path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "b"]


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "link to a file": (lambda work: (work / "images/link").symlink_to("I1/0001.jpg"), "link is a symbolic link"),
    "link to a folder": (lambda work: (work / "images/link").symlink_to("I1"), "link is a symbolic link"),
    "pipe": (lambda work: os.mkfifo(work / "images/pipe"), "pipe is a special file"),
    "name that climbs": (
        lambda work: (work / "images/..\\..\\x").touch(),
        r"x has a name in the bag that climbs out with '..': expected one that is safe everywhere, where backslashes",
    ),
    "no file": (
        lambda work: shutil.rmtree(work) or (work / "images").mkdir(parents=True),
        "W1 has no file in archive, ",
    ),
    "no file where a work has them": (
        lambda work: shutil.rmtree(work) or (work / "images").mkdir(parents=True) or (work / "notes.txt").touch(),
        "W1 has no file in archive, images, sources, eBooks or sync-inventory, and a bag holds no empty folders: ",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_would_make_a_bag_that_is_refused_later_is_not_bagged(name: str, tmp_path: Path) -> None:
    change, expected = ODD[name]
    work = make_work(tmp_path / "from", "W1")
    change(work)
    with pytest.raises(ConfigurationError, match=expected):
        bags.make_bag_zip([work], tmp_path / "W1.bag.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


def test_names_that_other_systems_have_trouble_with_are_bagged_byte_for_byte(tmp_path: Path) -> None:
    names = ["a\\b", "C:x", "\\x", "CON", "a\x1bb", "a\nb", " ", "-rf", "\udcff", "e\u0301", "\u00e9", "x" * 255]
    files = {f"images/{name}": name.encode("utf-8", "surrogateescape") for name in names}
    bags.make_bag_zip([make_work(tmp_path, "W1", files)], tmp_path / "W1.bag.zip")
    (work,) = bags.unbag(tmp_path / "W1.bag.zip", tmp_path / "to", workers=1)
    assert {f"images/{path.name}": path.read_bytes() for path in (work.path / "images").iterdir()} == files


def test_more_files_than_a_zip_without_zip64_can_count(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1", {"images/0": b"page", "images/1": b"another"})
    for number in range(2, 0x10000):
        # A file has 65,000 names at most.
        os.link(work / f"images/{number % 2}", work / f"images/{number}")
    made = bags.make_bag_zip([work], tmp_path / "W1.bag.zip")
    assert made.files == 0x10000
    assert b"PK\6\6" in made.path.read_bytes()[-200:]
    with zipfile.ZipFile(made.path) as archive:
        assert len(archive.infolist()) == 0x10000 + 6
    (report,) = bags.verify(made.path, workers=2)
    assert (report.files, report.defects) == (0x10000, ())


READS = """
import collections, pathlib, sys
opened = collections.Counter()
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".jpg"):
        opened[pathlib.Path(arguments[0]).name] += 1
from glacier_sync import bags
sys.addaudithook(hook)
bags.make_bag_zip([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]), algorithms=("sha256", "sha512", "md5"))
print(*sorted(opened.items()))
"""


def test_each_file_is_read_once_whatever_the_algorithms(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1", {f"images/{number}.jpg": bytes(300_000) for number in range(3)})
    path = tmp_path / "W1.bag.zip"
    done = subprocess.run([sys.executable, "-c", READS, work, path], check=True, capture_output=True, text=True)
    assert done.stdout == "('0.jpg', 1) ('1.jpg', 1) ('2.jpg', 1)\n"


def test_sha256_and_sha512_are_the_default_whatever_the_files_sizes(tmp_path: Path) -> None:
    files = {f"images/I1/{size}.tif": os.urandom(size) for size in (0, 1, 2**17 - 1, 2**17, 2**18, 3 * 2**18 + 5)}
    path = tmp_path / "W1.bag.zip"
    made = bags.make_bag_zip([make_work(tmp_path, "W1", files)], path)
    assert made == bags.MadeBag(path, ("W1",), 6, sum(map(len, files.values())), made=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    bag = bagit.Bag(str(tmp_path / "out" / "W1.bag"))
    assert bag.validate()
    assert sorted(bag.algorithms) == ["sha256", "sha512"]
    (report,) = bags.verify(path, workers=1)
    assert (report.defects, report.warnings) == ((), ())


def test_the_order_and_place_of_the_works_change_nothing(tmp_path: Path) -> None:
    works = [make_work(tmp_path / "b", "W1"), make_work(tmp_path / "a", "W2")]
    for work in works:
        for path in work.rglob("*"):
            os.utime(path, (1e9, 1e9))
    bags.make_bag_zip(works, tmp_path / "W1.bag.zip")
    assert not bags.make_bag_zip(works[::-1], tmp_path / "W1.bag.zip").made


def test_a_zip_that_is_there_stays_and_must_be_the_same(tmp_path: Path) -> None:
    work, path = make_work(tmp_path, "W1"), tmp_path / "W1.bag.zip"
    bags.make_bag_zip([work], path)
    before = path.stat()
    assert not bags.make_bag_zip([work], path).made
    (work / "images/I1/0001.jpg").write_bytes(b"another page")
    with pytest.raises(bags.WorkExistsError, match=r"W1\.bag\.zip exists already and holds something else"):
        bags.make_bag_zip([work], path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["W1", "W1.bag.zip"]


def test_progress_ends_with_all_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    work = make_work(tmp_path, "W1")
    bags.make_bag_zip([work], tmp_path / "W1.bag.zip", progress=lambda done, in_all: seen.append((done, in_all)))
    total = sum(map(len, SOME_FILES.values()))
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)


def test_a_zip_in_the_work_itself_is_refused(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1")
    with pytest.raises(bags.PathError, match="would lie in the work itself"):
        bags.make_bag_zip([work], work / "W1.bag.zip")
    (tmp_path / "to").symlink_to(work / "images")
    (tmp_path / "link").symlink_to(work)
    for source in (work, tmp_path / "link"):
        with pytest.raises(bags.PathError, match="would lie in the work itself"):
            bags.make_bag_zip([source], tmp_path / "to" / "W1.bag.zip")


def test_a_zip_beside_the_work_may_be_named_by_a_path_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_work(tmp_path, "W1")
    monkeypatch.chdir(work)
    assert bags.make_bag_zip([work], Path("../W1.bag.zip")).made
    assert (tmp_path / "W1.bag.zip").is_file()


def test_two_processes_dont_make_one_zip(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1")
    with (tmp_path / "W1.bag.zip.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(bags.BusyError, match=r"W1\.bag\.zip is being made by another process"):
            bags.make_bag_zip([work], tmp_path / "W1.bag.zip")
    assert bags.make_bag_zip([work], tmp_path / "W1.bag.zip").made


@pytest.mark.parametrize(
    "call", ["os.fsync", "glacier_sync.bags.making.rename_to_new", "tempfile.TemporaryFile", "os.preadv"]
)
def test_a_zip_is_complete_or_absent_after_a_kill(tmp_path: Path, call: str) -> None:
    work, path = make_work(tmp_path, "W1"), tmp_path / "W1.bag.zip"
    script = (
        "import os, signal, tempfile, sys, pathlib\nimport glacier_sync.bags.making\nfrom glacier_sync import bags\n"
        f"{call} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bags.make_bag_zip([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]))"
    )
    done = subprocess.run([sys.executable, "-c", script, work, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    assert bags.make_bag_zip([work], path).made
    assert sorted(item.name for item in tmp_path.iterdir()) == ["W1", "W1.bag.zip"]


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "folder", "socket"])
def test_the_zip_grows_in_a_file_only(tmp_path: Path, kind: str) -> None:
    work, victim, part = make_work(tmp_path, "W1"), tmp_path / "victim", tmp_path / "W1.bag.zip.part"
    victim.write_text("victim")
    if kind == "pipe":
        os.mkfifo(part)
    elif kind == "socket":
        os.mknod(part, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        part.mkdir()
    else:
        part.symlink_to(victim if kind == "link" else tmp_path / "nothing")
    with pytest.raises(bags.PathError, match=r"W1\.bag\.zip\.part is no file"):
        bags.make_bag_zip([work], tmp_path / "W1.bag.zip")
    assert victim.read_text() == "victim"
    assert {item.name for item in tmp_path.iterdir()} == {"W1", "victim", part.name}


def test_a_work_that_is_named_as_a_folder_of_works_would_come_out_as_another(tmp_path: Path) -> None:
    with pytest.raises(bags.PathError, match="images has the name of a folder of works, so that its bag would be"):
        bags.make_bag_zip([make_work(tmp_path, "images")], tmp_path / "images.bag.zip")


def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir(mode=0o555)
    work = make_work(tmp_path, "W1")
    with ordinary_rights(), pytest.raises(bags.FolderError):
        bags.make_bag_zip([work], tmp_path / "to" / "W1.bag.zip")
