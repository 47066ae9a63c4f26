"""``glacier-sync run`` killed at its boundaries and at random instants: the next run finishes it, once."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from tests.faults.cases import Case, boundaries, happen, seconds_of_a_run
from tests.faults.conftest import Note
from tests.faults.scene import Scenes, Strike
from tests.support.aws import REGION, Site
from tests.support.pipeline import Bag, Bagger, tree

FEW, MANY = 3, 40
# What a run is killed at, by what its boundaries' names hold, and how many of each it has at least.
SORTS = {
    "Connection.commit": 10,
    "Cursor.execute": 50,
    "aws.queues:": 10,
    "aws.ranges:_write": 1,
    " write": 5,
    " replace": 2,
    " rename": 1,
    "bags.": 20,
    "audit.": 20,
    "pipeline.working:": 10,
    "removal:remove_tree": 10,
    "removal:_emptied": 10,
    "bash ": 200,
    "bash run cp": 1,
    "bash mv ": 1,
}
HOPELESS = ["bag", "audit"]
CHOSEN_SORTS = ("Connection.commit", "aws.", "bags.", "audit.", "bash ")
KILLS_IN_A_ROW = 3
# What even a run that has little left to do has of boundaries.
AGAIN = 100
EVERY = 6


def found_boundaries(scenes: Scenes, made: Bag) -> list[str]:
    """Return a run's boundaries; fails if a sort of them isn't found (any more)."""
    scenes.store(made)
    reached = boundaries(scenes, made)
    found = {sort: sum(sort in place for place in reached) for sort in SORTS}
    assert not {sort: times for sort, times in found.items() if times < SORTS[sort]}
    return reached


def test_killed_at_chosen_boundaries(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    """At one of each sort: the ledger, messages and objects, bags, the audit, the script."""
    made = bag("W1TEST01")
    reached = found_boundaries(scenes, made)
    chosen = [dice.choice([at for at, place in enumerate(reached, 1) if sort in place]) for sort in CHOSEN_SORTS]
    for what in ("run", "group"):
        outcome = happen(scenes, [Case([made], [Strike(what, at=at)]) for at in chosen])
        note.cases(f"killed at a boundary: the {what}", outcome)


@pytest.mark.slow_faults
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("what", "first"), [("run", 0), ("group", 1)])
def test_killed_at_every_boundary(
    scenes: Scenes, bag: Bagger, note: Note, *, dice: random.Random, what: str, first: int
) -> None:
    """Of Python, and at every second command of the script, by turns; then somewhere in the run that goes on."""
    made = bag("W1TEST01")
    reached = found_boundaries(scenes, made)
    chosen = [at for at, place in enumerate(reached, 1) if not place.startswith("bash ") or at % 2 == 0]
    cases = [
        Case([made], [Strike(what, at=at), Strike(what, at=dice.randint(1, max(len(reached) - at, AGAIN)))])
        for at in chosen[first::2]
    ]
    outcome = happen(scenes, cases)
    note.cases(f"killed at a boundary: the {what}", outcome)
    assert outcome.strikes >= len(cases)


@pytest.mark.slow_faults
@pytest.mark.timeout(2400)
def test_helpers_killed_at_many_boundaries(scenes: Scenes, bag: Bagger, note: Note) -> None:
    made = bag("W1TEST01")
    last = len(found_boundaries(scenes, made))
    cases = [Case([made], [Strike("helper", at=at)]) for at in range(1, last + 1, EVERY)]
    note.cases("killed at a boundary: the helper", happen(scenes, cases))


def test_killed_at_a_boundary_of_the_web_copy(
    scenes: Scenes, aws: Site, bag: Bagger, note: Note, dice: random.Random
) -> None:
    killed_in_the_web_copy(scenes, aws, bag("W1TEST01"), note, dice, times=1)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_killed_at_many_boundaries_of_the_web_copy(
    scenes: Scenes, aws: Site, bag: Bagger, note: Note, dice: random.Random
) -> None:
    killed_in_the_web_copy(scenes, aws, bag("W1TEST01"), note, dice, times=24)


def test_killed_at_a_boundary_of_the_feeder_and_the_watched_folder(
    scenes: Scenes, bag: Bagger, note: Note, dice: random.Random
) -> None:
    made = bag("W1TEST01")
    reached = boundaries(scenes, made, fed=True)
    rooms = ("pipeline.feeder:", "pipeline.retention:", "pipeline.watched:")
    own = [at for at, place in enumerate(reached, 1) if place.startswith(rooms)]
    cases = [Case([made], [Strike("group", at=at)], fed=True) for at in dice.sample(own, 2)]
    note.cases("killed at a boundary: the watched folder", happen(scenes, cases))


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_killed_at_many_boundaries_of_the_feeder_and_the_watched_folder(
    scenes: Scenes, bag: Bagger, note: Note, dice: random.Random
) -> None:
    """At each of the feeder's, and here and there in what follows it; then somewhere in the run that goes on."""
    made = bag("W1TEST01")
    reached = boundaries(scenes, made, fed=True)
    begin = 1 + max(at for at, place in enumerate(reached, 1) if place.startswith("pipeline.retention:"))
    chosen = [*range(1, begin + 1), *dice.sample(range(begin + 1, len(reached) + 1), 20)]
    cases = [
        Case([made], [Strike("group", at=at), Strike("run", at=dice.randint(1, AGAIN))], fed=True) for at in chosen
    ]
    note.cases("killed at a boundary: the watched folder", happen(scenes, cases))


def test_killed_at_a_boundary_while_a_work_is_replaced(
    scenes: Scenes, bag: Bagger, note: Note, dice: random.Random
) -> None:
    killed_while_replacing(scenes, bag, note, dice, times=2)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
