"""``retry`` and ``forget``: what an operator decides about what has failed."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.ledger import announced, dag_run, record_works, work_key
from tests.support.pipeline import Bagger, Installation, is_archived

from glacier_sync.ledger import Ledger, Phase
from glacier_sync.settings import load_settings

from .conftest import Command

RUN = dag_run("first")
REASON = "a page is missing"


@pytest.fixture
def ledger(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """W1 is synced, W2 and W3 failed, W4 is in hand, W5 waits."""
    monkeypatch.setenv("LOGNAME", "elie")
    with Ledger.open(load_settings()) as opened:
        numbers = record_works(opened, "W1", "W2", "W3", "W4", "W5")
        for number in numbers[:4]:
            opened.hold(number, RUN)
        opened.advance(1, RUN, Phase.SYNCED, "done")
        opened.fail(2, RUN, REASON, "audit.csv")
        opened.fail(3, RUN, REASON, "audit.csv")
        yield opened


def phases(ledger: Ledger) -> list[str]:
    return [f"{item.phase} {item.attempt}" for item in ledger.objects()]


def test_what_has_failed_is_tried_anew(command: Command, ledger: Ledger) -> None:
    ended = command("retry", "W2", work_key("W3"))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"attempt 2  {work_key('W2')}: restored, a later run takes it up",
        f"attempt 2  {work_key('W3')}: restored, a later run takes it up",
    ]
    assert phases(ledger) == ["synced 1", "restored 2", "restored 2", "restored 1", "restored 1"]
    who = f"elie@{socket.gethostname()}"
    assert f"retried: attempt 2, asked for by {who}; the one before failed: {REASON}" in command("status", "W2").out


def test_a_retry_as_json(command: Command, ledger: Ledger) -> None:
    ended = command("retry", "W2", "W2", "--json")
    (found,) = ended.facts
    assert (ended.status, ended.err) == (0, "")
    assert (found["id"], found["phase"], found["attempt"], found["reason"]) == (2, "restored", 2, None)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("W1", f"W1: object 1 ({work_key('W1')}) is synced: only what has failed is tried anew"),
        ("W4", f"W4: object 4 ({work_key('W4')}) is restored: only what has failed is tried anew"),
        ("W9", "the ledger doesn't know 'W9': expected a work's RID or an object's key"),
        ("../W2", "the ledger doesn't know '../W2'"),
    ],
)
def test_a_retry_of_anything_else_is_refused_and_nothing_is_changed(
    command: Command, ledger: Ledger, work: str, said: str
) -> None:
    before = (ledger.objects(), ledger.events())
    ended = command("retry", "W2", work)
    assert (ended.status, ended.out) == (2, "")
    assert ended.error.startswith(said)
    assert (ledger.objects(), ledger.events()) == before


def test_only_the_last_restore_of_a_key_is_looked_at(command: Command, ledger: Ledger) -> None:
    (later,) = ledger.record("nlm", "again", [announced(work_key("W2"), etag="another")], [])
    assert f"object {later} ({work_key('W2')}) is restored" in command("retry", "W2").error
    ledger.hold(later, RUN)
    ledger.fail(later, RUN, "the same again", "")
    assert [item["id"] for item in command("retry", "W2", "--json").facts] == [later]


def test_what_is_hopeless_is_forgotten(command: Command, ledger: Ledger) -> None:
    ended = command("forget", "W2", "--reason", "the disc is lost")
    assert (ended.status, ended.out, ended.err) == (0, f"forgotten  {work_key('W2')}\n", "")
    line = command("status").out.splitlines()[2]
    assert line.split()[:3] == ["2", "W2.bag.zip", "forgotten"]
    assert line.endswith(REASON)
    lines = command("status", "W2").out.splitlines()
    assert lines[0] == "W2.bag.zip: forgotten"
    assert lines[2].startswith(f"  forgotten by elie@{socket.gethostname()} at ")
    assert lines[2].endswith(": the disc is lost")
    assert lines[3] == f"  reason: {REASON}"
    assert command("retry", "W2").status == 0
    assert command("status", "W2").out.startswith("W2.bag.zip: restored\n")


def test_what_is_forgotten_as_json(command: Command, ledger: Ledger) -> None:
    (found,) = command("forget", "W5", "--reason", "restored by mistake", "--json").facts
    assert (found["phase"], found["forgotten"]["reason"]) == ("failed", "restored by mistake")
    assert found["forgotten"]["by"] == f"elie@{socket.gethostname()}"
    assert command("status", "--json").facts[4] == found
    assert command("status", "--json").facts[0]["forgotten"] is None


def test_failures_that_a_later_version_has_mended_are_forgotten(command: Command, ledger: Ledger) -> None:
    (later,) = ledger.record("nlm", "again", [announced(work_key("W2"), etag="another")], [])
    ledger.hold(later, RUN)
    ledger.advance(later, RUN, Phase.SYNCED, "done")
    assert command("forget", "W2", "--reason", "it was mended").status == 0
    assert [item.forgotten is not None for item in ledger.find("W2")] == [True, False]
    ended = command("forget", "W2", "--reason", "once more")
    assert f"object {later} ({work_key('W2')}) is synced: its works are in the archive" in ended.error


def test_a_number_stands_for_one_object(command: Command, ledger: Ledger) -> None:
    (later,) = ledger.record("nlm", "again", [announced(work_key("W2"), etag="another")], [])
    assert command("forget", "#2", "--reason", "it was mended").status == 0
    assert [item.forgotten is not None for item in ledger.find("W2")] == [True, False]
    assert [item["id"] for item in command("retry", "#2", "--json").facts] == [2]
    assert ledger.object(later).attempt == 1
    for unknown in ("#99", "#", "#2x", f"#{2**64}"):
        ended = command("retry", unknown)
        assert ended.error.startswith(f"the ledger doesn't know '{unknown}': expected a work's RID or an object's key")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["W1", "--reason", "hopeless"], "is synced: its works are in the archive, and nothing is left to forget"),
        (["W4", "--reason", "hopeless"], "is in the hands of "),
        (["W9", "--reason", "hopeless"], "the ledger doesn't know 'W9'"),
        (["W2", "--reason", " "], "the reason is empty: expected why this is hopeless; say it with --reason"),
        (["W2"], "Missing option '--reason'"),
    ],
    ids=["synced", "in hand", "unknown", "empty reason", "no reason"],
)
def test_forgetting_anything_else_is_refused_and_nothing_is_changed(
    command: Command, ledger: Ledger, words: list[str], said: str
) -> None:
    before = (ledger.objects(), ledger.events())
    ended = command("forget", "W3", *words)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.error
    assert (ledger.objects(), ledger.events()) == before


@pytest.mark.needs("rsync")
def test_a_retry_after_its_cause_was_mended_ends_in_the_archive(
    command: Command, place: Installation, bagged: Bagger
) -> None:
    made = bagged("W1TEST01")
    place.restored(made)
    standing = place.archived("W1TEST01")
    standing.mkdir(parents=True)
    (standing / "another work").touch()
    assert command("run").status == 1
    shutil.rmtree(standing)
    assert command("retry", "W1TEST01").status == 0
    ended = command("run")
    assert (ended.status, ended.err) == (0, "")
    assert is_archived(place, made.works[0])
    assert place.working_data() == []
