"""Runs killed in the middle of a large file: of its download, its unbagging, its copy, its replacement."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import SECONDS, Scene, Scenes, Strike
from tests.support.aws import noise
from tests.support.pipeline import Bag, Bagger
from tests.support.processes import wait_for_end

KIND = "killed in the middle of a large file"
RID = "W1TEST01"
MIB = 2**20
SIZE, PART = 32 * MIB, 12 * MIB
# The programs that copy, which kill the whole run when PART of the file is written.
CP = f"""#!/bin/bash
prlimit --fsize={PART} --core=0 -- REAL "$@"
kill -KILL 0
"""
RSYNC = f"""#!/bin/bash
REAL --bwlimit=8m "$@" &
while kill -0 $! 2>/dev/null; do
    [[ -z $(find PLACE -name 'large.bin.*' -size +{PART // MIB}M) ]] || kill -KILL 0
    sleep 0.05
done
"""


@pytest.fixture
def made(scenes: Scenes, bag: Bagger) -> Bag:
    """A bag of a work of which one file is large."""
    found = bag(RID, change=lambda work: large(work).write_bytes(noise(SIZE)))
    scenes.store(found)
    return found


def large(work: Path) -> Path:
    return work / "images" / "large.bin"


@pytest.mark.slow_faults
@pytest.mark.parametrize(("call", "pattern"), [("aws.ranges:_write", "*.part"), ("hashing.writing:write", "large.bin")])
def test_a_run_that_is_killed_where_it_writes(scenes: Scenes, made: Bag, note: Note, call: str, pattern: str) -> None:
    """Half of its download, or of what it unpacks."""
    with scenes.scene(made) as scene:
        writes = [at for at, place in enumerate(scene.boundaries(), 1) if place.startswith(call)]
    whole = made.zip_path if call.startswith("aws.") else large(made.works[0])
    # How many boundaries come before a write differs from run to run, with the time that all takes.
    for share in (2, 3, 4, 6, 8):
        with scenes.scene(made) as scene:
            assert scene.struck(Strike("group", at=writes[len(writes) // share]))
            if is_partly_there(scene.place.settings.data_dir, pattern, whole):
                note(KIND, settled(scene))
                return
    pytest.fail("no kill came in the middle of the file")


def test_a_copy_that_is_killed(scenes: Scenes, made: Bag, note: Note) -> None:
    with scenes.scene(made) as scene:
        killed_in(scene, "cp", CP)
        assert is_partly_there(scene.place.archived(RID).parent, "large.bin", large(made.works[0]))
        assert not scene.place.archived(RID).exists()
        note(KIND, settled(scene))


@pytest.mark.slow_faults
def test_a_replacement_that_is_killed(scenes: Scenes, bag: Bagger, made: Bag, note: Note) -> None:
    """What it had of the file isn't in the work."""
    earlier = bag(RID, change=lambda work: large(work).write_bytes(noise(SIZE, "earlier")))
    with scenes.scene(made) as scene:
        scene.replaces(earlier)
        killed_in(scene, "rsync", RSYNC)
        assert is_partly_there(scene.place.archived(RID).parent, "large.bin.*", large(made.works[0]))
        note(KIND, settled(scene))


def killed_in(scene: Scene, program: str, text: str) -> None:
    """Run with another program in the place of a real one, which it starts."""
    folder = scene.place.home / "bin"
    folder.mkdir()
    (folder / "syncOneWork.sh").symlink_to(scene.place.settings.bin_dir / "syncOneWork.sh")
    stand_in = folder / program
    text = text.replace("REAL", str(shutil.which(program))).replace("PLACE", str(scene.place.archived(RID).parent))
    stand_in.write_text(text)
    stand_in.chmod(0o755)
    running = replace(scene, environment={**scene.environment, "GLACIER_SYNC_BIN_DIR": str(folder)}).start()
    wait_for_end(running, SECONDS)
    assert running.exitcode == -9


def is_partly_there(folder: Path, pattern: str, whole: Path) -> bool:
    """Tell whether there is a file that has something of another one, and not all."""
    found = list(folder.rglob(pattern))
    if len(found) != 1:
        return False
    part, content = found[0].read_bytes(), whole.read_bytes()
    return part != content and any(part[at : at + MIB] == content[at : at + MIB] for at in range(0, len(content), MIB))


def settled(scene: Scene) -> invariants.Findings:
    found = invariants.at_any_time(scene)
    scene.recover()
    found.add(invariants.in_the_end(scene))
    return found
