from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support import ledger_processes as processes
from tests.support.ledger import HandClock, dag_run, record_works
from tests.unit.ledger.conftest import OpenLedger

from glacier_sync.ledger import Ledger, Phase, Run


@pytest.fixture
def shared(open_ledger: OpenLedger) -> Ledger:
    """A ledger that runs on real time, as those of the other processes do."""
    return open_ledger()


def test_no_object_is_claimed_by_two_processes_and_none_is_left_out(shared: Ledger, url: str) -> None:
    numbers = record_works(shared, *(f"W{number}" for number in range(200)))
    claimed = processes.together(4, processes.claim_all, url)
    assert sorted(number for share in claimed for number in share) == numbers
    owners = {row.id: row.claimed_by for row in shared.objects()}
    for number, share in enumerate(claimed):
        assert {owners[row] for row in share} <= {dag_run(str(number)).name}
    assert {row.claim_count for row in shared.objects()} == {1}


def test_no_work_is_claimed_by_two_processes(shared: Ledger, url: str) -> None:
    record_works(shared, *(f"W{number}.part{part}" for number in range(10) for part in range(4)))
    claimed = processes.together(4, processes.claim_all, url)
    works = [shared.object(number).rid for share in claimed for number in share]
    assert sorted(map(str, works)) == [f"W{number}" for number in range(10)]


def test_messages_that_processes_record_at_once_make_each_object_once(shared: Ledger, url: str) -> None:
    new = processes.together(3, processes.record_all, url)
    assert sorted(number for share in new for number in share) == [row.id for row in shared.objects()]
    assert len(shared.objects()) == 20


def test_processes_that_migrate_at_once_do_it_once(url: str) -> None:
    assert processes.together(3, processes.migrate, url) == [0, 0, 0]


def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite'}"
    assert processes.together(4, processes.open_new, url) == [0, 0, 0, 0]


def test_what_a_killed_process_claimed_on_this_host_is_free_at_once(shared: Ledger, url: str) -> None:
    (number,) = record_works(shared, "W1")
    process, results = processes.start(processes.claim_and_hang, url)
    assert results.recv() == [number]
    assert shared.claim(Run.of_this_process(), 5) == []
    elsewhere = Run(name="elsewhere", host="elsewhere", process=None)
    process.kill()
    process.join()
    assert shared.claim(elsewhere, 5) == []
    (row,) = shared.claim(Run.of_this_process(), 5)
    assert (row.id, row.claim_count) == (number, 2)


def test_a_writer_killed_before_its_commit_leaves_neither_change_nor_lock(shared: Ledger, url: str) -> None:
    (number,) = record_works(shared, "W1")
    process, results = processes.start(processes.write_and_hang, url)
    assert results.recv() == "written"
    assert shared.object(number).phase is Phase.RESTORED
    process.kill()
    process.join()
    (row,) = shared.claim(dag_run("one"), 5)
    assert (row.id, row.phase) == (number, Phase.RESTORED)


def test_two_ledgers_of_one_process_do_not_stand_in_each_others_way(open_ledger: OpenLedger, clock: HandClock) -> None:
    first, second = open_ledger(clock, timedelta(minutes=1)), open_ledger(clock)
    (number,) = record_works(first, "W1")
    assert second.hold(number, dag_run("one")).phase is Phase.RESTORED
    first.advance(number, dag_run("one"), Phase.DOWNLOADED, "done")
    assert second.object(number).phase is Phase.DOWNLOADED
