"""The bash between the halves of a sync: its logs, its ends, a kill, and names of any kind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.pipeline import Bagger, Installation, is_archived

from glacier_sync import pipeline
from glacier_sync.errors import PermanentError
from glacier_sync.ledger import Run
from glacier_sync.pipeline import Done, Failed, RetryLater, sync, work_sync
from glacier_sync.pipeline.destination import Standing
from glacier_sync.pipeline.work_sync import PlannedWork
from glacier_sync.sync import SyncOptions
from glacier_sync.works import staging_key

RID = "W1TEST01"


# --- the bash between the halves ---------------------------------------------------


def test_two_works_of_a_run_have_their_own_logs(place: Installation, bag: Bagger) -> None:
    outcome, _ = place.settled(bag("W1TEST01", "W1TEST02"))
    assert isinstance(outcome, Done)
    folder = Path(work_sync.log_folder(place.settings, place.context().logical_date))
    assert folder == place.settings.log_dir / "sync-logs" / "2026-03-01" / "2026-03-01_07.00.00"
    logs = sorted(folder.glob("*.log"))
    assert [log.name for log in logs] == [f"sync-2026-03-01_07.00.00-W1TEST0{number}.log" for number in (1, 2)]
    for number, log in enumerate(logs, 1):
        assert log.read_text().splitlines()[-1] == f"syncOneWork: W1TEST0{number}: done"
        assert f"W1TEST0{3 - number}" not in log.read_text()
    assert (folder / "success-works.txt").read_text().split() == ["W1TEST01", "W1TEST02"]


@pytest.mark.parametrize("last_line", ["", "{}", "[1]", "Killed", '{"works": ["W1TEST01"]}'])
def test_bash_that_ends_without_its_result(place: Installation, bag: Bagger, last_line: str) -> None:
    number = place.debagged(bag(RID))
    outcome = pipeline.judge_sync(place.context(), number, last_line)
    assert outcome == RetryLater(
        "the sync's bash ended without its result",
        f"ScriptFailedError: the sync's bash ended without its result ({last_line})",
    )
    assert place.ledger.object(number).unknown_errors == 1


def test_a_step_that_keeps_failing_fails_the_object(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a finding about the work nor a cause that passes: the site's scripts aren't there."""
    place.restored(bag(RID))
    (place.home / "bin").mkdir()
    first, last = (place.run(bin_dir=place.home / "bin", max_unknown_errors=2).outcomes[1] for _ in range(2))
    assert isinstance(first, RetryLater)
    assert isinstance(last, Failed)
    assert last.reason == f"{RID}: syncOneWork.sh ended with exit status 127, 2 times; see the cause and the log"
    assert not place.archived(RID).exists()


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_a_missing_permission_that_shows_late_puts_the_work_off(place: Installation, bag: Bagger, command: str) -> None:
    place.restored(bag(RID))
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    refusing = commands / command
    refusing.write_text(f"#!/bin/sh\necho '{command}: cannot write there: Permission denied' >&2\nexit 1\n")
    refusing.chmod(0o755)
    (outcome,) = place.run(bin_dir=commands).outcomes.values()
    assert isinstance(outcome, RetryLater)
    assert f"({command} ended with 1)" in outcome.reason
    assert outcome.reason.endswith("(Permission denied: mend that, then sync again)")
    assert place.ledger.object(1).unknown_errors == 0
    refusing.unlink()
    assert isinstance(place.run(bin_dir=commands).outcomes[1], Done)


# A bash that waits for a program takes no SIGINT.
@pytest.mark.parametrize(
    ("program", "told"), [("the bash", "TERM"), ("its first work", "TERM"), ("its first work", "INT")]
)
def test_a_bash_that_is_stopped_alone_is_not_counted(place: Installation, bag: Bagger, program: str, told: str) -> None:
    """By whoever stops a service, or by a person: it says nothing of the object."""
    number = place.debagged(bag(RID))
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    whom = {"the bash": '"$(ps -o ppid= -p "$PPID" | tr -d " ")"', "its first work": '"$PPID"'}[program]
    (commands / "cp").write_text(f"#!/usr/bin/env bash\nkill -{told} {whom}\nexec sleep 60\n")
    (commands / "cp").chmod(0o755)
    outcome = sync.sync(place.context(bin_dir=commands), number)
    assert isinstance(outcome, RetryLater)
    assert place.ledger.object(number).unknown_errors == 0
    assert isinstance(sync.sync(place.context(), number), Done)
    assert is_archived(place, bag(RID).works[0])


