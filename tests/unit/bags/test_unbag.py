"""Unpacking: works in their places, verified, all or none, whatever happens on the way."""

from __future__ import annotations

import os
import re
import resource
import struct
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.bag_builder import SOME_FILES, BagBuilder, ZipEntry, write_zip
from tests.support.rights import ordinary_rights

from glacier_sync import bags
from glacier_sync.bags.inspection import inspect
from glacier_sync.bags.reading import Target, read_bags
from glacier_sync.bags.workspace import workspace
from glacier_sync.bags.zips import ZipSource


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, by relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_work_is_unpacked_with_the_tag_files_of_its_bag(tmp_path: Path) -> None:
    bag = BagBuilder(name="Bag", tags={"meta/notes.txt": b"notes"})
    to = tmp_path / "new" / "to"
    (work,) = bags.unbag(bag.zip(tmp_path), to, workers=2)
    assert work == bags.UnbaggedWork("W1", to / "W1", to / "W1" / "W1.bag", 3, 11_010)
    assert tree(to / "W1") == {
        **SOME_FILES,
        **{f"W1.bag/{name}": data for name, data in bag.files().items() if not name.startswith("data/")},
    }
    assert list(to.iterdir()) == [to / "W1"]


def test_a_bag_whose_payload_is_a_work_names_it_up_to_the_first_dot(tmp_path: Path) -> None:
    bag = BagBuilder(name="W9.2024", payload=dict(SOME_FILES))
    (work,) = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
    assert (work.rid, work.bag_dir) == ("W9", tmp_path / "to/W9/W9.bag")
    assert SOME_FILES.items() <= tree(work.path).items()


def test_several_works_have_the_tag_files_beside_them(tmp_path: Path) -> None:
    bag = BagBuilder(name="Bag", payload={"W1/images/1": b"1", "W2/W2-I7/images/2": b"22"})
    to = tmp_path / "to"
    works = bags.unbag(bag.zip(tmp_path), to, workers=2)
    assert [(work.rid, work.path, work.bag_dir, work.files, work.bytes) for work in works] == [
        ("W1", to / "W1", to / "Bag.bag", 1, 1),
        ("W2", to / "W2", to / "Bag.bag", 1, 2),
    ]
    assert tree(to / "W2") == {"W2-I7/images/2": b"22"}
    assert set(tree(to / "Bag.bag")) == {name for name in bag.files() if not name.startswith("data/")}


def test_several_bags_are_unpacked_together(tmp_path: Path) -> None:
    builders = [BagBuilder(name=rid, payload={f"{rid}/images/1": rid.encode()}) for rid in ("W1", "W2")]
    path = write_zip(tmp_path / "both.zip", [entry for bag in builders for entry in bag.entries()])
    works = bags.unbag(path, tmp_path / "to", workers=2)
    assert [(work.rid, (work.path / "images/1").read_bytes()) for work in works] == [("W1", b"W1"), ("W2", b"W2")]
    builders[1].overrides["data/W2/images/1"] = b"?"
    path = write_zip(tmp_path / "both.zip", [entry for bag in builders for entry in bag.entries()])
    with pytest.raises(bags.InvalidBagError):
        bags.unbag(path, tmp_path / "none", workers=2)
    assert not (tmp_path / "none").exists()


def test_a_work_that_was_in_a_bag_before_keeps_that_bags_tag_files(tmp_path: Path) -> None:
    to = tmp_path / "to"
    (first,) = bags.unbag(BagBuilder().zip(tmp_path), to, workers=1)
    before = tree(first.bag_dir)
    bag = BagBuilder(payload={f"W1/{name}": data for name, data in tree(first.path).items()})
    (second,) = bags.unbag(bag.zip(tmp_path), to, workers=1, replace=True)
    assert tree(second.bag_dir / "W1.bag") == before
    assert second.files == 3 + len(before)
    expected = bags.expected_files(second.bag_dir, "W1")
    assert not bags.compare(second.path, expected, workers=1, drop_cache=False)
    (second.bag_dir / "W1.bag" / "bagit.txt").write_bytes(b"?")
    assert bags.compare(second.path, expected, workers=1, drop_cache=False).changed == ("W1.bag/W1.bag/bagit.txt",)


