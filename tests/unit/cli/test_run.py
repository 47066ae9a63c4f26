"""``run``: the whole pipeline once, and everything that a user can get wrong about it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from tests.support.aws import noise
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.images import draw_work
from tests.support.pipeline import Bag, Bagger, Installation, is_archived, queue_entry
from tests.support.ports import closed_port

from glacier_sync.ledger import Phase

from .conftest import COMMAND, Command

GOOD = "W1GOOD01"
BAD = "W1BAD002"


@pytest.fixture
def good(bagged: Bagger) -> Bag:
    return bagged(GOOD)


@pytest.fixture
def bad(bagged: Bagger, tmp_path: Path) -> Bag:
    """A zip that was cut short."""
    whole = bagged(BAD)
    short = tmp_path / whole.zip_path.name
    short.write_bytes(whole.zip_path.read_bytes()[:-100])
    return Bag(short, whole.works)


def test_nothing_to_do(command: Command, place: Installation) -> None:
    ended = command("run")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "nothing to do: no object is waiting\n"
    ended = command("run", "--json")
    assert (ended.status, ended.facts) == (0, [])


@pytest.mark.parametrize("words", [["run"], ["audit", "{work}"], ["sync", "{work}"]])
def test_a_state_folder_that_is_missing_is_made_for_its_user_alone(
    command: Command, place: Installation, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "new" / "state"
    monkeypatch.setenv("GLACIER_SYNC_HOME", str(made))
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL", f"sqlite:///{tmp_path}/elsewhere.sqlite")
    work = draw_work(tmp_path / "staging", GOOD)
    before = os.umask(0o022)
    try:
        command(*(word.format(work=work) for word in words))
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.needs("rsync")
def test_what_the_queues_hold_is_synced_or_failed(
    process: Command, command: Command, place: Installation, good: Bag, bad: Bag
) -> None:
    good_key, bad_key = place.restored(good), place.restored(bad)
    ended = process("run")
    lines = sorted(ended.out.splitlines())
    assert (ended.status, ended.err) == (1, "")
    assert len(lines) == 2
    assert lines[0].startswith(f"FAILED   {bad_key}: {bad_key} isn't a valid bag: ")
    assert lines[1].startswith(f"synced   {good_key}: ")
    assert is_archived(place, good.works[0])
    assert not place.archived(BAD).exists()
    assert place.working_data() == []
    assert command("status", GOOD).out.startswith(f"{GOOD}: synced\n")
    assert command("run").out.startswith("nothing to do")


@pytest.mark.needs("rsync")
def test_a_run_as_json(command: Command, place: Installation, good: Bag, bad: Bag) -> None:
    place.restored(good)
    place.restored(bad)
    ended = command("run", "--json")
    assert ended.status == 1
    found = {item["name"]: item for item in ended.facts}
    assert found[GOOD]["phase"] == "synced"
    assert found[GOOD]["works"][0]["destination"] == str(place.archived(GOOD))
    assert found[f"{BAD}.bag.zip"]["phase"] == "failed"
    assert "isn't a valid bag" in found[f"{BAD}.bag.zip"]["reason"]
    assert sorted(line.split()[0] for line in ended.err.splitlines()) == ["FAILED", "synced"]


def capacity_mib(folder: Path) -> int:
    usage = shutil.disk_usage(folder)
    return (usage.used + usage.free) // 2**20


def test_what_waits_for_room_is_tried_again_later(
    command: Command, place: Installation, good: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = place.restored(good)
    monkeypatch.setenv("GLACIER_SYNC_KEEP_FREE_MIB", str(capacity_mib(place.home) - 10))
    ended = command("run")
    assert (ended.status, ended.out) == (3, "")
    assert ended.error.startswith(f"{key} needs 0.0 GiB for its zip and contents, ")
    assert ended.error.endswith("it waits until there is room; make some if it stays so")
    (item,) = place.ledger.objects()
    assert (item.phase, item.claimed_by) == (Phase.RESTORED, None)


def test_what_is_larger_than_the_disk_fails(
    command: Command, place: Installation, bagged: Bagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = bagged("W1LARGE3", change=lambda work: (work / "images" / "noise.bin").write_bytes(noise(5 * 2**19)))
    key = place.restored(large)
    monkeypatch.setenv("GLACIER_SYNC_KEEP_FREE_MIB", str(capacity_mib(place.home) - 3))
    ended = command("run")
    assert ended.status == 1
    assert ended.out.startswith(f"FAILED   {key}: {key} needs 0.0 GiB for its zip and contents, but ")


def test_more_that_stays_free_than_there_is_is_wrong_configuration(
    command: Command, place: Installation, good: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.restored(good)
    monkeypatch.setenv("GLACIER_SYNC_KEEP_FREE_MIB", str(10**9))
    ended = command("run")
    assert (ended.status, ended.out) == (2, "")
    assert ended.error.startswith(f"GLACIER_SYNC_KEEP_FREE_MIB is {10**9}, but ")


def test_an_archive_that_is_not_mounted_is_tried_again_later(command: Command, place: Installation, good: Bag) -> None:
    place.restored(good)
    root = place.archived(GOOD).parent.parent
    root.rmdir()
    ended = command("run")
    assert ended.status == 3
    (line,) = ended.out.splitlines()
    assert f"the archive's root {root} isn't there: is it mounted?" in line
    assert not root.exists()


@pytest.mark.needs("rsync")
def test_what_was_put_off_is_done_by_the_next_run(command: Command, place: Installation, good: Bag) -> None:
    place.restored(good)
    root = place.archived(GOOD).parent.parent
    root.rmdir()
    assert command("run").status == 3
    root.mkdir()
    assert command("run").status == 0
    assert is_archived(place, good.works[0])


def test_without_credentials(command: Command, place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = command("run")
    assert (ended.status, ended.out) == (2, "")
    assert ended.error.startswith("queue test: ")
    assert "credentials" in ended.error


@pytest.mark.parametrize(
    ("changed", "status", "found"),
    [
        ({"profile": "nowhere"}, 2, "nowhere"),
        ({"queue": "missing-queue"}, 3, "missing-queue"),
    ],
)
def test_a_queue_that_is_not_as_intake_yml_says(
    command: Command, place: Installation, changed: dict[str, str], status: int, found: str
) -> None:
    place.read_queues(queue_entry(place.site, **changed))
    ended = command("run")
    assert (ended.status, ended.out) == (status, "")
    assert ended.error.startswith("queue test: ")
    assert found in ended.error


@pytest.mark.needs("rsync")
def test_a_queue_that_fails_stops_no_other_and_is_told_once(command: Command, place: Installation, good: Bag) -> None:
    key = place.restored(good)
    place.read_queues(queue_entry(place.site, name="gone", profile="nowhere"), queue_entry(place.site))
    ended = command("run")
    assert ended.status == 1
    assert ended.out.startswith(f"synced   {key}: ")
    assert ended.error.startswith("queue gone: ")


def test_a_service_that_is_away(command: Command, place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with closed_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        ended = command("run")
    assert (ended.status, ended.out) == (3, "")
    assert "doesn't answer" in ended.error


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "doesn't exist: expected the list of queues"),
        ("queues: [", "is no valid YAML"),
        ("- a list", "expected a mapping with the key 'queues'"),
        ("queues: [{name: test}]", "the key 'queues.0.queue' is missing"),
        ("queues: [{name: a, queue: b, region: c, buckets: [d], bucket: e}]", "unknown key 'queues.0.bucket'"),
    ],
)
def test_a_wrong_intake_yml_is_one_clear_line(
    command: Command, place: Installation, text: str | None, found: str
) -> None:
    if text is None:
        place.settings.intake.unlink()
    else:
        place.settings.intake.write_text(text)
    ended = command("run")
    assert (ended.status, ended.out) == (2, "")
    assert f"{place.settings.intake}" in ended.error
    assert found in ended.error


@pytest.mark.parametrize(
    "url",
    ["mysql://someone:SECRET@host/ledger", "postgresql+nodriver://someone:SECRET@host/ledger", "SECRET", "sqlite://"],
)
@pytest.mark.parametrize("words", [["run"], ["status"], ["fixity", "W1"], ["--debug", "status"]])
def test_a_wrong_ledger_url_is_told_without_its_password(
    command: Command, url: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL", url)
    ended = command(*words)
    assert (ended.status, ended.out) == (2, "")
    assert "GLACIER_SYNC_LEDGER_URL" in ended.err.splitlines()[-1]
    assert "SECRET" not in ended.err
    assert len(ended.err.splitlines()) == 1 or "--debug" in words


@pytest.mark.parametrize("words", [["run"], ["status"], ["--debug", "run"]])
def test_a_database_that_is_away_is_tried_again_later(
    command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        monkeypatch.setenv("GLACIER_SYNC_LEDGER_URL", f"postgresql+psycopg2://someone:SECRET@127.0.0.1:{port}/ledger")
        ended = command(*words)
    assert (ended.status, ended.out) == (3, "")
    assert "127.0.0.1" in ended.err.splitlines()[-1]
    assert "SECRET" not in ended.err
    assert len(ended.err.splitlines()) == 1 or "--debug" in words


@pytest.fixture
def held(place: Installation) -> Iterator[tuple[FaultProxy, Fault]]:
    """A proxy that holds the first ranged GET until it is released."""
    with fault_proxy(place.site.url) as proxy:
        fault = Fault(release=Event())
        proxy.faults.append(fault)
        yield proxy, fault
        assert fault.release
        fault.release.set()


@pytest.mark.needs("rsync")
def test_ctrl_c_ends_a_run_at_once_and_the_next_one_completes_it(
    command: Command,
    place: Installation,
    good: Bag,
    held: tuple[FaultProxy, Fault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.restored(good)
    proxy, fault = held
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        process = subprocess.Popen([COMMAND, "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert fault.held.wait(60)
    process.send_signal(signal.SIGINT)
    # The download is held for as long as the process waits for it.
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (out, err) == (b"", b"glacier-sync: interrupted; run it again to go on\n")
    ended = command("run")
    assert (ended.status, ended.err) == (0, "")
    assert is_archived(place, good.works[0])
    assert place.working_data() == []
