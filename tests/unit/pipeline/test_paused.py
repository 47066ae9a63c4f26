"""Runs that are stopped for longer than their lease, by SIGSTOP, and wake up when others have their objects."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.paused import leave_ledger
from tests.support.pipeline import Bagger, Installation, end_children, is_archived, start_run

from glacier_sync import pipeline
from glacier_sync.ledger import ClaimLostError, Phase, Run
from glacier_sync.pipeline import Done, RetryLater, sync, working
from glacier_sync.pipeline.lease import Lease

pytestmark = pytest.mark.needs("rsync")

OTHER = Run.of_dag_run("dag", "other")
RID = "W1TEST01"
LEASE_SECONDS = 1.5


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LEASE_MINUTES", str(LEASE_SECONDS / 60))


@pytest.fixture
def started(short_lease: None) -> Iterator[Callable[[], Any]]:
    """Starts runs, and ends what is left of them."""
    processes: list[Any] = []

    def start() -> Any:
        processes.append(start_run())
        return processes[-1]

    yield start
    for process in processes:
        end_children(process)
        process.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.02)


def wait_until_stopped(process: Any, place: Installation) -> None:
    wait_until(lambda: bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED))
    leave_ledger(process.pid, place.settings)


def lease_has_run_out(place: Installation) -> bool:
    context = place.context(OTHER)
    try:
        context.ledger.hold(1, OTHER)
    except ClaimLostError:
        return False
    return True


def stop_at(place: Installation, program: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a program of the bash stop the whole run the first time it is called; return the file that says so."""
    folder, told = place.home / "bin", place.home / "stopped"
    folder.mkdir()
    (folder / "syncOneWork.sh").symlink_to(place.settings.bin_dir / "syncOneWork.sh")
    real = shutil.which(program)
    stopper = folder / program
    stopper.write_text(f'#!/bin/bash\n[[ -e {told} ]] || {{ touch {told} && kill -STOP 0; }}\nexec {real} "$@"\n')
    stopper.chmod(0o755)
    monkeypatch.setenv("GLACIER_SYNC_BIN_DIR", str(folder))
    return told


def test_a_sync_that_wakes_up_too_late_leaves_the_archive_alone(
    place: Installation, bag: Bagger, started: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag(RID)
    place.restored(made)
    told = stop_at(place, "cp", monkeypatch)
    process = started()
    wait_until(told.exists)
    wait_until_stopped(process, place)
    wait_until(lambda: lease_has_run_out(place))
    # The archive's lock is the stopped one's, so that nobody can write beside it.
    outcome = sync.sync(place.context(OTHER, last_try=False), 1)
    assert isinstance(outcome, RetryLater)
    assert "another sync of this work is running" in outcome.reason
    os.killpg(process.pid, signal.SIGCONT)
    process.join(100)
    assert process.exitcode == 0
    assert not place.archived(RID).exists()
    logs = "".join(path.read_text() for path in place.settings.log_dir.rglob("sync-*.log"))
    assert f"the claim on {RID} has run out" in logs
    assert place.ledger.object(1).claimed_by == OTHER.name
    assert isinstance(sync.sync(place.context(OTHER), 1), Done)
    assert is_archived(place, made.works[0])
    assert [event.run for event in place.ledger.events(1) if event.kind == "synced"] == [OTHER.name]


def test_a_sync_that_wakes_up_in_time_goes_on(
    place: Installation, bag: Bagger, started: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag(RID)
    place.restored(made)
    monkeypatch.setenv("GLACIER_SYNC_LEASE_MINUTES", "5")
    told = stop_at(place, "cp", monkeypatch)
    process = started()
    wait_until(told.exists)
    wait_until_stopped(process, place)
    os.killpg(process.pid, signal.SIGCONT)
    process.join(100)
    assert place.ledger.object(1).phase is Phase.SYNCED
    assert is_archived(place, made.works[0])
    assert place.working_data() == []


def test_a_download_that_wakes_up_too_late_ends_and_records_nothing(
    place: Installation, bag: Bagger, started: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bag(RID)
    place.restored(made)
    with fault_proxy(place.site.url) as proxy:
        held = Fault(release=Event())
        proxy.faults.append(held)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = started()
        assert held.held.wait(100)
        os.killpg(process.pid, signal.SIGSTOP)
        wait_until_stopped(process, place)
        wait_until(lambda: lease_has_run_out(place))
        os.killpg(process.pid, signal.SIGCONT)
        assert held.release
        held.release.set()
        process.join(100)
    assert process.exitcode == 0
    item = place.ledger.object(1)
    assert (item.phase, item.claimed_by) == (Phase.RESTORED, OTHER.name)
    assert "downloaded" not in place.kinds(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.site.url)
    assert isinstance(pipeline.download_from_messages(place.context(OTHER), 1), Done)


def test_the_claims_file_is_each_process_own(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID), OTHER)
    item = place.ledger.object(number)
    first = working.claim_file(place.settings, item, OTHER)
    assert first != working.claim_file(place.settings, item, Run(OTHER.name, OTHER.host, None, worker="next try"))
    outcome = pipeline.plan_sync(place.context(OTHER, lease_minutes=5), number)
    assert isinstance(outcome, Done)
    assert f"export claimFile={first}\n" in outcome.facts["script"]
    assert first.stat().st_mtime > time.time() + 100


def test_a_lease_that_ends_with_its_object_makes_no_file_and_no_words(
    place: Installation, bag: Bagger, caplog: pytest.LogCaptureFixture
) -> None:
    number = place.debagged(bag(RID), OTHER)
    claim = working.claim_file(place.settings, place.ledger.object(number), OTHER)
    lease = Lease(place.settings, place.ledger, OTHER, number)
    lease.keep_file(claim)
    place.ledger.fail(number, OTHER, "the disk is sick", "")
    for clear in (claim.unlink, lambda: shutil.rmtree(claim.parent)):
        clear()
        with pytest.raises(ClaimLostError):
            lease.keep_file(claim)
        assert not claim.exists()
    assert caplog.text == ""


def test_an_archive_without_its_marker_is_tried_again_later(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID), OTHER)
    marked = place.context(OTHER, archive_marker=".archive")
    outcome = sync.sync(marked, number)
    root = place.archived(RID).parents[1]
    assert outcome == RetryLater(
        f"the archive's root {root} lacks its marker .archive: is it mounted? expected that file, as "
        "GLACIER_SYNC_ARCHIVE_MARKER says; mount the archive, or make the file in it once"
    )
    assert list(root.iterdir()) == []
    assert place.ledger.object(number).phase is Phase.DEBAGGED
    (root / ".archive").touch()
    assert isinstance(sync.sync(marked, number), Done)
