from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.images import draw_work

from glacier_sync.audit import (
    Finding,
    Outcome,
    ReportNotWrittenError,
    UnreadableReportError,
    WorkReport,
    find_report,
    read_report,
    report,
    summary,
    write_report,
)
from glacier_sync.audit.logs import RunLogs
from glacier_sync.audit.text import visible

TIME = datetime(2024, 2, 3, 4, 5, 6).astimezone()
FORMULA_STARTS = ("=", "@", "+", "-", "\t", "\r")
HEADER = "id,test_name,outcome,error_number,error_test,detail_path\n"


def work_report(*outcomes: tuple[str, Outcome, list[tuple[int, str]]], rid: str = "W1") -> WorkReport:
    results = tuple(
        report.TestResult(name, outcome, tuple(Finding(n, text, Path("/a") / rid / "x") for n, text in findings))
        for name, outcome, findings in outcomes
    )
    return WorkReport(rid, Path("/a") / rid, results)


PASSED = work_report(("File Size Test", Outcome.PASSED, []))
NOT_RUN = work_report(
    ("No Files", Outcome.PASSED, []), ("File Size Test", Outcome.NOT_RUN, [(101, "the work has no folder images")])
)
WARNED = work_report(
    ("No Files", Outcome.NOT_RUN, [(101, "no folder")]), ("File Size Test", Outcome.WARNINGS, [(112, "x is too big")])
)
FAILED = work_report(
    ("File Size Test", Outcome.WARNINGS, [(112, "x is too big")]),
    ("File Sequence Test", Outcome.FAILED, [(109, "counts to 4"), (105, "W1-I1 lacks image 0003"), (105, "and 2")]),
    ("No Files", Outcome.FAILED, [(102, "the work's root holds the file x, y")]),
)


@pytest.mark.parametrize(
    ("example", "outcome", "line"),
    [
        (PASSED, Outcome.PASSED, "passed its audit: 1 test"),
        (
            NOT_RUN,
            Outcome.NOT_RUN,
            "passed its audit, but 1 of 2 tests could not run: File Size Test: the work has no folder images",
        ),
        (WARNED, Outcome.WARNINGS, "passed its audit with warnings: File Size Test: x is too big"),
        (
            FAILED,
            Outcome.FAILED,
            "failed its audit: File Sequence Test: W1-I1 lacks image 0003, and 2 more findings; "
            "add what is missing, or number the images from 1 on without gaps",
        ),
    ],
)
def test_the_worst_outcome_and_the_summary(example: WorkReport, outcome: Outcome, line: str) -> None:
    assert example.outcome is outcome
    assert example.failed == (outcome is Outcome.FAILED)
    assert summary(example) == line


def test_a_summary_of_headings_or_of_nothing_still_says_which_test() -> None:
    headings = work_report(("File Sequence Test", Outcome.FAILED, [(106, "x is no sequence")]))
    assert summary(headings).startswith("failed its audit: File Sequence Test: x is no sequence; add what is missing")
    bare = work_report(("File Sequence Test", Outcome.FAILED, []))
    assert summary(bare) == "failed its audit: File Sequence Test"


def test_a_summary_is_one_visible_line() -> None:
    line = summary(work_report(("Test", Outcome.FAILED, [(102, "the file a\nb\udcff\x1b[31m")])))
    assert line == "failed its audit: Test: the file a\\nb\\xff\\x1b[31m; move the file into a folder, or delete it"


