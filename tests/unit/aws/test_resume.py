"""Downloads over a bad line, and after being killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from tests.support.aws import REGION, Site, noise
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy

from glacier_sync.aws import (
    CorruptDownloadError,
    Download,
    ServiceUnavailableError,
    journal_path,
    part_path,
)
from glacier_sync.emulator.server import Emulator

KEY = "W1.zip"
CONTENT = noise(100)  # in ranges of 10
PARTS = [CONTENT[start : start + 5] for start in range(0, 100, 5)]


@pytest.fixture(scope="module")
def running(emulator: Emulator) -> Iterator[FaultProxy]:
    with fault_proxy(emulator.url) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: FaultProxy, aws: Site, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    running.reset()
    return running


@pytest.fixture(params=["one piece", "parts"])
def to(request: pytest.FixtureRequest, aws: Site, tmp_path: Path) -> Path:
    if request.param == "parts":
        aws.put_parts(KEY, PARTS)
    else:
        aws.put(KEY, CONTENT)
    return tmp_path / "W1.zip"


def bring(aws: Site, to: Path, *, streams: int = 1, part_size: int = 10) -> Download:
    store = aws.store
    return store.download(store.head(aws.bucket, KEY), to, streams=streams, part_size=part_size)


def interrupt(aws: Site, proxy: FaultProxy, to: Path, after: int) -> None:
    """Leave a download that ended after some ranges."""
    proxy.faults.extend([*(Fault() for _ in range(after)), Fault(status=404, code="NoSuchKey")])
    with pytest.raises(Exception, match="there is no such object"):
        bring(aws, to)
    proxy.requests.clear()


def is_clean(to: Path) -> bool:
    return to.read_bytes() == CONTENT and not part_path(to).exists() and not journal_path(to).exists()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(keep=0), id="closed before the first byte"),
        pytest.param(Fault(keep=4), id="closed in the middle"),
        pytest.param(Fault(keep=4, reset=True), id="reset in the middle"),
        pytest.param(Fault(status=503, code="SlowDown"), id="slow down"),
        pytest.param(Fault(status=500), id="an error of the service"),
    ],
)
@pytest.mark.parametrize("streams", [1, 4])
def test_a_line_that_breaks_once(aws: Site, proxy: FaultProxy, to: Path, fault: Fault, streams: int) -> None:
    proxy.faults.extend([Fault(), fault])
    assert bring(aws, to, streams=streams).verified
    assert is_clean(to)


def test_a_range_goes_on_where_it_broke_off(aws: Site, proxy: FaultProxy, to: Path) -> None:
    proxy.faults.append(Fault(keep=4))
    bring(aws, to, part_size=5000)
    assert proxy.ranges == ["bytes=0-99", "bytes=4-99"]
    assert is_clean(to)


def test_a_line_that_keeps_breaking(aws: Site, proxy: FaultProxy, to: Path) -> None:
    proxy.faults.extend([Fault(), Fault(), *(Fault(keep=1) for _ in range(5))])
    with pytest.raises(
        ServiceUnavailableError, match="the connection broke off 5 times; what arrived is kept"
    ) as raised:
        bring(aws, to)
    assert raised.value.cause
    assert not to.exists()
    proxy.requests.clear()
    assert bring(aws, to).reused == 20
    assert proxy.ranges[0] == "bytes=20-29"
    assert is_clean(to)


def test_a_service_that_stays_away(aws: Site, proxy: FaultProxy, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    proxy.faults.extend([Fault(), Fault(status=503, code="SlowDown")])
    with pytest.raises(ServiceUnavailableError, match=f"can't download s3://.*{KEY} for now: Amazon answers SlowDown"):
        bring(aws, to)
    assert bring(aws, to).reused == 10
    assert is_clean(to)


def test_a_service_that_ignores_ranges(aws: Site, proxy: FaultProxy, to: Path) -> None:
    proxy.faults.append(Fault(ranged=False))
    with pytest.raises(ServiceUnavailableError, match="answers with other bytes than asked for") as raised:
        bring(aws, to)
    assert raised.value.cause == "expected bytes 0-9/100, found None"
    assert not to.exists()


def test_a_byte_that_is_changed_on_the_way(aws: Site, proxy: FaultProxy, to: Path) -> None:
    proxy.faults.extend([Fault(), Fault(flip=3)])
    with pytest.raises(CorruptDownloadError, match="arrived damaged"):
        bring(aws, to)
    assert not to.exists()
    assert not part_path(to).exists()
    assert not journal_path(to).exists()
    assert bring(aws, to).reused == 0
    assert is_clean(to)


def test_only_what_is_missing_is_brought(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=7)
    assert part_path(to).stat().st_size == 100
    assert bring(aws, to).reused == 70
    assert proxy.ranges == ["bytes=70-79", "bytes=80-89", "bytes=90-99"]
    assert is_clean(to)


def test_a_part_file_that_was_tampered_with_is_noticed(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=7)
    with part_path(to).open("r+b") as part:
        part.seek(33)
        part.write(bytes([CONTENT[33] ^ 1]))
    assert bring(aws, to).reused == 60
    assert proxy.ranges == ["bytes=30-39", "bytes=70-79", "bytes=80-89", "bytes=90-99"]
    assert is_clean(to)


@pytest.mark.parametrize("size", [0, 35, 200])
def test_a_part_file_of_another_size_is_noticed(aws: Site, proxy: FaultProxy, to: Path, size: int) -> None:
    interrupt(aws, proxy, to, after=7)
    os.truncate(part_path(to), size)
    assert bring(aws, to).reused == min(size // 10 * 10, 70)
    assert is_clean(to)


def test_a_part_file_that_is_gone(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=7)
    part_path(to).unlink()
    assert bring(aws, to).reused == 0
    assert is_clean(to)


def test_a_journal_that_lies_is_not_believed(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=2)
    lines = journal_path(to).read_text().splitlines()
    lies = [json.loads(lines[1]) | {"start": 20, "end": 30}, {"start": 30, "end": 40, "digests": []}]
    journal_path(to).write_text("\n".join([*lines, *map(json.dumps, lies)]) + "\n")
    assert bring(aws, to).reused == 20
    assert is_clean(to)


@pytest.mark.parametrize("garbage", ["", "{", "[]\n", "\0\0\0", '{"bucket": 1}\n{"start": 0}\n'])
def test_a_journal_that_is_garbage_counts_for_nothing(aws: Site, proxy: FaultProxy, to: Path, garbage: str) -> None:
    interrupt(aws, proxy, to, after=7)
    journal_path(to).write_text(garbage)
    assert bring(aws, to).reused == 0
    assert is_clean(to)


def test_a_torn_last_line_costs_its_range_only(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=3)
    text = journal_path(to).read_text()
    journal_path(to).write_text(text[:-20])
    interrupt(aws, proxy, to, after=1)
    assert bring(aws, to).reused == 30
    assert is_clean(to)


def test_another_size_of_ranges_starts_anew(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=7)
    assert bring(aws, to, part_size=35).reused == 0
    assert is_clean(to)


def test_what_belongs_to_another_object_is_not_used(aws: Site, proxy: FaultProxy, to: Path) -> None:
    interrupt(aws, proxy, to, after=7)
    aws.put(KEY, noise(100, "another"))
    assert bring(aws, to).reused == 0
    assert to.read_bytes() == noise(100, "another")


CHILD = """
import sys
from pathlib import Path
from glacier_sync.aws import ObjectStore
region, bucket, key, to = sys.argv[1:]
store = ObjectStore.open(region, None)
store.download(store.head(bucket, key), Path(to), streams=1, part_size=10)
"""


def test_a_download_that_was_killed_goes_on(aws: Site, proxy: FaultProxy, to: Path) -> None:
    hold = Fault(release=Event())
    proxy.faults.extend([*(Fault() for _ in range(4)), hold])
    assert hold.release
    child = subprocess.Popen([sys.executable, "-c", CHILD, REGION, aws.bucket, KEY, str(to)])
    try:
        assert hold.held.wait(60)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        hold.release.set()
    assert not to.exists()
    proxy.requests.clear()
    assert bring(aws, to).reused == 40
    assert proxy.ranges == [f"bytes={start}-{start + 9}" for start in range(40, 100, 10)]
    assert is_clean(to)
