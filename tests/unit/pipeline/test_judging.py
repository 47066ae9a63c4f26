"""What a sync's bash came to: a copy is compared whatever fails after it, and nothing passes without an audit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.pipeline import STAMP, Bag, Bagger, Installation, change_page, is_archived

from glacier_sync import bags, pipeline
from glacier_sync.ledger import Run
from glacier_sync.pipeline import Done, Failed, RetryLater, work_sync
from glacier_sync.pipeline.by_hand import ByHand

RID = "W1TEST01"
ASIDE = f".{RID}.damaged-2026-03-01_07.00.00"

DAMAGING_CP = """#!/usr/bin/env bash
PATH=${PATH#*:} cp "$@" || exit
page=$(find "${!#}/images" -type f | head -n 1)
truncate --size=-20 "$page"
"""


def ended_with(last_line: str, status: int) -> str:
    """Return the bash's result as if its script had ended with a status."""
    return json.dumps({**json.loads(last_line), "statuses": [status]})


def damaging_commands(place: Installation) -> Path:
    """Return a site's scripts, with a cp that cuts a page of each copy short: its audit finds that."""
    folder = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, folder)
    (folder / "cp").write_text(DAMAGING_CP)
    (folder / "cp").chmod(0o755)
    return folder


def set_aside(place: Installation, made: Bag, reason: str | None) -> bool:
    """Tell whether a damaged copy lost its name, and the reason is the disk's and not the work's."""
    to = place.archived(made.works[0].name)
    assert [path.name for path in to.parent.iterdir()] == [ASIDE]
    assert reason is not None
    return f"{RID}: the archive's copy at {to} isn't what the bag holds: 1 changed" in reason


def test_a_damaged_copy_that_fails_its_audit_loses_its_name(place: Installation, bag: Bagger) -> None:
    made = bag(RID)
    place.restored(made)
    commands = damaging_commands(place)
    (outcome,) = place.run(bin_dir=commands).outcomes.values()
    assert isinstance(outcome, Failed)
    assert set_aside(place, made, outcome.reason)
    (commands / "cp").unlink()
    place.ledger.retry([1], Run.by_hand())
    place.run(bin_dir=commands)
    assert is_archived(place, made.works[0])


def test_a_damaged_copy_that_fails_its_audit_by_hand_loses_its_name(place: Installation, bag: Bagger) -> None:
    made = bag(RID)
    (work,) = bags.unbag(made.zip_path, place.home / "staging", workers=1)
    settings = place.settings.model_copy(update={"bin_dir": damaging_commands(place)})
    hand = ByHand(settings, place.ledger, STAMP, lambda _: lambda _done, _in_all: None)
    (result,) = hand.sync([work.path])
    assert set_aside(place, made, result.failure)


@pytest.mark.parametrize("status", [45, 46, 47])
def test_a_damaged_copy_loses_its_name_whatever_fails_after_it(place: Installation, bag: Bagger, status: int) -> None:
    made = bag(RID)
    number = place.debagged(made)
    last_line = ended_with(work_sync.run_script(place.planned(number)), status)
    change_page(place.archived(RID))
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, Failed)
    assert set_aside(place, made, outcome.reason)


def test_a_copy_that_is_whole_is_not_to_blame_for_what_fails_after_it(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = ended_with(work_sync.run_script(place.planned(number)), 45)
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert outcome == RetryLater(
        f"{RID}: syncOneWork.sh ended with exit status 45",
        f"ScriptFailedError: {RID}: syncOneWork.sh ended with exit status 45 (exit status 45)",
    )
    assert is_archived(place, bag(RID).works[0])


def test_a_replaced_copy_that_is_damaged_is_told_whatever_fails_after_it(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    place.synced(bag(RID))
    to = place.archived(RID)
    number = place.debagged(bag(RID, change=change_page))
    last_line = ended_with(work_sync.run_script(place.planned(number)), 44)
    change_page(to)
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert isinstance(outcome, Failed)
    assert f"the archive's copy at {to} isn't what the bag holds: 1 changed" in outcome.reason
    assert [path.name for path in to.parent.iterdir()] == [RID]


def test_a_work_that_nothing_has_audited_is_not_synced(place: Installation, bag: Bagger) -> None:
    place.restored(bag(RID))
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    (commands / "audit-tool").write_text("#!/bin/sh\n")
    (commands / "audit-tool").chmod(0o755)
    (outcome,) = place.run(bin_dir=commands).outcomes.values()
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith(f"{RID}: audit-tool ended with 0 and left no report: expected one in ")
    assert place.ledger.object(1).unknown_errors == 1
    (commands / "audit-tool").unlink()
    (outcome,) = place.run(bin_dir=commands).outcomes.values()
    assert isinstance(outcome, Done)
    assert place.ledger.object(1).works[0].audit == "Passed"