def test_empty_folders_of_a_work_are_kept(tmp_path: Path) -> None:
    entries = [*BagBuilder().entries(), ZipEntry(b"W1.bag/data/W1/archive/empty/", mode=0o40755)]
    (work,) = bags.unbag(write_zip(tmp_path / "W1.bag.zip", entries), tmp_path / "to", workers=1)
    assert (work.path / "archive/empty").is_dir()


PLACEMENTS = {
    "no work": (
        {"notes.txt": b"x"},
        "W1.bag/: holds no work: expected one in data/, a folder with archive, images, sources, eBooks "
        "or sync-inventory",
    ),
    "stray file": (
        {"W1/images/1": b"1", "notes.txt": b"x"},
        "W1.bag/data/notes.txt: belongs to no work, and would be lost: expected works only",
    ),
    "stray folder": (
        {"W1/images/1": b"1", "other/notes.txt": b"x"},
        "W1.bag/data/other/notes.txt: belongs to no work, and would be lost: expected works only",
    ),
    "no RID": (
        {"W1/images/1": b"1", "W2.old/images/1": b"x"},
        "W1.bag/data/W2.old/images/1: belongs to no work, and would be lost: expected works only",
    ),
}


@pytest.mark.parametrize("name", PLACEMENTS)
def test_nothing_is_lost_silently(name: str, tmp_path: Path) -> None:
    payload, expected = PLACEMENTS[name]
    path = BagBuilder(payload=payload).zip(tmp_path)
    assert bags.verify(path, workers=1)[0].defects == ()
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(path, tmp_path / "to", workers=1)
    assert [str(defect) for defect in caught.value.defects] == [expected]
    assert not (tmp_path / "to").exists()


def test_one_work_in_two_bags_is_refused(tmp_path: Path) -> None:
    entries = [entry for name in ("A", "B") for entry in BagBuilder(name=name).entries()]
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(write_zip(tmp_path / "AB.zip", entries), tmp_path / "to", workers=1)
    found = "B.bag/data/W1/: is the work W1, which another bag has too: expected each work once"
    assert found in map(str, caught.value.defects)


def test_an_invalid_bag_tells_all_its_defects(tmp_path: Path) -> None:
    changed = {"data/W1/images/I1/0001.jpg": b"?", "data/W1/images/new": b"new"}
    with pytest.raises(bags.InvalidBagError) as caught:
        bags.unbag(BagBuilder(info="", overrides=dict(changed)).zip(tmp_path), tmp_path / "to", workers=2)
    assert [type(defect) for defect in caught.value.defects] == [bags.UnlistedFile, bags.ChecksumMismatch]


def test_a_work_that_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    to = tmp_path / "to"
    (to / "W1").mkdir(parents=True)
    (to / "W1" / "mine.txt").write_text("mine")
    (to / "other.txt").write_text("other")
    path = BagBuilder().zip(tmp_path)
    with pytest.raises(bags.WorkExistsError, match=re.escape(f"{to / 'W1'} exists already: expected nothing there")):
        bags.unbag(path, to, workers=1)
    assert tree(to) == {"W1/mine.txt": b"mine", "other.txt": b"other"}
    bags.unbag(path, to, workers=1, replace=True)
    assert "W1/mine.txt" not in tree(to)
    assert sorted(to.iterdir()) == [to / "W1", to / "other.txt"]
    bags.unbag(path, to, workers=1, replace=True)
    assert sorted(to.iterdir()) == [to / "W1", to / "other.txt"]


def test_a_replacement_that_is_invalid_replaces_nothing(tmp_path: Path) -> None:
    to = tmp_path / "to"
    bags.unbag(BagBuilder().zip(tmp_path), to, workers=1)
    before = tree(to)
    with pytest.raises(bags.InvalidBagError):
        bags.unbag(
            BagBuilder(overrides={"data/W1/images/I1/0001.jpg": b"?"}).zip(tmp_path), to, workers=1, replace=True
        )
    assert tree(to) == before


