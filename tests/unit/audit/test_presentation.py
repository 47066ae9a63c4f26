from __future__ import annotations

import io
import os
import pty
from pathlib import Path

from glacier_sync.audit import Finding, Outcome, WorkReport
from glacier_sync.audit import report as audit_report
from glacier_sync.audit.presentation import finding_lines, print_table, tally

LOG = Path("/logs/FAIL-W1.csv")


def result(name: str, outcome: Outcome, *findings: tuple[int, str]) -> audit_report.TestResult:
    return audit_report.TestResult(name, outcome, tuple(Finding(number, text, Path("/x")) for number, text in findings))


def report(*results: audit_report.TestResult, rid: str = "W1") -> WorkReport:
    return WorkReport(rid, Path("/a") / rid, results)


def table(*reports: WorkReport) -> list[str]:
    stream = io.StringIO()
    print_table(reports, stream)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_first_three_of_each_kind_are_shown_and_the_others_counted() -> None:
    gaps = [(105, f"lacks {number}") for number in range(1, 1205)]
    twice = [(107, f"twice {number}") for number in range(3)]
    found = report(result("Sequence", Outcome.FAILED, (106, "no sequence"), *gaps, *twice))
    assert list(finding_lines(found, LOG)) == [
        "W1: Sequence: Failed",
        "  106  no sequence",
        "  105  lacks 1",
        "  105  lacks 2",
        "  105  lacks 3",
        "  105  and 1,201 more, see /logs/FAIL-W1.csv",
        "       add what is missing, or number the images from 1 on without gaps",
        "  107  twice 0",
        "  107  twice 1",
        "  107  twice 2",
        "       give one of the two files a number of its own, or delete it",
    ]


def test_warnings_are_shown_as_failures_are_and_what_passed_is_not() -> None:
    found = report(result("Sequence", Outcome.PASSED), result("Size", Outcome.WARNINGS, (112, "x is large")))
    assert list(finding_lines(found, LOG))[:2] == ["W1: Size: Warnings", "  112  x is large"]
    assert list(finding_lines(report(result("Sequence", Outcome.PASSED)), LOG)) == []


def test_tests_that_could_not_run_for_the_same_reason_are_one_line() -> None:
    names = ("Size", "Names", "Numbers")
    found = report(*(result(name, Outcome.NOT_RUN, (101, "no folder images")) for name in names))
    assert list(finding_lines(found, LOG)) == ["W1: Not Run, as no folder images: Size, Names, Numbers"]


def test_an_unknown_number_of_another_tool_is_shown_without_a_remedy() -> None:
    assert list(finding_lines(report(result("New", Outcome.FAILED, (200, "strange"))), LOG)) == [
        "W1: New: Failed",
        "  200  strange",
    ]


def test_the_table_has_a_row_for_each_test_that_did_not_pass() -> None:
    bad = report(
        result("Root", Outcome.PASSED),
        result("Sequence", Outcome.FAILED, (109, "x"), (105, "y")),
        result("Size", Outcome.NOT_RUN, (101, "z")),
        result("Names", Outcome.PASSED),
        rid="W1BAD",
    )
    assert table(bad, report(result("Root", Outcome.PASSED))) == [
        "work   test            outcome  findings",
        "W1BAD  Sequence        Failed          2",
        "W1BAD  Size            Not Run         1",
        "W1BAD  the others (2)  Passed          0",
        "W1     all tests (1)   Passed          0",
        "2 works: 1 failed, 1 passed",
    ]


def test_the_tally_begins_with_the_worst() -> None:
    outcomes = [Outcome.PASSED, Outcome.NOT_RUN, Outcome.WARNINGS, Outcome.FAILED, Outcome.PASSED]
    assert tally([report(result("Root", outcome)) for outcome in outcomes]) == (
        "5 works: 1 failed, 1 passed with warnings, 1 passed what could be tested, 2 passed"
    )


def test_names_are_printed_as_they_are_and_visibly() -> None:
    assert "[red]a\\n\\xff" in table(report(result("Root", Outcome.PASSED), rid="[red]a\n\udcff"))[1]
    assert list(finding_lines(report(result("R", Outcome.FAILED, (102, "a\nb")), rid="W\x1b"), LOG))[:2] == [
        "W\\x1b: R: Failed",
        "  102  a\\nb",
    ]


def test_a_terminal_shows_failures_in_red() -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        print_table([report(result("Root", Outcome.FAILED, (102, "x")))], terminal)
        shown = os.read(leader, 10_000).decode()
    os.close(leader)
    assert "\x1b[31mFailed" in shown
