from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.images import draw_jpeg, draw_work

from glacier_sync import __version__
from glacier_sync.audit.command import main

COMMAND = [sys.executable, "-c", "import sys; from glacier_sync.audit.command import main; sys.exit(main())"]
ALL_SHORT_NAMES = [
    "NoFilesInFolder",
    "NoFoldersInImageGroups",
    "FileSequence",
    "WebImageAttributes",
    "FileSizeTests",
    "EXIFArchiveTest",
    "EXIFImageTest",
    "EXIFArchiveThumbnail",
    "EXIFImageThumbnail",
    "ImageFileNameFormat",
]

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return draw_work(tmp_path, "W1GOOD")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    work = draw_work(tmp_path, "W1BAD")
    (work / "archive" / "W1BAD-I0001" / "I00010001.jpg").unlink()
    return work


def run_outside(*arguments: str | bytes, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, check=False, env={**os.environ, **environment}
    )


def test_a_good_work(good: Path, home: Path, capsys: Captured) -> None:
    assert main([str(good)]) == 0
    out, err = capsys.readouterr()
    lines = [line.split("\t") for line in out.splitlines()]
    assert len(lines) == 10
    assert lines[0] == ["INFO", "Passed", str(good), "No Files in Root Folder"]
    assert [line.split() for line in err.splitlines()] == [
        ["work", "test", "outcome", "findings"],
        ["W1GOOD", "all", "tests", "(10)", "Passed", "0"],
        ["1", "work:", "1", "passed"],
    ]
    logs = home / "audit-test-logs"
    assert sorted(path.name for path in logs.iterdir() if path.is_dir()) == ["csv", "log"]
    assert [path.name[:12] for path in logs.glob("*.csv")] == ["PASS-W1GOOD-"]


def test_a_failed_work(good: Path, bad: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["-l", str(tmp_path / "logs"), str(bad), str(good)]) == 1
    out, err = capsys.readouterr()
    assert f"ERROR\tFailed\t{bad}\tFile Sequence Test" in out.splitlines()
    assert f"INFO\tPassed\t{good}\tFile Sequence Test" in out.splitlines()
    assert err.splitlines()[:4] == [
        "W1BAD: File Sequence Test: Failed",
        "  109  archive/W1BAD-I0001 has 1 images that are numbered up to 2; expected 2",
        "  105  archive/W1BAD-I0001 lacks image 0001 (of 2)",
        "       add what is missing, or number the images from 1 on without gaps",
    ]
    assert [line.split() for line in err.splitlines()[5:]] == [
        ["W1BAD", "File", "Sequence", "Test", "Failed", "2"],
        ["W1BAD", "the", "others", "(9)", "Passed", "0"],
        ["W1GOOD", "all", "tests", "(10)", "Passed", "0"],
        ["2", "works:", "1", "failed,", "1", "passed"],
    ]
    assert len(list((tmp_path / "logs").glob("FAIL-W1BAD-*.csv"))) == 1
    assert len(list((tmp_path / "logs").glob("PASS-W1GOOD-*.csv"))) == 1


def test_warnings_and_tests_not_run_are_no_failures(tmp_path: Path, capsys: Captured) -> None:
    draw_jpeg(tmp_path / "W1" / "archive" / "W1-I1" / "I10001.jpg", orientation=6)
    assert main([str(tmp_path / "W1")]) == 0
    out = capsys.readouterr().out
    assert f"WARN\tWarnings\t{tmp_path}/W1\tArchive Valid EXIF Test" in out.splitlines()
    assert f"WARN\tNot Run\t{tmp_path}/W1\tFile Size Test" in out.splitlines()


def test_a_work_that_is_not_there_fails(tmp_path: Path, capsys: Captured) -> None:
    assert main([str(tmp_path / "gone")]) == 1
    assert "gone is not a directory" in capsys.readouterr().err


