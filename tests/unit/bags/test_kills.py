"""Killed at any instant, unpacking ends well on its next run: nothing half, nothing lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder

from glacier_sync import bags

# A child process that kills itself just before its n-th change of a name on disk.
KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from glacier_sync import bags

    zip_path, to, replace = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "replace"
    changes = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime"}

    def run(instant, folder):
        left = instant

        def hook(event, arguments):
            nonlocal left
            # The rename that replaces nothing isn't one of Python's own.
            if event in changes or (event, arguments[-1:]) == ("ctypes.dlsym", ("renameat2",)):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        bags.unbag(zip_path, folder, workers=1, replace=replace)

    instant = 0
    while True:
        folder = to / str(instant)
        child = os.fork()
        if child == 0:
            run(instant, folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        instant += 1
    print(instant)
""")
OLD = BagBuilder(name="Old", payload={"W1/images/1": b"old"})
NEW = BagBuilder(name="New", payload={"W1/images/1": b"new", "W2/images/2": b"new too"})


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_killed(zip_path: Path, to: Path, *, replace: bool) -> int:
    """Run once for each instant, in folders numbered by it; return how many kills there were."""
    arguments = [sys.executable, "-c", KILLED, str(zip_path), str(to), "replace" if replace else ""]
    return int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def prepared(parent: Path, old_zip: Path | None, instants: int) -> Path:
    to = parent / "to"
    for instant in range(instants):
        (to / str(instant)).mkdir(parents=True)
        if old_zip is not None:
            bags.unbag(old_zip, to / str(instant), workers=1)
        (to / str(instant) / "other.txt").write_bytes(b"somebody's")
    return to


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """What the new zip unpacks to."""
    bags.unbag(NEW.zip(tmp_path), tmp_path / "whole", workers=1)
    return tree(tmp_path / "whole")


@pytest.mark.parametrize("replace", [False, True])
def test_a_kill_at_any_instant_is_mended_by_the_next_run(
    tmp_path: Path, whole: dict[str, bytes], *, replace: bool
) -> None:
    new_zip = tmp_path / "New.bag.zip"
    (tmp_path / "old").mkdir()
    old_zip = OLD.zip(tmp_path / "old") if replace else None
    to = prepared(tmp_path, old_zip, 60)
    kills = run_killed(new_zip, to, replace=replace)
    assert 20 < kills < 60
    seen = set()
    for instant in range(kills):
        folder = to / str(instant)
        page = folder / "W1" / "images" / "1"
        seen.add(page.read_bytes() if page.exists() else None)
        try:
            bags.unbag(new_zip, folder, workers=1, replace=replace)
        except bags.WorkExistsError:
            # The kill came after all was in place, so the works are there, whole.
            assert not replace
        assert tree(folder) == {**whole, "other.txt": b"somebody's"}, instant
        assert not list(folder.glob(".*")), instant
    assert seen == ({None, b"new", b"old"} if replace else {None, b"new"})


def test_what_a_killed_replacement_took_away_comes_back(tmp_path: Path, whole: dict[str, bytes]) -> None:
    new_zip = tmp_path / "New.bag.zip"
    (tmp_path / "old").mkdir()
    old_zip = OLD.zip(tmp_path / "old")
    to = prepared(tmp_path, old_zip, 60)
    old = tree(to / "59")
    kills = run_killed(new_zip, to, replace=True)
    new_zip.write_bytes(b"damaged meanwhile")
    for instant in range(kills):
        with pytest.raises(bags.InvalidBagError):
            bags.unbag(new_zip, to / str(instant), workers=1, replace=True)
        assert tree(to / str(instant)) in (old, {**whole, "other.txt": b"somebody's"}), instant
        assert not list((to / str(instant)).glob(".*")), instant


# A child process that kills itself when its workers have written a first file, and have more at hand.
KILLED_EARLY = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from glacier_sync import bags
    from glacier_sync.hashing import crew

    zip_path, to = Path(sys.argv[1]), Path(sys.argv[2])
    # On a fast machine all would be done before anything is told.
    crew._PROGRESS_SECONDS = 0

    def told(done, total):
        while not any(to.glob(".unbag-*/content/W1/images/*")):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    bags.unbag(zip_path, to, workers=2, progress=told)
""")


def test_the_next_run_waits_for_the_workers_of_a_killed_one(tmp_path: Path) -> None:
    """They have a batch to finish, which must not end up among the files of the next run."""
    many = BagBuilder(payload={f"W1/images/{number}": b"%d" % number for number in range(1500)})
    zip_path, to = many.zip(tmp_path), tmp_path / "to"
    killed = subprocess.run([sys.executable, "-c", KILLED_EARLY, str(zip_path), str(to)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (work,) = bags.unbag(zip_path, to, workers=2)
    assert work.files == 1500
    assert not list(to.glob(".*"))
