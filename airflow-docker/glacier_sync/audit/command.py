"""The command audit-tool."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from glacier_sync import __version__
from glacier_sync.audit.catalog import CATALOG, AuditTest, select
from glacier_sync.audit.image_readers import ImageReaders
from glacier_sync.audit.logs import RunLogs, write_report
from glacier_sync.audit.presentation import finding_lines, print_table
from glacier_sync.audit.properties import DIAGNOSTICS, Properties, home, parse_definitions
from glacier_sync.audit.report import WorkReport
from glacier_sync.audit.runner import audit_work
from glacier_sync.audit.text import visible
from glacier_sync.errors import ConfigurationError, GlacierSyncError

_EXAMPLES = """\
exit status: 0 no test failed (warnings are no failures), 1 a test failed or the arguments are wrong

examples:
  audit-tool W1NLM4700
  audit-tool -T FileSequence:WebImageAttributes W1NLM4700 W1NLM4701
  audit-tool -D MaximumImageFileSize=2200K:ErrorsAsWarning=111,112 W1NLM4700
  find /mnt/Archive0/00 -mindepth 1 -maxdepth 1 | audit-tool -l /var/log/audit -
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 if no test failed, else 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal's encoding that lacks a letter must not end the audit.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(_parser().parse_intermixed_args(arguments))
        sys.stdout.flush()
        return status
    except GlacierSyncError as error:
        print(f"audit-tool: {visible(error.message)}", file=sys.stderr)
    except BrokenPipeError:
        _write_no_more()
    except OSError as error:
        if error.filename is not None:
            raise
        _write_no_more()
        print(
            f"audit-tool: standard output can't be written ({error.strerror}): expected room for what is printed; "
            "make room, or send the output elsewhere, and audit again",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print("audit-tool: interrupted", file=sys.stderr)
    return 1


def _write_no_more() -> None:
    # Python's flush at exit would fail again (Python documentation, "Note on SIGPIPE").
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see audit-tool --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="audit-tool",
        description="Checks the files of works: folders, numbering, image formats, sizes, names and metadata.",
        usage="audit-tool [options] { - | PathToWork... }",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("works", nargs="*", metavar="PathToWork", help="a work's directory; - reads paths from standard input")
    add("-D", "--Define", action="append", default=[], metavar="K=V[:K=V]...", help="set properties")
    add("-T", "--Tests", action="append", metavar="A[:B]...", help="run only these tests, by their short names")
    add("-i", "--inputFile", metavar="FILE", help="read paths of works from a file, one a line")
    add("-l", "--log_home", metavar="DIR", type=Path, help="where logs are written (default: ~/audit-test-logs)")
    add("-Q", "--QueryTests", action="store_true", help="list the tests and exit")
    add("--json", action="store_true", help="print the reports as one JSON document on standard output")
    add("-v", "--version", action="version", version=f"audit-tool {__version__}")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.QueryTests:
        for test in CATALOG:
            print(f"{test.short_name:<30}\t{test.full_name}")
        return 0
    messages = sys.stderr if options.json else sys.stdout
    properties = Properties.load(parse_definitions(options.Define))
    for warning in properties.warnings:
        _warn(warning)
    _diagnose(properties, messages)
    tests = _selected(options.Tests)
    works = _paths(options)
    if not works:
        if properties.diagnostics:
            return 0
        raise ConfigurationError("no work is named: give paths of works, -i FILE or -; see audit-tool --help")
    reports: list[WorkReport] = []
    facts: list[dict[str, Any]] = []
    log_home = options.log_home or home() / "audit-test-logs"
    with RunLogs(log_home) as logs, ImageReaders() as readers:
        for work in works:
            report = audit_work(work, properties, readers, tests)
            logs.write(report)
            csv_path = write_report(report, log_home)
            reports.append(report)
            facts.append({**report.as_json(), "report": visible(str(csv_path))})
            _print_lines(report, messages)
            if not options.json:
                _print_findings(report, csv_path)
    failed = any(report.failed for report in reports)
    if options.json:
        print(json.dumps({"failed": failed, "works": facts}, ensure_ascii=False, indent=2))
    else:
        print_table(reports, sys.stderr)
    return 1 if failed else 0


def _selected(arguments: list[str] | None) -> tuple[AuditTest, ...]:
    if arguments is None:
        return CATALOG
    names = [name.strip() for argument in arguments for name in re.split("[:,]", argument) if name.strip()]
    tests, unknown = select(names)
    for name in unknown:
        _warn(f"there is no test {name!r}; -Q lists the tests there are")
    return tests


def _paths(options: argparse.Namespace) -> list[Path]:
    """Return the works to audit. Lists are read whole before the first is audited."""
    paths = [Path(work) for work in options.works if work != "-"]
    if options.inputFile is not None:
        try:
            with Path(options.inputFile).open("rb") as stream:
                paths += _read_paths(stream)
        except OSError as error:
            message = f"the list of works {options.inputFile} can't be read ({error.strerror}); correct -i"
            raise ConfigurationError(message, cause=str(error)) from error
    if "-" in options.works:
        paths += _read_paths(sys.stdin.buffer)
    return paths


def _read_paths(stream: IO[bytes]) -> list[Path]:
    lines = (line.rstrip(b"\r\n") for line in stream)
    return [Path(os.fsdecode(line)) for line in lines if line]


def _diagnose(properties: Properties, messages: IO[str]) -> None:
    if properties.diagnostics == "properties":
        for entry in properties.entries:
            print(entry.name, visible(entry.value), visible(entry.origin), sep="\t", file=messages)
    elif properties.diagnostics:
        _warn(f"{DIAGNOSTICS}={properties.diagnostics} is not known and has no effect; known is properties")


def _print_lines(report: WorkReport, messages: IO[str]) -> None:
    path = visible(str(report.path))
    for result in report.results:
        print(result.outcome.level, result.outcome.value, path, result.name, sep="\t", file=messages)
    messages.flush()


def _print_findings(report: WorkReport, csv_path: Path) -> None:
    for line in finding_lines(report, csv_path):
        print(line, file=sys.stderr)


def _warn(message: str) -> None:
    print(f"audit-tool: warning: {visible(message)}", file=sys.stderr)