def test_modes_follow_the_umask_and_times_the_zip(tmp_path: Path) -> None:
    stamped = replace(
        ZipEntry(b"W1.bag/data/W1/images/stamped", b"1"), extra=struct.pack("<HHBl", 0x5455, 5, 1, 1_000_000_001)
    )
    at = (12 << 11 | 24 << 5 | 4, (2024 - 1980) << 9 | 3 << 5 | 2)
    local = ZipEntry(b"W1.bag/data/W1/images/local", b"1", mode=0o100777, dos_time=at)
    senseless = ZipEntry(b"W1.bag/data/W1/images/senseless", b"1", dos_time=(0xFFFF, 0))
    names = ("stamped", "local", "senseless")
    builder = BagBuilder(payload={f"W1/images/{name}": b"1" for name in names})
    tags = [entry for entry in builder.entries() if b"/data/" not in entry.name]
    before = os.umask(0o027)
    try:
        path = write_zip(tmp_path / "W1.bag.zip", [*tags, stamped, local, senseless])
        (work,) = bags.unbag(path, tmp_path / "to", workers=1)
    finally:
        os.umask(before)
    stats = {name: (work.path / "images" / name).stat() for name in names}
    assert {stat.st_mode & 0o777 for stat in stats.values()} == {0o640}
    assert (work.path / "images").stat().st_mode & 0o777 == 0o750
    assert stats["stamped"].st_mtime == 1_000_000_001
    assert stats["local"].st_mtime == time.mktime((2024, 3, 2, 12, 24, 8, 0, 0, -1))