@pytest.mark.parametrize("text", ["plain", "ཀ་བ", "a\nb", "\udc80", chr(0xD800), "\u202e", "a\\nb"])
def test_visible_text_prints_and_stays_as_it_is(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert shown.encode("utf-8")


@pytest.mark.parametrize(
    ("example", "prefix"), [(PASSED, "PASS"), (NOT_RUN, "WARN"), (WARNED, "WARN"), (FAILED, "FAIL")]
)
def test_the_reports_file_name(tmp_path: Path, example: WorkReport, prefix: str) -> None:
    paths = [write_report(example, tmp_path / "new" / "logs", TIME) for _ in range(3)]
    stem = f"{prefix}-W1-2024-02-03-04-05"
    assert [path.name for path in paths] == [f"{stem}.csv", f"{stem}-01.csv", f"{stem}-02.csv"]
    assert sorted(tmp_path.joinpath("new", "logs").iterdir()) == sorted(paths)


def test_the_reports_rows(tmp_path: Path) -> None:
    content = write_report(FAILED, tmp_path, TIME).read_text()
    assert content == HEADER + (
        "W1,File Size Test,Warnings,,,/a/W1\n"
        ",,,112,x is too big,/a/W1/x\n"
        "W1,File Sequence Test,Failed,,,/a/W1\n"
        ",,,109,counts to 4,/a/W1/x\n"
        ",,,105,W1-I1 lacks image 0003,/a/W1/x\n"
        ",,,105,and 2,/a/W1/x\n"
        "W1,No Files,Failed,,,/a/W1\n"
        ',,,102,"the work\'s root holds the file x, y",/a/W1/x\n'
    )


def test_others_may_read_the_report(tmp_path: Path) -> None:
    assert write_report(PASSED, tmp_path).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("example", [PASSED, NOT_RUN, WARNED, FAILED])
def test_a_report_is_read_back(tmp_path: Path, example: WorkReport) -> None:
    assert read_report(write_report(example, tmp_path)) == example


def test_any_file_name_survives_in_a_report(tmp_path: Path, audit: Callable[..., WorkReport]) -> None:
    work = draw_work(tmp_path)
    name = b'a\n,"\xff\x1b.txt'
    Path(os.fsdecode(bytes(work) + b"/" + name)).write_text("")
    found = audit(work, "NoFilesInFolder")
    path = write_report(found, tmp_path / "logs")
    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    assert len(rows) == 3
    assert rows[2][5] == f"{work}/" + r"a\n," + '"' + r"\xff\x1b.txt"
    assert read_report(path).results[0].findings[0].number == 102
    assert json.loads(json.dumps(found.as_json(), ensure_ascii=False).encode())["outcome"] == "Failed"


@pytest.mark.parametrize("rid", ["=1+1", "@SUM(1)", "+1", "-1"])
def test_no_name_begins_a_cell_that_a_spreadsheet_would_compute(
    tmp_path: Path, audit: Callable[..., WorkReport], rid: str
) -> None:
    work = draw_work(tmp_path, rid)
    names = ["=1+1.jpg", "@SUM(1).jpg", "+1.jpg", "-1.jpg", "\t=1.jpg"]
    groups = [folder for parent in ("archive", "images") for folder in (work / parent).iterdir()]
    for folder in (work, work / "images", *groups):
        for name in names:
            (folder / name).write_text("")
    (work / "images" / "=I2").mkdir()
    found = audit(work)
    cells = written_cells(found, tmp_path / "logs")
    assert sum(name.strip() in cell for cell in cells for name in names) > len(names)
    assert [cell for cell in cells if cell.startswith(FORMULA_STARTS)] == []


@pytest.mark.parametrize("name", ["=1+1", "@SUM(1)", "+1", "-1", "\t=1", "\r=1", "\n=1"])
def test_no_name_of_what_is_no_work_begins_a_cell_either(
    tmp_path: Path, audit: Callable[..., WorkReport], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    cells = written_cells(audit(Path(name)), tmp_path / "logs")
    assert f"{visible(str(tmp_path / name))} is not a directory" in cells
    assert [cell for cell in cells if cell.startswith(FORMULA_STARTS)] == []


def written_cells(found: WorkReport, log_home: Path) -> list[str]:
    """Write a work's tables, all of them, and return what their cells hold."""
    with RunLogs(log_home) as logs:
        logs.write(found)
    write_report(found, log_home)
    return [
        cell
        for path in log_home.rglob("*.csv")
        for row in csv.reader(path.open(encoding="utf-8", newline=""))
        for cell in row
    ]


@pytest.mark.parametrize("rid", ["W" * 255, "\n" * 255, "ཀ" * 80, "\udcff" * 100])
def test_any_work_name_makes_a_report_that_is_found(tmp_path: Path, rid: str) -> None:
    example = work_report(("Test", Outcome.PASSED, []), rid=rid)
    assert write_report(example, tmp_path).parent == tmp_path
    assert find_report(tmp_path, rid) is not None


def test_a_report_of_the_java_tool_is_read(tmp_path: Path) -> None:
    path = tmp_path / "FAIL-W1KG13765-2020-11-06-10-11.csv"
    path.write_text(
        HEADER + "W1KG13765,No Files in Root Folder,Passed,,,/pub/W1KG13765\r\n"
        "W1KG13765,Web Image Attributes,Failed,,,/pub/W1KG13765\r\n"
        ",,,110,Image file /pub/W1KG13765/images/I1/0049.tif is bad.,/pub/W1KG13765\r\n"
        "W1KG13765,File Sequence Test,Passed,/pub/W1KG13765\r\n"
        "W1KG13765,File Size Test,Unknown result status 7,,,/pub/W1KG13765\r\n"
    )
    assert find_report(tmp_path, "W1KG13765") == path
    found = read_report(path)
    assert [result.outcome for result in found.results] == [
        Outcome.PASSED,
        Outcome.FAILED,
        Outcome.PASSED,
        Outcome.FAILED,
    ]
    assert "Web Image Attributes: Image file /pub/W1KG13765/images/I1/0049.tif is bad.; make the image" in summary(
        found
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        HEADER,
        "a,b\nc,d\n",
        "id,test,outcome\nW1,T,Passed\n",
        HEADER + ",,,110,x,/a\n",
        HEADER + "W1,T,Failed,,,/a\n,,,many,x,/a\n",
        "W1\n",
    ],
)
def test_what_is_no_report_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "PASS-W1-2020-01-01-00-00.csv"
    path.write_text(content)
    with pytest.raises(UnreadableReportError, match=path.name):
        read_report(path)


def test_a_report_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableReportError, match="gone"):
        read_report(tmp_path / "gone")


