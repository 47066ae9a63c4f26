"""Room on a disk: no more is claimed than fits, and all that can fit is in the end."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger import START, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.ledger import Allotment, Ledger, Phase, Room, Run, Way, space_of
from glacier_sync.settings import WATCHED_FOLDER

GB = 10**9
SIZE = 17 * GB
HERE, THERE = dag_run("here"), replace(dag_run("there"), host="scheduler-2")


def test_an_object_takes_its_zip_and_as_much_for_its_contents() -> None:
    assert space_of(SIZE, Way.QUEUE) == 2 * SIZE
    assert space_of(SIZE, Way.FOLDER) == SIZE
    assert space_of(None, Way.QUEUE) == 0


@dataclass
class Disk:
    """A disk on which objects are worked on: what they need is written bit by bit, and gone when they end."""

    whole: int
    foreign: int = 0
    written: dict[int, int] = field(default_factory=dict)

    @property
    def room(self) -> Room:
        used = self.foreign + sum(self.written.values())
        assert used <= self.whole, "the disk is overfilled"
        return Room(free=self.whole - used, whole=self.whole, here=dict(self.written))


SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@given(sizes=SIZES, whole=st.integers(10, 200), limit=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_all_that_fits_is_done_in_its_turn_and_nothing_overfills_the_disk(
    sizes: list[int], whole: int, limit: int, seed: int
) -> None:
    """Runs claim and work in any order; each object is ``2 * size``."""
    spaces = {number: 2 * size for number, size in enumerate(sizes)}
    disk, chance = Disk(whole), random.Random(seed)

    def without_too_large(numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if spaces[number] <= whole]

    waiting, in_hand, done = deque(spaces), set[int](), list[int]()
    while waiting or in_hand:
        allotted = Allotment(disk.room)
        for number in in_hand:
            allotted.promise(number, spaces[number])
        admitted = (number for number in waiting if allotted.admits(number, spaces[number]))
        taken = list(itertools.islice(admitted, limit))
        # Nobody passes one that fits when what is in hand is done: without foreign data that is all that can fit.
        assert without_too_large(taken) == without_too_large(waiting)[: len(without_too_large(taken))]
        assert taken or in_hand, "it stalls"
        for number in taken:
            waiting.remove(number)
            if spaces[number] > whole:
                done.append(number)
            else:
                in_hand.add(number)
        for number in [number for number in in_hand if chance.random() < 0.7]:
            disk.written[number] = min(disk.written.get(number, 0) + chance.randint(1, 60), spaces[number])
            if disk.written[number] == spaces[number]:
                disk.written.pop(number)
                in_hand.remove(number)
                done.append(number)
        assert disk.room.free >= sum(spaces[number] - disk.written.get(number, 0) for number in in_hand)
    assert sorted(done) == sorted(spaces)


@given(sizes=SIZES, whole=st.integers(40, 200), part=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_beside_foreign_data_all_that_fits_is_done(sizes: list[int], whole: int, part: float, seed: int) -> None:
    """Some of the objects were given back half done, and their data lie on the disk."""
    spaces, chance = {number: 2 * size for number, size in enumerate(sizes)}, random.Random(seed)
    disk = Disk(whole, foreign=int(whole * part))
    for number, space in spaces.items():
        if chance.random() < 0.3 and disk.room.free > space:
            disk.written[number] = chance.randint(0, space)
    waiting = deque(spaces)
    while True:
        allotted = Allotment(disk.room)
        taken = [number for number in waiting if allotted.admits(number, spaces[number])]
        assert disk.room.free >= sum(
            spaces[number] - disk.written.get(number, 0) for number in taken if spaces[number] <= whole
        )
        if not taken:
            break
        for number in taken:
            waiting.remove(number)
            disk.written.pop(number, None)
    # What is left fits nowhere beside what isn't ours.
    assert all(spaces[number] - disk.written.get(number, 0) > disk.room.free for number in waiting)


def test_one_that_fits_when_what_is_in_hand_is_done_lets_nobody_pass() -> None:
    given_out = Allotment(Room(free=20, whole=100, here={1: 80}))
    given_out.promise(1, 80)
    assert not given_out.admits(2, 60)
    assert not given_out.admits(3, 10)
    assert (given_out.refused, given_out.is_closed) == ([2, 3], True)


def test_one_that_waits_for_others_to_clear_the_disk_is_passed_by() -> None:
    given_out = Allotment(Room(free=20, whole=100))
    assert not given_out.admits(2, 60)
    assert given_out.admits(3, 10)
    assert (given_out.refused, given_out.is_closed, given_out.promised) == ([2], False, 10)


def test_one_that_can_never_fit_is_let_through_and_takes_nothing() -> None:
    given_out = Allotment(Room(free=20, whole=100))
    assert given_out.admits(1, 101)
    given_out.promise(1, 101)
    assert given_out.admits(2, 20)
    assert given_out.promised == 20


def test_what_lies_there_already_needs_no_room_even_on_a_disk_that_is_too_full() -> None:
    given_out = Allotment(Room(free=-5, whole=100, here={1: 40, 2: 30}))
    assert given_out.admits(1, 40)
    assert not given_out.admits(2, 40)


def restored(ledger: Ledger, count: int, size: int = SIZE) -> None:
    """Record objects, the last of them the first to expire."""
    found = [
        announced(work_key(f"W{number}"), size=size, expiry=START + timedelta(days=count - number))
        for number in range(count)
    ]
    ledger.record("nlm", f"{count} of {size}", found, [])


def test_a_thousand_objects_on_a_disk_with_room_for_three() -> None:
    waiting, disk, rounds = deque(range(1000)), Disk(3 * 2 * SIZE + GB), 0
    while waiting:
        allotted, rounds = Allotment(disk.room), rounds + 1
        taken = [number for number in waiting if allotted.admits(number, 2 * SIZE)]
        assert taken == list(waiting)[:3]
        disk.written.update(dict.fromkeys(taken, 2 * SIZE))
        assert disk.room.free >= GB
        disk.written.clear()
        for number in taken:
            waiting.remove(number)
    assert rounds == 334


def test_what_expires_first_goes_first_and_no_run_takes_more_than_there_is_room_for(ledger: Ledger) -> None:
    """Two runs on one host take turns, and each ends what it has."""
    restored(ledger, 20)
    disk, order = Disk(3 * 2 * SIZE + GB), list[int]()
    runs = deque([HERE, replace(HERE, name="another run")])
    while len(order) < 20:
        taken, none = (ledger.claim(run, 10, allotment=Allotment(disk.room)) for run in runs)
        assert (len(taken), none) == (min(3, 20 - len(order)), [])
        for item in taken:
            ledger.advance(item.id, runs[0], Phase.SYNCED, "done")
            order.append(item.id)
        runs.rotate()
    assert order == sorted(order, reverse=True)


def test_one_that_waits_for_room_is_starved_by_none_that_are_tried_in_vain_or_smaller(
    ledger: Ledger, clock: HandClock
) -> None:
    room = Room(free=10 * SIZE, whole=10 * SIZE)
    small = [announced(work_key(f"W{number}"), size=SIZE, expiry=START + timedelta(days=number)) for number in (1, 2)]
    large = announced(work_key("W3"), size=5 * SIZE, expiry=START + timedelta(days=3))
    ledger.record("nlm", "m1", [*small, large], [])
    another = replace(HERE, name="another")

    def taken(run: Run, **put_off: bool) -> list[int]:
        clock.passes(timedelta(minutes=1))
        numbers = [item.id for item in ledger.claim(run, 2, allotment=Allotment(room))]
        for number in numbers if put_off else ():
            ledger.release(number, run, "put off", **put_off)
        return numbers

    assert taken(HERE) == [1, 2]
    # It takes the whole disk, and so waits; a smaller one that is given back doesn't pass it, nor one that is new.
    ledger.release(1, HERE, "its archive is away", in_vain=True)
    ledger.record("nlm", "m2", [announced(work_key("W4"), size=SIZE, expiry=START + timedelta(days=9))], [])
    assert taken(another) == []
    ledger.release(2, HERE, "its archive is away", in_vain=True)
    # It keeps its turn when it meets a lack of room in the end, and loses it when it meets anything else.
    assert taken(another, in_vain=False) == [3]
    assert taken(another, in_vain=True) == [3]
    assert taken(another, in_vain=True) == [4, 1]
    assert taken(another, in_vain=True) == [2]
    assert taken(another, in_vain=True) == [3]


def test_what_others_have_claimed_on_the_same_disk_counts(ledger: Ledger) -> None:
    restored(ledger, 6)
    room = Room(free=5 * SIZE, whole=6 * SIZE)
    assert len(ledger.claim(HERE, 10, allotment=Allotment(room))) == 2
    assert ledger.claim(replace(HERE, name="another"), 10, allotment=Allotment(room)) == []
    # Another host has another disk, on which one of these lies as well.
    taken = ledger.claim(THERE, 10, allotment=Allotment(replace(room, here={6: SIZE})))
    assert [item.id for item in taken] == [4, 3]
    assert {item.id for item in ledger.in_hand(THERE)} == {4, 3}
    assert {item.id for item in ledger.in_hand(HERE)} == {6, 5}


def test_a_run_gets_its_own_back_and_no_room_for_more(ledger: Ledger) -> None:
    restored(ledger, 6)
    room = Room(free=5 * SIZE, whole=6 * SIZE)
    first = [item.id for item in ledger.claim(HERE, 10, allotment=Allotment(room))]
    allotted = Allotment(room)
    assert [item.id for item in ledger.claim(HERE, 10, allotment=allotted)] == first
    assert allotted.refused[0] == 4
    assert allotted.promised == 4 * SIZE


def test_what_a_run_has_tried_in_vain_hides_nothing(ledger: Ledger) -> None:
    first, second = record_works(ledger, "W1", "W2")
    assert [item.id for item in ledger.claim(HERE, 1, without=[first])] == [second]


@pytest.mark.parametrize(("queue", "taken"), [("nlm", 1), (WATCHED_FOLDER, 2)])
def test_a_zip_in_the_watched_folder_needs_room_for_its_contents_alone(ledger: Ledger, queue: str, taken: int) -> None:
    found = [announced(work_key(f"W{number}"), size=SIZE) for number in range(3)]
    ledger.record(queue, "m1", found, [])
    room = Room(free=2 * SIZE, whole=2 * SIZE)
    assert len(ledger.claim(HERE, 10, allotment=Allotment(room))) == taken