def test_another_sync_of_the_work_is_waited_for(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    lock = place.archived(RID).parent / f".{RID}.lock"
    lock.parent.mkdir()
    holder = subprocess.Popen(
        ["flock", "--no-fork", lock, "sh", "-c", "echo locked; exec sleep 600"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        outcome = sync.sync(place.context(), number)
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout
        holder.stdout.close()
    assert isinstance(outcome, RetryLater)
    assert "another sync of this work is running; try again when it is done" in outcome.reason
    assert isinstance(sync.sync(place.context(), number), Done)


# --- the bash's environment ------------------------------------------------------------


def test_a_site_own_program_sees_amazon_keys_and_nothing_else_of_the_process(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, seen = place.home / "bin", place.home / "seen"
    shutil.copytree(place.settings.bin_dir, folder)
    (folder / "audit-tool").write_text(f'#!/usr/bin/env bash\nenv >{seen}\nPATH=${{PATH#*:}} exec audit-tool "$@"\n')
    (folder / "audit-tool").chmod(0o755)
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL", "postgresql://sync:a-password@ledger/sync")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    number = place.debagged(bag(RID))
    assert isinstance(sync.sync(place.context(bin_dir=folder), number), Done)
    told = seen.read_text().splitlines()
    assert "AWS_SESSION_TOKEN=a-token" in told
    assert [line for line in told if line.startswith("GLACIER_SYNC_") or "a-password" in line] == []


# --- the end of the process that runs the bash ---------------------------------------

RUN_SCRIPT = "import sys; from glacier_sync.pipeline import work_sync; work_sync.run_script(sys.stdin.read())"
ENDS_SLOWLY = """#!/usr/bin/env bash
mkdir -p "${!#}"
echo $$ >"$(dirname "$0")/copying"
exec sleep 600
"""


@pytest.fixture
def slow_site(place: Installation) -> Path:
    """The site's own folder of scripts: ours, and a cp that doesn't end."""
    folder = place.home / "bin"
    folder.mkdir()
    (folder / "syncOneWork.sh").symlink_to(place.settings.bin_dir / "syncOneWork.sh")
    (folder / "cp").write_text(ENDS_SLOWLY)
    (folder / "cp").chmod(0o755)
    return folder


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_everything_ends_with_the_process_that_is_killed(place: Installation, bag: Bagger, slow_site: Path) -> None:
    number = place.debagged(bag(RID))
    outcome = pipeline.plan_sync(place.context(bin_dir=slow_site), number)
    assert isinstance(outcome, Done)
    process = subprocess.Popen([sys.executable, "-c", RUN_SCRIPT], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdin
        process.stdin.write(str(outcome.facts["script"]).encode())
        process.stdin.close()
        wait_for(lambda: (slow_site / "copying").exists() and (slow_site / "copying").read_text().endswith("\n"))
        copying = int((slow_site / "copying").read_text())
        assert is_running(copying)
        process.kill()
        process.wait()
        wait_for(lambda: not is_running(copying))
        log = next(place.settings.log_dir.rglob(f"sync-*-{RID}.log"))
        wait_for(lambda: "stopped by SIGTERM" in log.read_text())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert isinstance(sync.sync(place.context(), number), Done)
    assert is_archived(place, bag(RID).works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


def wait_for(has_come: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not has_come():
        assert time.monotonic() < until
        time.sleep(0.01)


# --- a kill between what is recorded -----------------------------------------------


@pytest.mark.parametrize("phase", ["synced", "failed"])
def test_a_work_that_was_settled_before_a_kill_is_judged_anew(place: Installation, bag: Bagger, phase: Any) -> None:
    """As if the run had been killed after the first work's result was recorded, before the second's."""
    made = bag("W1TEST01", "W1TEST02")
    number = place.debagged(made)
    last_line = work_sync.run_script(place.planned(number))
    assert json.loads(last_line)["statuses"] == [0, 0]
    place.ledger.update_work(number, Run.of_this_process(), "W1TEST01", phase=phase, reason="of the killed try")
    outcome = sync.sync(place.context(), number)
    assert isinstance(outcome, Done), outcome
    works = place.ledger.object(number).works
    assert [(work.phase, work.reason) for work in works] == [("synced", None), ("synced", None)]
    assert all(is_archived(place, work) for work in made.works)


def test_a_judge_that_is_killed_judges_again(place: Installation, bag: Bagger) -> None:
    number = place.debagged(bag(RID))
    last_line = work_sync.run_script(place.planned(number))
    for _ in range(2):
        assert isinstance(pipeline.judge_sync(place.context(), number, last_line), Done)
    assert place.kinds(number).count("synced") == 1


KILLED_RSYNC = """#!/usr/bin/env bash
PATH=${PATH#*:} rsync --exclude='*.tif' "$@"
kill -KILL "$PPID"
"""


def test_an_update_that_was_stopped_is_told_where_the_site_replaces_no_longer(place: Installation, bag: Bagger) -> None:
    def change_pages(work: Path) -> None:
        for page in work.rglob("*.*"):
            page.write_bytes(page.read_bytes() + b"\0")

    older, newer = bag(RID), bag(RID, change=change_pages)
    place.synced(older)
    place.say({"sync": {"replace": True}})
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    (commands / "rsync").write_text(KILLED_RSYNC)
    (commands / "rsync").chmod(0o755)
    place.restored(newer, key=f"newer/{RID}.bag.zip")
    assert [type(outcome) for outcome in place.run(bin_dir=commands).outcomes.values()] == [RetryLater]
    assert not any(is_archived(place, made.works[0]) for made in (older, newer))
    place.say({})
    (failed,) = place.run().outcomes.values()
    assert isinstance(failed, Failed)
    assert failed.reason.endswith(
        "; an update of it was stopped, so that it may hold files of both: set sync.replace until it is synced"
    )
    place.say({"sync": {"replace": True}})
    place.ledger.retry([2], Run.by_hand())
    place.run()
    assert is_archived(place, newer.works[0])
    assert [path.name for path in place.archived(RID).parent.iterdir()] == [RID]


# --- names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "W1TEST01 དེབ་ + Übersicht.bag.zip",
        "W1TEST01.a%20b&c=d?e#f.bag.zip",
        "W1TEST01.'$(touch x)' {{ 1 }}.bag.zip",
    ],
)
def test_keys_of_any_kind(place: Installation, bag: Bagger, name: str) -> None:
    made = bag(RID)
    key = place.restored(made, key=f"{Path(staging_key(RID)).parent}/{name}")
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Done), outcome
    assert [item.key for item in place.ledger.objects()] == [key]
    assert is_archived(place, made.works[0])


def test_file_names_of_any_kind(place: Installation, bag: Bagger) -> None:
    def change(work: Path) -> None:
        for name in ("with space.txt", "དེབ་.txt", "new\nline.txt", "'$(x)' {{ 1 }} %41 +.txt", "latin-\udce9.txt"):
            (work / "sources").mkdir(exist_ok=True)
            (work / "sources" / name).write_bytes(name.encode("utf-8", "surrogateescape"))

    made = bag("W1TEST09", change=change)
    outcome, _ = place.settled(made)
    assert isinstance(outcome, Done), outcome
    assert is_archived(place, made.works[0])


def test_more_works_than_a_command_can_name_fail_in_words(place: Installation) -> None:
    stamp = datetime.now(UTC)

    def length(count: int) -> int:
        works = [Path(f"/of-a-site/data/of-works/1-0123456789ab/W{number:08}") for number in range(count)]
        planned = [PlannedWork(work, SyncOptions(), Standing.ABSENT, work) for work in works]
        text = work_sync.script(place.settings, stamp, planned, {})
        # What is accepted can be given to bash.
        subprocess.run(["bash", "-n", "-c", text], check=True)
        return len(text)

    each = length(101) - length(100)
    most = 100 + (32 * 4096 - 1 - length(100)) // each
    assert most > 300
    length(most)
    with pytest.raises(PermanentError, match=f"syncing {most + 2} works at once takes a command of .* put fewer works"):
        length(most + 2)
