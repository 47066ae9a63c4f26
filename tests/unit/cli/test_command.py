"""What all commands share: help, version, wrong use, errors, output."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder

from glacier_sync.cli.commands import DeferredCommand, commands
from glacier_sync.cli.output import DebugLines
from glacier_sync.ledger import Ledger
from glacier_sync.settings import load_settings

from .conftest import COMMAND, Command

HEAVY = {"airflow", "alembic", "boto3", "botocore", "httpx", "moto", "PIL"}
COMMANDS = [
    "verify",
    "unbag",
    "bag",
    "audit",
    "sync",
    "fixity",
    "diff",
    "sync-options",
    "run",
    "status",
    "iam-policy",
    "retry",
    "forget",
    "emulator",
]


def test_help_lists_every_command_and_the_exit_statuses(command: Command) -> None:
    ended = command("--help")
    assert ended.status == 0
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", ended.out, re.MULTILINE)
    assert listed == COMMANDS
    for meaning in ("0 done", "1 done, and something failed", "2 wrong use or configuration", "3 try again later"):
        assert meaning in " ".join(ended.out.split())


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help_with_an_example(command: Command, name: str, option: str) -> None:
    ended = command(name, option)
    assert (ended.status, ended.err) == (0, "")
    assert re.search(rf"Example: .*glacier-sync {name}\b", ended.out)


@pytest.mark.parametrize("deferred", commands(), ids=lambda deferred: deferred.name)
def test_a_command_is_listed_with_the_first_line_of_its_help(deferred: DeferredCommand) -> None:
    assert (deferred.load().help or "").partition("\n")[0] == deferred.short_help


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--version"], HEAVY | {"rich", "sqlalchemy", "pydantic", "asyncio", "glacier_sync.bags"}),
        (["--help"], HEAVY | {"rich", "sqlalchemy", "pydantic", "asyncio", "glacier_sync.bags"}),
        (["status"], HEAVY | {"glacier_sync.aws", "glacier_sync.bags", "glacier_sync.pipeline.download"}),
        (["verify", "--help"], HEAVY | {"sqlalchemy"}),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_need(words: list[str], unwanted: set[str]) -> None:
    Ledger.open(load_settings()).close()
    script = (
        f"import sys; sys.argv[1:] = {words}\nfrom glacier_sync.cli import main\n"
        f"try: main()\nexcept SystemExit: print('imported:', sorted({unwanted} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_version(command: Command) -> None:
    assert command("--version").out == "glacier-sync 0.1.0\n"


def test_without_a_command_the_help_is_shown(command: Command) -> None:
    ended = command()
    assert ended.status == 2
    assert "Usage: glacier-sync" in ended.out
    assert ended.err == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--bogus"], "No such option: --bogus"),
        (["verify", "--bogus"], "No such option: --bogus"),
        (["bogus"], "No such command 'bogus'"),
        (["verify"], "Missing argument"),
        (["unbag", "a.zip"], "Missing option '--to'"),
        (["unbag", "--to"], "--to"),
        (["status", "W1", "W2"], "unexpected extra argument"),
        (["emulator", "--port", "many"], "'--port'"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_and_where_to_look(
    command: Command, words: list[str], found: str, home: Path
) -> None:
    ended = command(*words)
    assert ended.status == 2
    assert ended.out == ""
    assert found in ended.error
    assert ended.error.endswith("; see glacier-sync --help")
    assert not home.exists()


@pytest.mark.parametrize(("shell", "words"), [("bash", "glacier-sync ver"), ("zsh", "glacier-sync ver")])
def test_a_shell_completes_commands(command: Command, shell: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GLACIER_SYNC_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", words)
    ended = command()
    assert ended.status == 0
    assert "verify" in ended.out
    assert "status" not in ended.out


def test_a_shell_completes_a_commands_options(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GLACIER_SYNC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "glacier-sync unbag --t")
    monkeypatch.setenv("COMP_CWORD", "2")
    ended = command()
    assert (ended.status, ended.out.split()) == (0, ["--to"])


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_is_given_its_completion(command: Command, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GLACIER_SYNC_COMPLETE", f"source_{shell}")
    ended = command()
    assert ended.status == 0
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=ended.out, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
    assert "_GLACIER_SYNC_COMPLETE=complete_" in ended.out


def test_tracebacks_are_shown_for_debugging_alone(command: Command) -> None:
    plain, debugged = command("verify", "/nowhere"), command("--debug", "verify", "/nowhere")
    assert (plain.status, debugged.status) == (2, 2)
    assert "/nowhere doesn't exist" in plain.error
    assert "Traceback" in debugged.err
    assert debugged.err.splitlines()[-1] == plain.err.strip()


def test_a_mistake_of_the_programs_own_is_one_line_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object, **__: object) -> None:
        raise ValueError("\x1b]0;W1\n")

    monkeypatch.setattr("glacier_sync.cli.status_command.configured", mistaken)
    ended = command("status")
    assert ended.status == 3
    assert ended.error == (
        "this error is the program's own: ValueError: \\x1b]0;W1\\n; nothing is lost by it: "
        "run the command again with --debug, and report what that shows"
    )
    assert "Traceback" in command("--debug", "status").err


def test_an_error_stays_one_line_whatever_a_name_holds(command: Command) -> None:
    ended = command("verify", "/nowhere\n\x1b[31m\udcff")
    assert ended.error.startswith(r"/nowhere\n\x1b[31m\udcff doesn't exist")


FORGING = "--x\x1b[2J\nglacier-sync: all is well"


def test_an_error_forges_no_line_for_debugging_and_draws_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = tmp_path / "intake.yml"
    intake.write_text("queues: [\N{RIGHT-TO-LEFT OVERRIDE}", encoding="utf-8")
    monkeypatch.setenv("GLACIER_SYNC_INTAKE", str(intake))
    lines = command("--debug", "iam-policy").err.split("\n")
    assert "Traceback (most recent call last):" in [line.strip() for line in lines]
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if not line.startswith("  ")] == lines[-2:]


def test_what_is_logged_for_debugging_forges_no_line_and_draws_nothing() -> None:
    met = (ValueError, ValueError(FORGING), None)
    record = logging.LogRecord("log", logging.ERROR, "", 0, "%s met an unknown error", (FORGING,), met)
    first, *traceback = DebugLines().format(record).split("\n")
    assert first == r"ERROR: --x\x1b[2J\nglacier-sync: all is well met an unknown error"
    assert traceback[-1] == "  glacier-sync: all is well"
    assert all(line.isprintable() and line.startswith("  ") for line in traceback)


@pytest.mark.parametrize("words", [["verify", "{}"], ["unbag", "{}", "--to", "."], ["unbag", "a.zip", "--to", "{}"]])
def test_a_path_that_cannot_be_looked_at_is_wrong_use(
    command: Command, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.zip").touch()
    ended = command(*(word.format("x" * 300) for word in words))
    assert ended.status == 2
    assert "File name too long" in ended.error


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("WORKERS", "many", "GLACIER_SYNC_WORKERS"),
        ("SQS_WAIT_SECONDS", "21", "GLACIER_SYNC_SQS_WAIT_SECONDS"),
        ("LEDGER_URL_FILE", "/nowhere", "GLACIER_SYNC_LEDGER_URL_FILE"),
        ("TIME_ZONE", "Mars/North", "GLACIER_SYNC_TIME_ZONE"),
    ],
)
def test_a_wrong_setting_is_named(
    command: Command, name: str, value: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"GLACIER_SYNC_{name}", value)
    ended = command("run")
    assert ended.status == 2
    assert found in ended.error
    assert ended.error.count(value) == 1
    assert "Value error" not in ended.error


@pytest.mark.parametrize("words", [["status"], ["verify", "{bag}"], ["sync-options", "--json"], ["iam-policy"]])
def test_a_misspelt_setting_is_told_once_and_changes_nothing_else(
    command: Command, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = BagBuilder().folder(tmp_path)
    given = [word.format(bag=bag) for word in words]
    plain = command(*given)
    monkeypatch.setenv("GLACIER_SYNC_LEAS_MINUTES", "30")
    told = command(*given)
    assert (told.status, told.out, plain.err) == (plain.status, plain.out, "")
    assert told.error.startswith(
        "GLACIER_SYNC_LEAS_MINUTES is no setting and changes nothing: expected GLACIER_SYNC_LEASE"
    )


@pytest.mark.parametrize("words", [["status"], ["verify", "{bag}", "--json"]])
def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path, words: list[str]) -> None:
    bag = BagBuilder().folder(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(
            [COMMAND, *(word.format(bag=bag) for word in words)],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize("words", [["status"], ["iam-policy"], ["verify", "{bag}"]])
def test_an_output_without_room_is_one_clear_line(home: Path, tmp_path: Path, words: list[str]) -> None:
    bag = BagBuilder().folder(tmp_path)
    with Path("/dev/full").open("wb") as output:
        done = subprocess.run(
            [COMMAND, *(word.format(bag=bag) for word in words)],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    (line,) = done.stderr.splitlines()
    assert line.startswith("glacier-sync: standard output can't be written (No space left on device): expected")
    assert done.returncode == 3


def test_letters_that_a_terminal_lacks_are_escaped(process: Command, tmp_path: Path) -> None:
    bag = BagBuilder(name="དེབ").folder(tmp_path)
    ended = process("verify", bag, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.status == 0
    assert r"\u0f51\u0f7a\u0f56.bag" in ended.out


def test_bars_on_a_terminal_leave_what_is_redirected_alone(tmp_path: Path) -> None:
    bag = BagBuilder().folder(tmp_path)
    terminal, stderr = pty.openpty()
    try:
        done = subprocess.run([COMMAND, "verify", bag], stdout=subprocess.PIPE, stderr=stderr, check=False)
    finally:
        os.close(stderr)
        os.close(terminal)
    assert done.returncode == 0
    assert done.stdout.startswith(f"valid    {bag}: ".encode())
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_no_verdict(tmp_path: Path, closed: str) -> None:
    pages = {f"W1/images/{number}": b"%d" % number for number in range(1500)}
    path = BagBuilder(payload=pages).zip(tmp_path)
    command = [COMMAND, "unbag", path, "--to", tmp_path]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", *command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "W1" / "images" / "1499").exists()


@pytest.mark.parametrize("environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_names_are_in_utf8_whatever_the_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    path = BagBuilder(payload={"W1/images/caf\u00e9": b"1"}).zip(tmp_path)
    command = [COMMAND, "verify", path]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"valid ")