def test_a_relative_path_has_its_works_name(good: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(good)
    assert main(["-l", str(tmp_path / "logs"), "."]) == 0
    assert len(list((tmp_path / "logs").glob("PASS-W1GOOD-*.csv"))) == 1


def test_query_lists_the_tests(capsys: Captured) -> None:
    assert main(["-Q"]) == 0
    lines = [[part.strip() for part in line.split("\t")] for line in capsys.readouterr().out.splitlines()]
    assert [short for short, _ in lines] == ALL_SHORT_NAMES
    assert lines[5] == ["EXIFArchiveTest", "Archive Valid EXIF Test"]


def test_version_and_help(capsys: Captured) -> None:
    for option, text in (("-v", __version__), ("--version", __version__), ("-h", "examples:"), ("--help", "-T")):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-T", "FileSequence"], 1),
        (["-T", "FileSizeTests:FileSequence"], 2),
        (["-T", "FileSizeTests,FileSequence"], 2),
        (["-T", "FileSizeTests, FileSequence", "--Tests", "NoFilesInFolder:FileSequence"], 3),
    ],
)
def test_only_these_tests(good: Path, capsys: Captured, arguments: list[str], count: int) -> None:
    assert main([*arguments, str(good)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == count


def test_an_unknown_test_beside_a_known_one_is_a_warning(good: Path, capsys: Captured) -> None:
    assert main(["-T", "FileSequence:Nonsense", str(good)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "warning: there is no test 'Nonsense'" in err


@pytest.mark.parametrize("names", ["Nonsense", "", ":", "filesequence"])
def test_no_known_test_is_an_error(good: Path, home: Path, capsys: Captured, names: str) -> None:
    assert main(["-T", names, str(good)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "expected of NoFilesInFolder" in err
    assert list(home.iterdir()) == []


def test_definitions_decide(bad: Path, capsys: Captured) -> None:
    assert main(["-T", "FileSequence", "-D", "ErrorsAsWarning=105,109", str(bad)]) == 0
    assert main(["-T", "FileSequence", "-DMaximumImageFileSize=1K:ErrorsAsWarning=109", str(bad)]) == 1


def test_a_misspelt_property_is_told(good: Path, capsys: Captured) -> None:
    assert main(["-D", "ErrorAsWarning=105", str(good)]) == 0
    assert "warning: the property ErrorAsWarning (command line) is not known" in capsys.readouterr().err


def test_diagnostics_tell_where_values_come_from(home: Path, capsys: Captured) -> None:
    path = home / ".config" / "bdrc" / "auditTool" / "user.properties"
    path.parent.mkdir(parents=True)
    path.write_text("MaximumImageFileSize=2200K")
    assert main(["-D", "Diagnostics=properties:FileSequence.SequenceLength=5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"MaximumImageFileSize\t2200K\t{path}" in lines
    assert "FileSequence.SequenceLength\t5\tcommand line" in lines
    assert "ErrorsAsWarning\t115, 117\tdefault" in lines


def test_unknown_diagnostics_are_told(good: Path, capsys: Captured) -> None:
    assert main(["-D", "Diagnostics=jvm", str(good)]) == 0
    assert "Diagnostics=jvm is not known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no work is named"),
        (["--nonsense"], "--nonsense"),
        (["--Test", "FileSequence"], "--Test"),
        (["-D", "nonsense", "W1"], "property=value"),
        (["-D", "FileSequence.SequenceLength=x", "W1"], "1 to 9"),
        (["-i", "/nonexistent/list"], "/nonexistent/list can't be read"),
        (["-i", "/dev/null"], "no work is named"),
        (["-T"], "-T"),
        (["-l", "/dev/null/logs", "W1"], "can't be written in /dev/null/logs"),
    ],
)
def test_wrong_arguments_end_with_1_and_one_line(capsys: Captured, arguments: list[str], message: str) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("audit-tool: ")
    assert err.count("\n") == 1


def test_an_input_file_lists_works(good: Path, bad: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "list").write_text(f"{good}\r\n\n{bad}")
    assert main(["-T", "NoFilesInFolder", "-i", str(tmp_path / "list")]) == 0
    assert [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()] == [str(good), str(bad)]


def test_standard_input_lists_works_beside_arguments(good: Path, bad: Path) -> None:
    ended = run_outside("-T", "FileSequence", "-", str(bad), "-D", "ErrorsAsWarning=", stdin=bytes(good) + b"\n")
    assert ended.returncode == 1
    assert [line.split(b"\t")[1:3] for line in ended.stdout.splitlines()] == [
        [b"Failed", bytes(bad)],
        [b"Passed", bytes(good)],
    ]


def test_empty_standard_input_is_an_error() -> None:
    ended = run_outside("-")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"no work is named" in ended.stderr


def test_names_of_any_bytes_from_standard_input(tmp_path: Path) -> None:
    path = bytes(tmp_path) + b"/W\xff\xe0\xbd\x80"
    draw_work(tmp_path).rename(os.fsdecode(path))
    ended = run_outside("-T", "NoFilesInFolder", "-", stdin=path, LC_ALL="C", PYTHONIOENCODING="latin-1")
    assert ended.returncode == 0
    assert b"W\\xff\\u0f40" in ended.stdout
    assert b"W\\xff\\u0f40  all tests (1)" in ended.stderr


def test_json_is_one_document_and_the_lines_go_to_standard_error(good: Path, bad: Path, capsys: Captured) -> None:
    assert main(["--json", "-D", "Diagnostics=properties", str(good), str(bad)]) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["failed"] is True
    first, second = document["works"]
    assert (first["rid"], first["outcome"], first["path"]) == ("W1GOOD", "Passed", str(good))
    assert Path(first["report"]).name.startswith("PASS-W1GOOD-")
    assert [test["name"] for test in first["tests"] if test["outcome"] != "Passed"] == []
    failed = next(test for test in second["tests"] if test["outcome"] == "Failed")
    assert failed["name"] == "File Sequence Test"
    assert [finding["number"] for finding in failed["findings"]] == [109, 105]
    assert f"INFO\tPassed\t{good}\tFile Sequence Test" in err.splitlines()


def test_a_process_is_started_only_for_tests_that_look_into_images(good: Path) -> None:
    code = f"""
import os, sys
from glacier_sync.audit.command import main
started = []
sys.addaudithook(lambda event, arguments: started.append(arguments[1]) if event == "subprocess.Popen" else None)
main(["-T", "FileSequence:FileSizeTests", {str(good)!r}])
assert not started
main(["-T", "WebImageAttributes", {str(good)!r}])
assert len(started) == 1
assert "PIL" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_reader_that_goes_away_is_no_traceback(good: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "-T", "NoFilesInFolder", *[str(good)] * 3], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert b"Traceback" not in errors
    assert process.returncode == 1


@pytest.mark.parametrize("words", [["{work}"], ["--json", "{work}"], ["-Q"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_without_room_is_one_clear_line(
    good: Path, tmp_path: Path, words: list[str], unbuffered: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, "-T", "NoFilesInFolder", "-l", tmp_path / "logs", *(word.format(work=good) for word in words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    told = [line for line in ended.stderr.splitlines() if line.startswith("audit-tool: ")]
    assert (ended.returncode, len(told)) == (1, 1)
    assert told[0].startswith("audit-tool: standard output can't be written (No space left on device): expected room")
    assert "Traceback" not in ended.stderr
