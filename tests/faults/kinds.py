"""The faults, and which test injects each: what docs/reliability.md shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.faults.invariants import Findings

KILLS_OF_RUNS, KILLS_OF_SERVICES = 1000, 10

# The name under which a test notes what it has injected.
PROPERTY = "fault"

_KILLS, _S3, _SQS = (f"tests/faults/test_{name}.py" for name in ("kills", "s3", "sqs"))
_OPERATORS, _LARGE = (f"tests/faults/test_{name}.py" for name in ("operators", "large_files"))
_RESTORES, _VERSIONS, _ROOM = (f"tests/faults/test_{name}.py" for name in ("restores", "versions", "room"))
_DATABASES, _DISKS, _ARCHIVE = (f"tests/faults/test_{name}.py" for name in ("databases", "disks", "archive"))
_MACHINE, _DEPLOYMENT, _HOSTILE = (f"tests/faults/test_{name}.py" for name in ("machine", "deployment", "hostile"))

SERVICES = "services of a deployment are killed"

KINDS: Mapping[str, str] = {
    "killed at a boundary: the run": f"{_KILLS}::test_killed_at_chosen_boundaries",
    "killed at a boundary: the group": f"{_KILLS}::test_killed_at_chosen_boundaries",
    "killed at a boundary: the helper": f"{_KILLS}::test_helpers_killed_at_many_boundaries",
    "killed at a boundary: the web copy": f"{_KILLS}::test_killed_at_a_boundary_of_the_web_copy",
    "killed at a boundary: the watched folder": (
        f"{_KILLS}::test_killed_at_a_boundary_of_the_feeder_and_the_watched_folder"
    ),
    "killed at a boundary: a work is replaced": f"{_KILLS}::test_killed_at_a_boundary_while_a_work_is_replaced",
    "killed at a boundary: what has to fail": f"{_KILLS}::test_killed_at_a_boundary_of_what_has_to_fail",
    "killed at a boundary: with PostgreSQL": f"{_DATABASES}::test_killed_at_boundaries_with_postgresql",
    "killed at a boundary: retry and forget": f"{_OPERATORS}::test_a_forgetting_that_is_killed",
    "killed in the middle of a large file": f"{_LARGE}::test_a_copy_that_is_killed",
    "killed at a random instant": f"{_KILLS}::test_killed_at_random_instants",
    SERVICES: f"{_DEPLOYMENT}::test_services_that_are_killed",
    "S3: 503 SlowDown": f"{_S3}::test_trouble_that_passes",
    "S3: 500 InternalError": f"{_S3}::test_trouble_that_passes",
    "S3: the lookup is refused for a while": f"{_S3}::test_trouble_that_passes",
    "S3: a connection is reset": f"{_S3}::test_trouble_that_is_overcome",
    "S3: an answer is cut short": f"{_S3}::test_trouble_that_is_overcome",
    "S3: a byte is wrong": f"{_S3}::test_trouble_that_passes",
    "S3: a byte is always wrong": f"{_S3}::test_a_byte_that_is_always_wrong",
    "S3: access is denied": f"{_S3}::test_trouble_that_passes",
    "S3: the credentials have expired": f"{_S3}::test_trouble_that_passes",
    "S3: this machine's clock is wrong": f"{_S3}::test_trouble_that_passes",
    "S3: an answer trickles": f"{_S3}::test_trouble_that_is_overcome",
    "S3: an answer never comes": f"{_S3}::test_an_answer_that_never_comes",
    "S3: the object is replaced": f"{_S3}::test_an_object_that_is_replaced",
    "S3: the object is deleted": f"{_S3}::test_an_object_that_is_deleted",
    "S3: the restored copy has expired": f"{_S3}::test_a_restored_copy_that_expires",
    "S3: an expired copy is restored again": f"{_RESTORES}::test_an_expired_copy_that_is_restored_again",
    "a second version of an object": f"{_VERSIONS}::test_a_second_version_that_arrives_while_the_first_is_in_work",
    "SQS: throttled": f"{_SQS}::test_messages_that_cannot_be_received",
    "SQS: 500 InternalError": f"{_SQS}::test_messages_that_cannot_be_received",
    "SQS: received messages don't arrive": f"{_SQS}::test_messages_that_cannot_be_received",
    "SQS: messages can't be hidden for longer": f"{_SQS}::test_messages_that_cannot_be_received",
    "SQS: a deletion's answer is lost": f"{_SQS}::test_messages_that_cannot_be_deleted",
    "SQS: a batch is deleted in part": f"{_SQS}::test_messages_that_cannot_be_deleted",
    "SQS: receipt handles have expired": f"{_SQS}::test_messages_that_cannot_be_deleted",
    "SQS: a message comes twice": f"{_SQS}::test_messages_that_come_twice",
    "SQS: messages come out of order": f"{_SQS}::test_messages_out_of_order",
    "SQS: poisoned messages, to the dead-letter queue": f"{_SQS}::test_a_poisoned_message",
    "SQS: the queue is deleted": f"{_SQS}::test_a_queue_that_is_deleted_meanwhile",
    "SQS and S3 are away": f"{_SQS}::test_a_service_that_is_away",
    "more works than the disk holds": f"{_ROOM}::test_works_of_17_gb_on_a_disk_with_room_for_three",
    "the working folder's disk is full": f"{_DISKS}::test_a_disk_that_is_full",
    "the archive's disk is full": f"{_DISKS}::test_a_disk_that_is_full",
    "the logs' disk is full": f"{_DISKS}::test_a_disk_that_is_full",
    "the ledger's disk is full": f"{_DISKS}::test_a_disk_that_is_full",
    "ledger: the server goes away": f"{_DATABASES}::test_a_server_that_goes_away",
    "ledger: the server is restarted": f"{_DATABASES}::test_a_server_that_is_restarted",
    "ledger: its connections are ended": f"{_DATABASES}::test_connections_that_are_ended",
    "ledger: the server is read-only": f"{_DATABASES}::test_a_server_that_is_read_only",
    "ledger: the server's disk is full": f"{_DATABASES}::test_a_server_whose_disk_is_full",
    "ledger: the file's disk is read-only": f"{_DATABASES}::test_a_file_on_a_disk_that_is_read_only",
    "ledger: another program locks the file": f"{_DATABASES}::test_a_file_that_is_locked",
    "archive: not mounted": f"{_ARCHIVE}::test_an_archive_that_is_not_mounted",
    "archive: replaced by an empty folder": f"{_ARCHIVE}::test_an_archive_that_is_replaced_by_an_empty_folder",
    "archive: read-only": f"{_ARCHIVE}::test_an_archive_that_is_read_only",
    "archive: no inodes left": f"{_ARCHIVE}::test_an_archive_without_inodes",
    "archive: slow": f"{_ARCHIVE}::test_an_archive_that_is_slow",
    "too few open files": f"{_MACHINE}::test_too_few_open_files",
    "a run sleeps longer than its lease": f"{_MACHINE}::test_a_run_that_sleeps_longer_than_its_lease",
    "several runs at once": f"{_MACHINE}::test_many_runs_at_once",
    "a machine dies, another takes over": f"{_MACHINE}::test_runs_on_several_machines",
    "the clock jumps": f"{_MACHINE}::test_a_clock_that_jumps",
    "hostile keys and names": f"{_HOSTILE}::test_names_that_mean_something_elsewhere",
    "keys that lead out of the folder": f"{_HOSTILE}::test_keys_that_lead_elsewhere",
    "bombs among the messages": f"{_HOSTILE}::test_bombs_among_the_messages",
    "works that bring options that they may not": f"{_HOSTILE}::test_works_that_bring_options",
}


@dataclass
class Row:
    """How often a fault was injected, and what didn't hold after it."""

    times: int = 0
    lost: int = 0
    duplicated: int = 0
    unverified: int = 0

    def add(self, findings: Findings, times: int = 1) -> None:
        self.times += times
        self.lost += len(findings.lost)
        self.duplicated += len(findings.duplicated)
        self.unverified += len(findings.unverified)


