"""``status``: where works stand, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.ledger import LEASE, HandClock, announced, dag_run, record_works, work_key

from glacier_sync.cli.output import local
from glacier_sync.ledger import Ledger, Phase, WorkFacts
from glacier_sync.progress import Pace
from glacier_sync.settings import load_settings

from .conftest import Command

RUN = dag_run("first")
REASON = "the bag of [W2] isn't valid: [/data] lacks page\x1b 3 :boom:"


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with Ledger.open(load_settings()) as opened:
        yield opened


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """W1 is synced, W2 failed, W3 waits."""
    record_works(ledger, "W1", "W2", "W3")
    first, second, _ = sorted(item.id for item in ledger.claim(RUN, 3))
    ledger.advance(first, RUN, Phase.DOWNLOADED, "downloaded")
    ledger.set_works(first, RUN, [WorkFacts("W1", 3, 12_345)])
    ledger.advance(first, RUN, Phase.DEBAGGED, "unbagged")
    ledger.update_work(first, RUN, "W1", phase=Phase.SYNCED, destination="/mnt/Archive0/01/W1", audit="Passed")
    ledger.advance(first, RUN, Phase.SYNCED, "all of it is in the archive")
    ledger.fail(second, RUN, REASON, "cause: [Errno 5]")
    return ledger


def test_an_empty_ledger_says_so(command: Command, home: Path) -> None:
    assert command("status").out == "no restored object was announced yet\n"
    ended = command("status", "--json")
    assert (ended.status, ended.facts) == (0, [])


def test_the_overview_has_a_whole_line_for_each_object(command: Command, filled: Ledger) -> None:
    ended = command("status")
    lines = ended.out.splitlines()
    assert ended.status == 0
    assert len(lines) == 4
    assert lines[0].split() == ["object", "works", "phase", "since", "where,", "or", "why", "not"]
    assert lines[1].split()[:3] == ["1", "W1", "synced"]
    assert lines[1].endswith("  /mnt/Archive0/01/W1")
    assert lines[2].split()[:3] == ["2", "W2.bag.zip", "failed"]
    assert lines[2].endswith(r"  the bag of [W2] isn't valid: [/data] lacks page\x1b 3 :boom:")
    assert lines[3].split()[:3] == ["3", "W3.bag.zip", "restored"]


def test_a_long_reason_stays_on_its_line(command: Command, ledger: Ledger) -> None:
    (number,) = record_works(ledger, "W1")
    ledger.claim(RUN, 1)
    reason = "a reason of many words " * 30
    ledger.fail(number, RUN, reason.strip(), "")
    assert command("status").out.splitlines()[1].endswith(reason.strip())


@pytest.mark.parametrize("name", ["W1", work_key("W1")])
def test_the_history_of_a_work(command: Command, filled: Ledger, name: str) -> None:
    ended = command("status", name)
    lines = ended.out.splitlines()
    assert ended.status == 0
    assert lines[0] == "W1: synced"
    assert lines[1] == f"  s3://staging/{work_key('W1')} (queue nlm, attempt 1)"
    assert lines[2] == "  work W1: synced, 3 files, 12,345 bytes"
    assert lines[3] == "    audit: Passed; in the archive: /mnt/Archive0/01/W1"
    events = filled.events(1)
    assert len(lines) == 4 + len(events)
    for line, event in zip(lines[4:], events, strict=True):
        assert line.endswith(f"  {event.kind}: {event.message}")


def test_the_history_of_a_failure_tells_reason_and_cause(command: Command, filled: Ledger) -> None:
    lines = command("status", "W2").out.splitlines()
    assert lines[0] == "W2.bag.zip: failed"
    assert lines[2] == "  reason: the bag of [W2] isn't valid: [/data] lacks page\\x1b 3 :boom:"
    assert lines[3] == "  cause: cause: [Errno 5]"


def test_who_works_on_it(command: Command, filled: Ledger) -> None:
    lease = filled.object(3).lease_until
    assert lease
    until = f"claimed by {RUN.name} until {local(lease)} unless renewed"
    assert command("status", "W3").out.splitlines()[0] == f"W3.bag.zip: restored, {until}"


def test_how_far_a_stage_has_come(command: Command, filled: Ledger) -> None:
    pace = Pace(4 * 2**30, 16 * 2**30, gained=2**32, seconds=40)
    filled.tell_pace(3, RUN, "download_from_messages", pace)
    told = filled.object(3).progress
    assert told
    words = "download_from_messages: 4,096 of 16,384 MiB (25 %), 102 MiB/s, 0:02:00 left"
    assert command("status").out.splitlines()[3].endswith(f"  {words}")
    assert command("status", "W3").out.splitlines()[2] == f"  {words}, told at {local(told.time)}"
    (found,) = command("status", "W3", "--json").facts
    assert found["progress"] == {
        "stage": "download_from_messages",
        "done": 4 * 2**30,
        "in_all": 16 * 2**30,
        "rate": 2**32 / 40,
        "seconds_left": 120,
        "time": told.time.isoformat(),
    }
    assert [item["progress"] for item in command("status", "--json").facts[:2]] == [None, None]


def test_an_object_whose_processes_die_is_told(command: Command, home: Path) -> None:
    clock = HandClock()
    with Ledger(load_settings().ledger_url.get_secret_value(), lease=LEASE, clock=clock) as ledger:
        ledger.migrate()
        record_works(ledger, "W1")
        for turn in range(4):
            assert len(ledger.claim(dag_run(f"turn {turn}"), 1)) == 1
            clock.passes(LEASE)
        words = "its process ended without a word 3 times since it last came on: see to the machine and its memory"
        assert command("status").out.splitlines()[1].endswith(f"  {words}")
        assert f"  {words}" in command("status", "W1").out.splitlines()
        ledger.advance(1, dag_run("turn 3"), Phase.DOWNLOADED, "downloaded")
        assert "without a word" not in command("status").out


def test_every_object_of_a_work_is_told(command: Command, filled: Ledger) -> None:
    again = announced(work_key("W1"), etag="another")
    filled.record("nlm", "again", [again], [])
    assert command("status", "W1").out.count(f"s3://staging/{work_key('W1')}") > 1
    assert [found["phase"] for found in command("status", "W1", "--json").facts] == ["synced", "restored"]


def test_an_object_is_named_by_its_number(command: Command, filled: Ledger) -> None:
    assert [found["id"] for found in command("status", "#2", "--json").facts] == [2]
    ended = command("status", "#99")
    assert (ended.status, ended.out) == (2, "")
    assert "the ledger doesn't know '#99'" in ended.error


def test_the_overview_as_json(command: Command, filled: Ledger) -> None:
    first, second, third = command("status", "--json").facts
    assert (first["name"], first["phase"], first["bucket"]) == ("W1", "synced", "staging")
    assert [step["phase"] for step in first["reached"]] == ["restored", "downloaded", "debagged", "synced"]
    (work,) = first["works"]
    assert (work["rid"], work["audit"], work["destination"]) == ("W1", "Passed", "/mnt/Archive0/01/W1")
    assert (second["phase"], second["reason"], second["cause"]) == ("failed", REASON, "cause: [Errno 5]")
    assert third["claimed_by"].startswith(RUN.name)
    assert "events" not in first


def test_a_history_as_json(command: Command, filled: Ledger) -> None:
    (found,) = command("status", "W2", "--json").facts
    events = filled.events(2)
    assert [event["kind"] for event in found["events"]] == [event.kind for event in events]
    assert found["events"][-1]["message"] == REASON
    assert found["events"][-1]["time"] == events[-1].time.isoformat()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_unknown_work_is_wrong_use(command: Command, filled: Ledger, options: list[str]) -> None:
    ended = command("status", "W99", *options)
    assert (ended.status, ended.out) == (2, "")
    assert "the ledger doesn't know 'W99'" in ended.error


@pytest.mark.parametrize("name", ["", "W\x1b9", "x" * 300, "Archive0/00/W9/W9.bag.zip"])
def test_what_is_no_works_name_is_wrong_use(command: Command, filled: Ledger, home: Path, name: str) -> None:
    (home / "archive" / "Archive0").mkdir(parents=True)
    ended = command("status", name)
    assert (ended.status, ended.out) == (2, "")
    assert ended.error.endswith(": expected a work's RID, an object's key, or its number as #12; correct the name")
    assert "the archive" not in ended.error


def test_an_unknown_work_is_looked_for_in_the_archive(command: Command, filled: Ledger, home: Path) -> None:
    place = home / "archive" / "Archive0" / "00" / "W9"
    unmounted = command("status", "W9").error
    assert "archive" not in unmounted
    place.parent.mkdir(parents=True)
    assert f"the ledger doesn't know 'W9', and the archive has no {place}" in command("status", "W9").error
    place.mkdir()
    ended = command("status", "W9")
    assert (ended.status, ended.out) == (2, "")
    assert f"the ledger doesn't know 'W9', but the archive has {place}" in ended.error
    assert ended.error.endswith("glacier-sync audit W9")


def test_a_state_folder_that_cannot_be_is_wrong_configuration(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(tmp_path / "file"))
    ended = command("status")
    assert (ended.status, ended.out) == (2, "")
    assert ended.error.startswith(f"the ledger's folder {tmp_path / 'file'} can't be made: ")
    assert ended.error.endswith("or correct GLACIER_SYNC_LEDGER_URL or GLACIER_SYNC_HOME")
