"""How work is cut: neighbours together, large files alone, shorter towards the end."""

from __future__ import annotations

from glacier_sync.hashing.batches import LARGE, Batches, Load
from glacier_sync.hashing.tasks import Task


def cut(sizes: list[int], workers: int = 2) -> list[list[int]]:
    tasks = [Task(str(number), size) for number, size in enumerate(sizes)]
    batches = Batches(tasks, Load(len(sizes), sum(sizes)), workers)
    found = []
    while batch := batches.take(idle=True):
        found.append([task.size for task in batch])
    assert [size for batch in found for size in batch] == sizes
    return found


def test_a_large_file_is_a_batch_by_itself() -> None:
    assert cut([2 * LARGE, LARGE, 1, 2]) == [[2 * LARGE], [LARGE], [1, 2]]


def test_a_large_file_waits_for_a_worker_that_has_nothing_else() -> None:
    batches = Batches([Task("large", LARGE)], Load(1, LARGE), 2)
    assert batches.take(idle=False) == []
    assert batches.take(idle=True) == [Task("large", LARGE)]
    assert batches.take(idle=True) == []


def test_small_files_go_by_their_number_and_middling_ones_by_their_bytes() -> None:
    assert [len(batch) for batch in cut([1] * 10_000)][:5] == [64] * 5
    assert [len(batch) for batch in cut([1 << 20] * 1000)][:5] == [7] * 5


def test_batches_get_shorter_towards_the_end() -> None:
    lengths = [len(batch) for batch in cut([256 << 10] * 200)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0] / 2


def test_long_names_make_short_batches() -> None:
    batches = Batches([Task("n" * 4000, 1)] * 100, Load(100, 100), 1)
    assert len(batches.take(idle=True)) == 3


def test_no_work_makes_no_batch() -> None:
    assert cut([]) == []
