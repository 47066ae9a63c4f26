"""``audit``: the audit tool with the site's options, run by hand."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.support.images import draw_work
from tests.support.pipeline import Bagger, Installation

from .conftest import COMMAND, Command

RID = "W1TEST01"


@pytest.fixture
def archived(place: Installation) -> Path:
    """A work in the archive, which the ledger doesn't know."""
    folder = place.archived(RID)
    return draw_work(folder.parent, RID)


def lack_a_page(work: Path) -> None:
    sorted((work / "images").rglob("*.tif"))[0].unlink()


def test_an_archived_work_is_audited_by_its_rid(command: Command, place: Installation, archived: Path) -> None:
    ended = command("audit", RID)
    assert (ended.status, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["work", "test", "outcome", "findings"],
        [RID, "all", "tests", "(10)", "Passed", "0"],
        ["1", "work:", "1", "passed"],
    ]
    assert len(list(place.settings.log_dir.glob(f"audit-test-logs/*/*/PASS-{RID}-*.csv"))) == 1
    (event,) = place.ledger.events()
    assert (event.object_id, event.message) == (None, f"audited by hand: {archived} passed its audit: 10 tests")


def test_what_is_found_is_told_and_fails_the_command(command: Command, archived: Path, tmp_path: Path) -> None:
    lack_a_page(archived)
    good = draw_work(tmp_path / "staging", "W1TEST02")
    ended = command("audit", RID, good)
    assert ended.status == 1
    assert ended.out.splitlines()[:4] == [
        f"{RID}: File Sequence Test: Failed",
        f"  109  images/{RID}-I0001 has 1 images that are numbered up to 2; expected 2",
        f"  105  images/{RID}-I0001 lacks image 0001 (of 2)",
        "       add what is missing, or number the images from 1 on without gaps",
    ]
    assert ended.out.endswith("2 works: 1 failed, 1 passed\n")


def test_programs_get_one_document(command: Command, archived: Path) -> None:
    lack_a_page(archived)
    ended = command("audit", "--json", RID)
    assert ended.status == 1
    (facts,) = ended.facts
    assert (facts["rid"], facts["path"], facts["outcome"]) == (RID, str(archived), "Failed")
    assert Path(facts["report"]).name.startswith(f"FAIL-{RID}-")
    (failed,) = [test for test in facts["tests"] if test["outcome"] == "Failed"]
    assert [finding["number"] for finding in failed["findings"]] == [109, 105]


def test_the_options_of_the_site_count_before_and_after_archiving(
    command: Command, place: Installation, archived: Path, tmp_path: Path
) -> None:
    place.say({"audit": {"pre": ["-T", "FileSequence"], "post": ["-T", "FileSizeTests,NoFilesInFolder"]}})
    elsewhere = draw_work(tmp_path / "staging", RID)

    def names(*works: object) -> list[str]:
        return [test["name"] for facts in command("audit", "--json", *works).facts for test in facts["tests"]]

    assert names(elsewhere) == ["File Sequence Test"]
    assert names(RID) == names(f"{archived}/") == ["No Files in Root Folder", "File Size Test"]


def test_the_properties_of_the_users_file_count(
    command: Command, place: Installation, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    properties = tmp_path / ".config" / "bdrc" / "auditTool" / "user.properties"
    properties.parent.mkdir(parents=True)
    properties.write_text("ErrorsAsWarning=105,109\n")
    lack_a_page(archived)
    ended = command("audit", RID)
    assert ended.status == 0
    assert ended.out.endswith("1 work: 1 passed with warnings\n")


def test_what_a_person_did_is_in_the_history_of_a_work_that_the_ledger_knows(
    command: Command, place: Installation, bagged: Bagger
) -> None:
    before = place.synced(bagged(RID, images=2))
    lack_a_page(place.archived(RID))
    assert command("audit", RID).status == 1
    after = place.ledger.object(before.id)
    assert (after.phase, after.works) == (before.phase, before.works)
    event = place.ledger.events(before.id)[-1]
    assert event.kind == "note"
    assert event.message.startswith(f"audited by hand: {place.archived(RID)} failed its audit: File Sequence Test: ")
    assert event.details["outcome"] == "Failed"
    assert Path(event.details["report"]).is_file()


def test_an_output_without_room_is_one_clear_line(archived: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([COMMAND, "audit", RID], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.startswith("glacier-sync: standard output can't be written (No space left on device): expected")
    assert done.returncode == 3


def test_a_reader_that_goes_away_is_no_traceback(archived: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run([COMMAND, "audit", RID], stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("colourless", [True, False])
def test_a_terminal_gets_colours_unless_they_are_not_wanted(archived: Path, colourless: bool) -> None:
    lack_a_page(archived)
    terminal, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **({"NO_COLOR": "1"} if colourless else {})}
    subprocess.run([COMMAND, "audit", RID], stdout=follower, stderr=subprocess.DEVNULL, env=environment, check=False)
    shown = os.read(terminal, 65536)
    os.close(follower)
    os.close(terminal)
    assert b"Failed" in shown
    assert (b"\x1b[31m" in shown) is not colourless


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("W1GONE", "W1GONE isn't a work: expected a directory that has archive"),
        ("./W1GONE", "W1GONE isn't a work"),
        (".hidden", "can't be a work's RID"),
        ("/", "can't be a work's RID"),
        ("/etc", "/etc isn't a work"),
    ],
)
def test_what_is_no_work_is_wrong_use(command: Command, place: Installation, work: str, message: str) -> None:
    ended = command("audit", work)
    assert ended.status == 2
    assert message in ended.error
    assert ended.out == ""


def test_options_that_the_audit_tool_refuses_are_told_in_its_words(
    command: Command, place: Installation, archived: Path
) -> None:
    place.say({"audit": {"post": ["-T", "Nonsense"]}})
    ended = command("audit", RID)
    assert ended.status == 2
    assert f"ended with exit status 1 and no whole report of {RID}" in ended.error
    assert "no test is named 'Nonsense'; expected of NoFilesInFolder" in ended.error


def test_a_sites_own_audit_tool_is_the_one_that_is_run(
    command: Command, place: Installation, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "audit-tool"
    tool.parent.mkdir()
    tool.write_text(
        f"""#!/bin/sh
printf 'id,test_name,outcome,error_number,error_test,detail_path\\n{RID},Ink Test,Failed,,,%s\\n,,,200,dry ink,%s\\n' \\
    "$3" "$3" >"$2/FAIL-{RID}-2026-01-02-03-04.csv"
exit 1
"""
    )
    tool.chmod(0o755)
    monkeypatch.setenv("GLACIER_SYNC_BIN_DIR", str(tool.parent))
    ended = command("audit", RID)
    assert ended.status == 1
    assert ended.out.splitlines()[:2] == [f"{RID}: Ink Test: Failed", "  200  dry ink"]


def test_a_log_folder_that_cannot_be_made_is_told(
    command: Command, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLACIER_SYNC_LOG_DIR", str(tmp_path / "file"))
    ended = command("audit", RID)
    assert ended.status == 2
    assert "can't be made (Not a directory)" in ended.error
    assert ended.error.endswith("correct GLACIER_SYNC_LOG_DIR")


def test_without_an_audit_tool_it_says_so(
    command: Command, place: Installation, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.symlink_to("/bin/false")
    monkeypatch.setattr("sys.executable", str(python))
    ended = command("audit", RID)
    assert ended.status == 2
    assert "the command audit-tool isn't on PATH" in ended.error
