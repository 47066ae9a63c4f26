"""The bash text, run by real bash with a script in syncOneWork.sh's place that tells how it was called."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.disks import disk

from glacier_sync.settings import Settings
from glacier_sync.sync import (
    SyncOptions,
    WorkSync,
    bash_environment,
    failure_line,
    machine_trouble,
    sync_script,
    work_log,
)

STAND_IN = """#!/bin/bash
printf '%s\\0' "LOCAL=$LOCAL_AUDIT_OPTIONS" "REPO=$REPO_AUDIT_OPTIONS" "NO_REFRESH=$NO_REFRESH_WEB" \
    "HAS=$ARCHIVE_STANDING" "$@" >>"$CALLS"
printf '\\0' >>"$CALLS"
echo "noise {\\"statuses\\": []}"
case "${!#}" in
    *fails7) exit 7 ;;
    *killed) kill -KILL $$ ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    stand_in = bin_dir / "syncOneWork.sh"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    known = Settings(home=tmp_path / "home dir", bin_dir=bin_dir, web_parent="s3://web/x y")
    return {
        **bash_environment(known, datetime(2025, 1, 3, 5, 15, 9, tzinfo=UTC), {}),
        "CALLS": str(tmp_path / "calls"),
    }


def run(text: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[bytes]]:
    done = subprocess.run(["bash", "-c", text], capture_output=True, check=False, env={"HOME": "/nowhere"})
    return json.loads(done.stdout.rstrip(b"\n").rpartition(b"\n")[2]), done


def calls(environment: dict[str, str]) -> list[list[str]]:
    records = Path(environment["CALLS"]).read_bytes().removesuffix(b"\0\0").split(b"\0\0")
    return [[os.fsdecode(word) for word in record.split(b"\0")] for record in records]


def sync_of(
    path: str | Path, *, archive: bool = True, web: bool = False, archive_has: str = "", **options: Any
) -> WorkSync:
    return WorkSync(Path(path), SyncOptions(**options), archive=archive, web=web, archive_has=archive_has)


def test_each_work_is_called_as_its_options_say(environment: dict[str, str]) -> None:
    works = [
        sync_of("/w/W1", archive_has="absent"),
        sync_of("/w/W2", web=True, replace=True, audit_pre=("-T", "a:b"), audit_post=("-D", "k=v")),
        sync_of("/w/W3", archive=False, update_web=False),
    ]
    result, _ = run(sync_script(works, environment, {}))
    archive = ["-a", environment["archiveParent"]]
    listed = ["-s", environment["successWorkList"], "--"]
    assert result == {"statuses": [0, 0, 0]}
    assert calls(environment) == [
        ["LOCAL=", "REPO=", "NO_REFRESH=", "HAS=absent", *archive, *listed, "/w/W1"],
        [
            *["LOCAL=-T a:b", "REPO=-D k=v", "NO_REFRESH=", "HAS=", "-A", "-W"],
            *[*archive, "-w", "s3://web/x y", *listed, "/w/W2"],
        ],
        ["LOCAL=", "REPO=", "NO_REFRESH=Yes", "HAS=", "--", "/w/W3"],
    ]


def test_every_work_is_tried_and_its_status_kept_by_position(environment: dict[str, str]) -> None:
    works = [sync_of(f"/w/{name}") for name in ("W1", "W2fails7", "W3killed", "W4")]
    result, done = run(sync_script(works, environment, {"object": 5}))
    assert result == {"object": 5, "statuses": [0, 7, 137, 0]}
    assert done.returncode == 0
    assert len(calls(environment)) == 4


def test_a_missing_script_is_a_status_too(environment: dict[str, str]) -> None:
    (Path(environment["PATH"].partition(":")[0]) / "syncOneWork.sh").unlink()
    result, done = run(sync_script([sync_of("/w/W1")], environment, {}))
    assert (result, done.returncode) == ({"statuses": [127]}, 0)


def test_without_works_there_is_a_result(environment: dict[str, str]) -> None:
    result, _ = run(sync_script([], environment, {"object": 5}))
    assert result == {"object": 5, "statuses": []}


def test_the_log_folders_are_made(environment: dict[str, str]) -> None:
    run(sync_script([], environment, {}))
    for name in ("syncLogDateTimeDir", "syncLogTempDir", "auditToolLogDateTimeDir"):
        assert Path(environment[name]).is_dir()


NAMES = [
    "W 1",
    "W'1\"",
    "W$(exit)`exit`",
    "W\\x41",
    "Wཨ་",
    "W\udce9",
    "W{{ 1/0 }}{% bad %}{#",
    "W;exit 9#",
    "W*",
    "W!!",
]


def assert_passed_byte_for_byte(name: str, environment: dict[str, str]) -> None:
    Path(environment["CALLS"]).unlink(missing_ok=True)
    facts = {"works": [name], "deep": {"a": {"b": [name]}}}
    text = sync_script([sync_of(f"/w/{name}")], environment, facts)
    assert text.isascii()
    rendered = jinja2.Environment(keep_trailing_newline=True, autoescape=False).from_string(text).render()
    assert rendered == text
    result, _ = run(text)
    assert result == {**facts, "statuses": [0]}
    assert calls(environment)[0][-1] == f"/w/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_names_pass_byte_for_byte(name: str, environment: dict[str, str]) -> None:
    assert_passed_byte_for_byte(name, environment)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=40).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/"))))