def test_too_little_space_is_told_before_anything_is_written(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    with pytest.raises(
        bags.NoSpaceError, match=r"but unpacking needs .* and 1024\.0 TiB stay free: make room"
    ) as caught:
        bags.unbag(path, tmp_path / "to", workers=1, keep_free=2**50)
    assert caught.value.exit_status == 3
    assert not (tmp_path / "to").exists()


def test_every_folder_takes_space_however_many_lie_in_one_another(tmp_path: Path) -> None:
    bag = BagBuilder(payload={f"W1/images/{'d/' * 1000}1": b""})
    empty = [ZipEntry(f"W1.bag/data/W1/archive/{number}/".encode(), mode=0o40755) for number in range(500)]
    path = write_zip(tmp_path / "W1.bag.zip", [*bag.entries(), *empty])
    with pytest.raises(bags.NoSpaceError) as caught:
        bags.unbag(path, tmp_path / "to", workers=1, keep_free=2**50)
    assert caught.value.needed is not None
    # W1, its folder of tag files, images, archive and what lies in them, and the tag files themselves.
    assert caught.value.needed // 4096 == 4 + 1000 + 500 + 4


def test_a_full_disk_is_no_defect_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit of this process on the size of files stands in for a disk that refuses.
    path = BagBuilder(payload={"W1/images/1": bytes(3_000_000)}).zip(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(bags.WriteError, match=r"can't be written to \(File too large\): look at its disk"):
            bags.unbag(path, tmp_path / "to", workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "to").exists()


def test_a_folder_that_cant_be_written_to_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir(mode=0o500)
    zip_path, words = BagBuilder().zip(tmp_path), r"can't be written to \(Permission denied\): expected a folder that"
    with ordinary_rights(), pytest.raises(bags.FolderError, match=words):
        bags.unbag(zip_path, tmp_path / "to", workers=1)


def test_a_path_that_is_no_zip_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(bags.PathError, match="doesn't exist: expected a zip of bags"):
        bags.unbag(tmp_path / "absent.zip", tmp_path / "to", workers=1)
    with pytest.raises(bags.PathError, match="is no file: expected a zip of bags"):
        bags.unbag(BagBuilder().folder(tmp_path), tmp_path / "to", workers=1)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(bags.FolderError, match=r"can't be written to \(Not a directory\)"):
        bags.unbag(BagBuilder().zip(tmp_path), tmp_path / "file" / "to", workers=1)


def test_the_same_zip_is_unpacked_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = BagBuilder().zip(tmp_path)
    with workspace(tmp_path / "to", path), pytest.raises(bags.BusyError, match="by another process: wait until"):
        bags.unbag(path, tmp_path / "to", workers=1)
    bags.unbag(path, tmp_path / "to", workers=1)


def test_an_exception_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bags.unbag(BagBuilder().zip(tmp_path), tmp_path / "to", workers=2, progress=stop)
    assert not (tmp_path / "to").exists()
    broken = OSError(32, "Broken pipe")

    def fail(done: int, total: int) -> None:
        raise broken

    with pytest.raises(OSError, match="Broken pipe") as caught:
        bags.unbag(BagBuilder().zip(tmp_path), tmp_path / "to", workers=2, progress=fail)
    assert caught.value is broken


def test_names_that_a_disk_takes_for_one_are_refused_and_not_overwritten(tmp_path: Path) -> None:
    # No file system of that kind is at hand everywhere: places in lower case stand in for one.
    payload = {f"W1/images/{name}": name.encode() for name in ("PAGE", "page")}
    path = BagBuilder(payload=payload).zip(tmp_path)
    (tmp_path / "to/data/w1/images").mkdir(parents=True)
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    with ZipSource(path) as source:
        inspection = inspect(source, source.listing.bags[0])
        target = Target(tmp_path / "to", lambda name: name.lower().removeprefix("w1.bag/"), lock)
        (defect,) = read_bags(source, [inspection], workers=1, progress=None, target=target)["W1.bag/"]
    os.close(lock)
    assert str(defect) == (
        "W1.bag/data/W1/images/page: has a name that the disk unpacked to takes for that of another file: "
        "expected a file system that keeps them apart"
    )
    assert (tmp_path / "to/data/w1/images/page").read_bytes() == b"PAGE"


# A child process for whom folders that differ by case only are one, as on the disks of some systems.
ONE_CASE = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from glacier_sync import bags

    made = set()

    def hook(event, arguments):
        if event == "os.mkdir" and arguments[0] not in made:
            known = {name.lower() for name in made}
            made.add(arguments[0])
            if arguments[0].lower() in known:
                os.mkdir(arguments[0])

    sys.addaudithook(hook)
    try:
        bags.unbag(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)
    except bags.InvalidBagError as error:
        print(*error.defects, sep="\\n")
""")


def test_folders_that_a_disk_takes_for_one_are_refused(tmp_path: Path) -> None:
    bag = BagBuilder(payload={"W1/images/I1/1": b"1", "W1/images/i1/2": b"2", "w1/images/1": b"3"})
    done = subprocess.run(
        [sys.executable, "-c", ONE_CASE, str(bag.zip(tmp_path)), str(tmp_path / "to")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    why = "has a name that the disk unpacked to takes for that of another folder: expected a file system that keeps"
    found = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in found] == ["W1/images/i1", "w1", "w1/images"]
    assert all(why in line for line in found)
    assert not (tmp_path / "to").exists()


def test_a_path_too_long_for_the_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    bag = BagBuilder(payload={"W1/images/" + "/".join(["x" * 200] * 20): b"x"})
    with pytest.raises(bags.InvalidBagError, match="is too long a path below"):
        bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)


LONG = {
    "folder": (
        [ZipEntry(f"W1.bag/data/W1/images/{'d/' * 2030}".encode(), mode=0o40755)],
        BagBuilder(),
        r"/: is too long a path below .*: expected \d+ bytes at most",
    ),
    "name of a bag": (
        [],
        BagBuilder(name="B" * 248, payload={"W1/images/1": b"1", "W2/images/1": b"1"}),
        r"B{248}_bagged.*: is too long a name to be unpacked to with \.bag at its end: expected 255 bytes at most",
    ),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_folder_that_no_disk_can_hold_is_a_defect(tmp_path: Path, kind: str) -> None:
    further, bag, said = LONG[kind]
    entries = [*bag.entries(), *further]
    if kind != "folder":
        for entry in entries:
            entry.name = entry.name.replace(b".bag/", b"_bagged/", 1)
    path = write_zip(tmp_path / "W1.bag.zip", entries)
    with pytest.raises(bags.InvalidBagError, match=said):
        bags.unbag(path, tmp_path / "to", workers=1)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(("payload", "tag", "place"), [
    ("W1/W1.bag", "notes.txt", "W1/W1.bag"),
    ("W1/W1.bag/notes/1.txt", "W1.bag/notes", "W1/W1.bag/W1.bag/notes"),
    ("W1/W1.bag/notes", "W1.bag/notes/1.txt", "W1/W1.bag/W1.bag/notes"),
])  # fmt: skip
def test_a_file_that_would_be_unpacked_to_a_folder_is_a_defect(
    payload: str, tag: str, place: str, tmp_path: Path
) -> None:
    bag = BagBuilder(tags={tag: b"tag"})
    bag.payload[payload] = b"payload"
    with pytest.raises(bags.InvalidBagError, match=f"would be unpacked to {place}, a folder: expected a place of its"):
        bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