def test_killed_at_many_boundaries_while_a_work_is_replaced(
    scenes: Scenes, bag: Bagger, note: Note, dice: random.Random
) -> None:
    killed_while_replacing(scenes, bag, note, dice, times=30)


def killed_while_replacing(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random, *, times: int) -> None:
    """From the plan to the end; then somewhere in the run that goes on."""
    earlier, made = bag("W1TEST01", images=3), bag("W1TEST01", images=3, change=change_pages)
    scenes.store(made)
    reached = boundaries(scenes, made, earlier=earlier)
    first = reached.index("bash update_archived") + 1
    assert "bash run rsync" in " ".join(reached[first:])
    chosen = dice.sample(range(first - 50, len(reached) + 1), times)
    cases = [
        Case(
            [made],
            [Strike(dice.choice(["run", "group"]), at=at), Strike("group", at=dice.randint(1, AGAIN))],
            earlier=earlier,
        )
        for at in chosen
    ]
    outcome = happen(scenes, cases)
    note.cases("killed at a boundary: a work is replaced", outcome)
    assert outcome.strikes >= times


def change_pages(work: Path) -> None:
    for page in work.rglob("*.jpg"):
        page.write_bytes(page.read_bytes() + b"\0")


@pytest.mark.parametrize("kind", HOPELESS)
def test_killed_at_a_boundary_of_what_has_to_fail(
    scenes: Scenes, bag: Bagger, note: Note, *, dice: random.Random, tmp_path: Path, kind: str
) -> None:
    killed_while_failing(scenes, hopeless(bag, kind, tmp_path), note, dice, times=1)


@pytest.mark.slow_faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", HOPELESS)
def test_killed_at_many_boundaries_of_what_has_to_fail(
    scenes: Scenes, bag: Bagger, note: Note, *, dice: random.Random, tmp_path: Path, kind: str
) -> None:
    killed_while_failing(scenes, hopeless(bag, kind, tmp_path), note, dice, times=30)


def hopeless(bag: Bagger, kind: str, folder: Path) -> Bag:
    """Return a bag that isn't what its manifests say, or a valid one whose work fails the audit."""
    if kind == "audit":
        return bag("W1TEST01", images=3, change=lambda work: sorted(work.rglob("*.tif"))[1].unlink())
    made = bag("W1TEST01")
    content = bytearray(made.zip_path.read_bytes())
    content[content.rindex(next(made.works[0].rglob("*.tif")).read_bytes())] ^= 1
    (folder / made.zip_path.name).write_bytes(content)
    return Bag(folder / made.zip_path.name, made.works)


def killed_while_failing(scenes: Scenes, made: Bag, note: Note, dice: random.Random, *, times: int) -> None:
    """Anywhere, and then somewhere in the run that goes on: it fails once, in words, and leaves nothing."""
    scenes.store(made)
    reached = boundaries(scenes, made, hopeless=True)
    chosen = dice.sample(range(1, len(reached) + 1), times)
    cases = [
        Case([made], [Strike("group", at=at), Strike("run", at=dice.randint(1, AGAIN))], hopeless=True) for at in chosen
    ]
    outcome = happen(scenes, cases)
    note.cases("killed at a boundary: what has to fail", outcome)
    assert outcome.strikes >= times


def killed_in_the_web_copy(
    scenes: Scenes, aws: Site, made: Bag, note: Note, dice: random.Random, *, times: int
) -> None:
    """Each case has a folder of its own in the web's bucket, which has all images in the end."""
    bucket = f"web.{aws.bucket}"
    aws.client.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
    scenes.store(made)
    reached = boundaries(scenes, made, web_parent=f"s3://{bucket}/0")
    first, last = (reached.index(f"bash {step}") + 1 for step in ("copy_to_web", "note_success"))
    cases = [
        Case(
            [made], [Strike(dice.choice(["run", "group", "helper"]), at=at)], {"web_parent": f"s3://{bucket}/{number}"}
        )
        for number, at in enumerate(dice.sample(range(first, last), times), 1)
    ]
    outcome = happen(scenes, cases)
    work = made.works[0]
    images = {name: hashlib.md5((work / "images" / name).read_bytes()).hexdigest() for name in tree(work / "images")}
    for number in range(times + 1):
        prefix = f"{number}/{work.name}/images/"
        listed = aws.client.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        if {each["Key"].removeprefix(prefix): each["ETag"].strip('"') for each in listed} != images:
            outcome.findings.lost.append(f"the web copy {prefix} isn't whole")
    assert not outcome.findings.lost
    note.cases("killed at a boundary: the web copy", outcome)


@pytest.mark.slow_faults
@pytest.mark.timeout(2400)
def test_killed_at_many_random_instants(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    killed_at_random(scenes, bag, note, dice, MANY)


def test_killed_at_random_instants(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random) -> None:
    killed_at_random(scenes, bag, note, dice, FEW)


def killed_at_random(scenes: Scenes, bag: Bagger, note: Note, dice: random.Random, times: int) -> None:
    bagged = [bag("W1TEST01", "W1TEST02"), bag("W1TEST03")]
    scenes.store(*bagged)
    seconds = seconds_of_a_run(scenes, *bagged)
    cases = [
        Case(
            bagged,
            [
                Strike(dice.choice(["run", "group"]), after=round(dice.uniform(0, seconds), 4))
                for _ in range(KILLS_IN_A_ROW)
            ],
        )
        for _ in range(times)
    ]
    outcome = happen(scenes, cases)
    note.cases("killed at a random instant", outcome)