def test_any_name_passes_byte_for_byte(environment: dict[str, str], name: str) -> None:
    assert_passed_byte_for_byte(f"W{name}7", environment)


def test_the_last_failure_of_a_log_is_found(tmp_path: Path) -> None:
    failed = "syncOneWork: W1: FAILED: audit of the source: why (exit status 1)"
    log = tmp_path / "log"
    assert failure_line(log) is None
    log.write_text("")
    assert failure_line(log) is None
    log.write_text(f"syncOneWork: W1: started\n{'x' * 200_000}\nsome line\n{failed}\n")
    assert failure_line(log) == failed
    with log.open("a") as more:
        more.write("syncOneWork: W1: started\n")
    assert failure_line(log) is None
    with log.open("a") as more:
        more.write("syncOneWork: W1: done\n")
    assert failure_line(log) is None


def test_what_the_machine_was_short_of_is_found_in_the_last_sync(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    assert machine_trouble(log) is None
    log.parent.mkdir()
    log.write_text("syncOneWork: W1: started\ncp: error writing 'x': No space left on device\n")
    assert machine_trouble(log) == "No space left on device"
    with log.open("a") as more:
        more.write("syncOneWork: W1: FAILED: copy to the archive: why\nsyncOneWork: W1: started\nall is well\n")
    assert machine_trouble(log) is None


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("cp: error writing 'x: y': No space left on device", "No space left on device"),
        ("tee: No space left on device", "No space left on device"),
        ("/opt/a b/syncOneWork.sh: line 3: /logs/list: Permission denied", "Permission denied"),
        ('rsync: [receiver] mkstemp "/a/.x" failed: Permission denied (13)', "Permission denied"),
        ("OSError: [Errno 5] Input/output error: '/a/b'", "Input/output error"),
        ("audit-tool: the logs can't be written in /logs (Read-only file system); make room", "Read-only file system"),
        (
            "cp: cannot create '/a/.W1.partial': Transport endpoint is not connected",
            "Transport endpoint is not connected",
        ),
        ("mkdir: cannot create directory '/a': No such device or address", "No such device or address"),
        ("flock: 63: No locks available", "No locks available"),
        ('rsync: [sender] read errors mapping "/a/x": Connection timed out (110)', "Connection timed out"),
        ("2026/01/02 ERROR : W1-IPermission denied/a.jpg: Failed to copy: NoSuchBucket", None),
        ("cp: cannot stat 'Permission denied': No such file or directory", None),
        (">f+++++++++ images/a: Permission denied", None),
        (">f+++++++++ images/\u2028cp: Permission denied", None),
    ],
)
def test_what_the_system_refused_is_told_from_a_name_that_quotes_it(
    tmp_path: Path, line: str, trouble: str | None
) -> None:
    log = tmp_path / "log"
    log.write_text(f"syncOneWork: W1: started\n{line}\nall is well\n", encoding="utf-8")
    assert machine_trouble(log) == trouble


def test_a_full_disk_of_the_logs_is_told_as_such(tmp_path: Path) -> None:
    with disk(tmp_path / "logs"):
        log = tmp_path / "logs" / "log"
        with log.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**20))
        assert machine_trouble(log) == "No space left on device"


def test_a_log_may_hold_any_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff\nsyncOneWork: W\xe9: FAILED: success list: why (exit status 1)\n")
    assert failure_line(log) == "syncOneWork: W\\xe9: FAILED: success list: why (exit status 1)"
    failed = "syncOneWork: W1: FAILED: copy to the archive: a\x0b\u2028syncOneWork: b (exit status 43)"
    log.write_text(f"{failed}\n")
    assert failure_line(log) == failed


def test_the_real_script_writes_the_log_that_is_read(tmp_path: Path) -> None:
    """With nothing mounted the real syncOneWork.sh fails after a real audit; its log tells."""
    rid = "W'ཨ 07"
    work = tmp_path / rid
    work.mkdir()
    audit_tool = tmp_path / "bin" / "audit-tool"
    audit_tool.parent.mkdir()
    audit_tool.write_text("#!/bin/sh\n")
    audit_tool.chmod(0o755)
    environment = bash_environment(Settings(home=tmp_path), datetime.now(UTC), {})
    environment["PATH"] = f"{audit_tool.parent}:{environment['PATH']}"
    result, _ = run(sync_script([sync_of(work)], environment, {}))
    assert result == {"statuses": [75]}
    line = failure_line(work_log(environment, rid))
    assert line is not None
    assert line.startswith(f"syncOneWork: {rid}: FAILED: check of the work and its place: archive root {tmp_path}")
    for part in range(4):
        (tmp_path / "archive" / f"Archive{part}").mkdir(parents=True)
    result, _ = run(sync_script([sync_of(work)], environment, {}))
    assert result == {"statuses": [0]}
    assert failure_line(work_log(environment, rid)) is None
    assert Path(environment["successWorkList"]).read_text() == f"{rid}\n"