def test_the_newest_report_of_that_very_work_is_found(tmp_path: Path) -> None:
    assert find_report(tmp_path / "gone", "W1") is None
    assert find_report(tmp_path, "W1") is None
    now = datetime.now(UTC)
    newest, *others = [write_report(example, tmp_path, TIME) for example in (FAILED, PASSED, WARNED)]
    os.utime(newest, (now.timestamp(),) * 2)
    for path in others:
        os.utime(path, (now.timestamp() - 60,) * 2)
    write_report(work_report(("Test", Outcome.PASSED, []), rid="W10"), tmp_path)
    write_report(work_report(("Test", Outcome.PASSED, []), rid="W1-2"), tmp_path)
    (tmp_path / "FAIL-W1-2030-01-01-00-00.csv").write_text("")
    (tmp_path / "FAIL-W1-notes.csv").write_text("notes")
    assert find_report(tmp_path, "W1") == newest
    assert find_report(tmp_path, "W1", since=now - timedelta(seconds=30)) == newest
    assert find_report(tmp_path, "W1", since=now + timedelta(seconds=30)) is None


@pytest.mark.parametrize(("milliseconds", "found"), [(-50, False), (-4, True), (0, True)])
def test_a_file_system_whose_clock_lags_a_tick_is_allowed_for(
    tmp_path: Path, milliseconds: int, *, found: bool
) -> None:
    since = datetime.now(UTC)
    path = write_report(PASSED, tmp_path)
    os.utime(path, ((since + timedelta(milliseconds=milliseconds)).timestamp(),) * 2)
    assert find_report(tmp_path, "W1", since=since) == (path if found else None)


def test_logs_that_cannot_be_written_are_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportNotWrittenError, match=r"file/logs.*--log_home"):
        write_report(PASSED, tmp_path / "file" / "logs")
    with pytest.raises(ReportNotWrittenError, match=r"file/logs.*--log_home"):
        RunLogs(tmp_path / "file" / "logs")


def test_the_runs_logs(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLogs(tmp_path, TIME) as logs:
            logs.write(PASSED)
            logs.write(FAILED)
    stamps = ["2024-02-03-04-05-06", "2024-02-03-04-05-06-01"]
    for folder, suffix in (("log", "log"), ("csv", "csv")):
        expected = {f"AuditTestShell-{kind}-{stamp}.{suffix}" for kind in ("SUMMARY", "DETAIL") for stamp in stamps}
        assert {path.name for path in (tmp_path / folder).iterdir()} == expected
    summary_csv, detail_csv, summary_log, detail_log = (
        (tmp_path / suffix / f"AuditTestShell-{kind}-{stamps[1]}.{suffix}").read_text()
        for suffix in ("csv", "log")
        for kind in ("SUMMARY", "DETAIL")
    )
    assert summary_csv.splitlines()[:3] == [
        "outcome,path,test_name",
        "Passed,/a/W1,File Size Test",
        "Warnings,/a/W1,File Size Test",
    ]
    assert detail_csv.splitlines()[:2] == ["error_number,error_test,path", "112,x is too big,/a/W1/x"]
    assert summary_log.splitlines()[0].split("\t")[1:] == [
        "INFO",
        "Passed",
        "/a/W1",
        "File Size Test",
    ]
    assert detail_log.splitlines()[-1].split("\t")[1:] == [
        "ERROR",
        "102",
        "the work's root holds the file x, y",
        "/a/W1/x",
    ]