def table(reports: Iterable[object]) -> dict[str, Row]:
    """Sum up what the tests of a session have noted.

    Other folders' tests note nothing; each injects its fault once. What is noted may come
    from another process, so that it consists of lists and words.
    """
    rows = {kind: Row() for kind in KINDS}
    for report in reports:
        noted = [value for name, value in report.user_properties if name == PROPERTY]
        test = report.nodeid.partition("[")[0]
        if not noted and not test.startswith("tests/faults/"):
            noted = [(kind, {}, 1) for kind, by in KINDS.items() if by == test]
        for kind, findings, times in noted:
            rows[kind].add(Findings(**findings), times)
    return rows


def shortage(rows: Mapping[str, Row]) -> str | None:
    """Say what a whole run of the faults has too few kills of, if it has."""
    runs = sum(row.times for kind, row in rows.items() if kind.startswith("killed "))
    services = rows[SERVICES].times
    if runs >= KILLS_OF_RUNS and services >= KILLS_OF_SERVICES:
        return None
    return (
        f"{runs:,} kills of runs and {services} of a deployment's services: expected at least {KILLS_OF_RUNS:,} and "
        f"{KILLS_OF_SERVICES}; look at what was skipped or failed above"
    )


def as_markdown(rows: Mapping[str, Row]) -> str:
    """Return the table as docs/reliability.md has it."""
    lines = ["| fault | test | times injected | lost | duplicated | unverified |", "|---|---|--:|--:|--:|--:|"]
    for kind, row in rows.items():
        path = KINDS[kind].partition("::")[0]
        lines.append(f"| {kind} | `{path}` | {row.times:,} | {row.lost} | {row.duplicated} | {row.unverified} |")
    return "\n".join(lines) + "\n"
