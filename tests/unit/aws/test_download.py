"""What a download brings, checks, and refuses."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.aws import Site, noise
from tests.support.rights import ordinary_rights

from glacier_sync.aws import (
    CorruptDownloadError,
    Download,
    DownloadInProgressError,
    NoSpaceError,
    ObjectMissingError,
    ObjectReplacedError,
    RestoreExpiredError,
    journal_path,
    layout,
    part_path,
)
from glacier_sync.aws.checksums import Checksum, combined, hasher
from glacier_sync.errors import ConfigurationError

KEY = "Archive0/00/W1/W1.bag.zip"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "download" / "W1.zip"


def bring(aws: Site, to: Path, *, streams: int = 3, part_size: int = 16) -> Download:
    store = aws.store
    return store.download(store.head(aws.bucket, KEY), to, streams=streams, part_size=part_size)


def left(to: Path) -> list[str]:
    return sorted(path.name for path in to.parent.iterdir()) if to.parent.exists() else []


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
@pytest.mark.parametrize("part_size", [16, 5000])
def test_an_object_in_one_piece(aws: Site, to: Path, size: int, part_size: int) -> None:
    aws.put(KEY, noise(size))
    download = bring(aws, to, part_size=part_size)
    assert to.read_bytes() == noise(size)
    assert download == Download(to, ("MD5", "CRC32"), (), 0)
    assert left(to) == ["W1.zip"]


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([7, 7, 3], id="the last is smaller"),
        pytest.param([7], id="only one"),
        pytest.param([7, 7, 7], id="all equal"),
        pytest.param([5, 8, 8, 1], id="several sizes"),
        pytest.param([8, 9, 7], id="several sizes that look like one"),
        pytest.param([1] * 40, id="very many"),
    ],
)
@pytest.mark.parametrize("part_size", [1, 8, 16, 5000])
def test_an_object_in_parts(aws: Site, to: Path, sizes: Sequence[int], part_size: int) -> None:
    parts = [noise(size, str(number)) for number, size in enumerate(sizes)]
    aws.put_parts(KEY, parts)
    download = bring(aws, to, part_size=part_size)
    assert to.read_bytes() == b"".join(parts)
    assert download.verified == (f"MD5 of {len(sizes)} parts",)


def test_very_large_parts_are_read_in_ranges(aws: Site, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_LARGEST_PART", 10)
    aws.put_parts(KEY, [noise(100), noise(100), noise(5)], ChecksumAlgorithm="SHA1")
    assert bring(aws, to, part_size=16).verified == ("MD5 of 3 parts", "SHA1 of 3 parts")
    assert to.read_bytes() == noise(100) * 2 + noise(5)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_beside_the_etag(aws: Site, to: Path, algorithm: str) -> None:
    aws.put(KEY, noise(100), ChecksumAlgorithm=algorithm)
    assert bring(aws, to).verified == ("MD5", algorithm)
    aws.put_parts(KEY, [noise(50), noise(50)], ChecksumAlgorithm=algorithm)
    assert bring(aws, to).verified == ("MD5 of 2 parts", f"{algorithm} of 2 parts")


@pytest.mark.parametrize("sizes", [[100], [40, 40, 20], [30, 60, 10]])
@pytest.mark.parametrize("part_size", [16, 5000])
def test_a_crc64nvme_of_the_whole_is_had_from_the_ranges_and_saves_the_md5(
    aws: Site, to: Path, sizes: Sequence[int], part_size: int
) -> None:
    parts = [noise(size, str(number)) for number, size in enumerate(sizes)]
    aws.put_parts(KEY, parts)
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    stated = replace(facts, checksums=(*facts.checksums, whole(b"".join(parts), "CRC64NVME")))
    download = store.download(stated, to, streams=2, part_size=part_size)
    assert (download.verified, download.unverified) == (("CRC64NVME",), (f"MD5 of {len(sizes)} parts",))
    assert to.read_bytes() == b"".join(parts)
    assert store.download(stated, to, streams=2, part_size=part_size).reused == 100


def test_a_crc64nvme_finds_damage_that_the_etag_is_not_asked_about(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    other = whole(noise(100, "other"), "CRC64NVME")
    with pytest.raises(CorruptDownloadError) as raised:
        store.download(replace(facts, checksums=(*facts.checksums, other)), to, streams=2, part_size=16)
    assert raised.value.cause.startswith(f"CRC64NVME: expected {other.value.hex()}, found ")
    assert left(to) == []


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C"])
def test_32_bits_prove_nothing_alone_where_there_is_more(aws: Site, to: Path, algorithm: str) -> None:
    aws.put(KEY, noise(100))
    store = aws.store
    etag, _ = store.head(aws.bucket, KEY).checksums
    facts = replace(store.head(aws.bucket, KEY), checksums=(etag, whole(noise(100), algorithm)))
    assert store.download(facts, to, streams=2, part_size=16).verified == ("MD5", algorithm)
    to.unlink()
    alone = replace(facts, checksums=facts.checksums[1:])
    assert store.download(alone, to, streams=2, part_size=16).verified == (algorithm,)


def whole(content: bytes, algorithm: str) -> Checksum:
    engine = hasher(algorithm)
    engine.update(content)
    return Checksum(algorithm, engine.digest())


# The check values of the catalogue of parametrised CRC algorithms: of "123456789".
@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("CRC32", "cbf43926"), ("CRC32C", "e3069283"), ("CRC64NVME", "ae8b14860a799888")],
)
def test_cyclic_checks_are_the_ones_that_are_meant(algorithm: str, expected: str) -> None:
    assert whole(b"123456789", algorithm).value.hex() == expected
    pieces = [(whole(piece, algorithm).value, len(piece)) for piece in (b"1234", b"", b"56789")]
    assert combined(algorithm, pieces).hex() == expected


def test_an_encrypted_object_is_checked_by_its_checksum_alone(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100), ServerSideEncryption="aws:kms", ChecksumAlgorithm="SHA256")
    assert bring(aws, to).verified == ("SHA256",)


def test_what_could_not_be_checked_is_told(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    strange = Checksum("XXHASH64", b"12345678")
    download = store.download(replace(facts, checksums=(*facts.checksums, strange)), to, streams=1, part_size=16)
    assert (download.verified, download.unverified) == (("MD5", "CRC32"), ("XXHASH64",))
    to.unlink()
    download = store.download(replace(facts, checksums=(strange,)), to, streams=1, part_size=16)
    assert (download.verified, download.unverified) == ((), ("XXHASH64",))
    assert to.read_bytes() == noise(100)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA256"])
@pytest.mark.parametrize("part_size", [16, 5000])
def test_content_that_is_not_what_s3_states(aws: Site, to: Path, algorithm: str, part_size: int) -> None:
    aws.put(KEY, noise(100))
    store = aws.store
    wrong = replace(store.head(aws.bucket, KEY), checksums=(Checksum(algorithm, b"wrong"),))
    with pytest.raises(
        CorruptDownloadError, match=f"s3://.*{KEY} arrived damaged: {algorithm}: .* is removed, try"
    ) as raised:
        store.download(wrong, to, streams=2, part_size=part_size)
    assert raised.value.cause.startswith(f"{algorithm}: expected {b'wrong'.hex()}, found ")
    assert left(to) == []


def test_an_older_version_is_brought(aws: Site, to: Path) -> None:
    s3 = aws.client.s3
    s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=aws.bucket, Key=KEY, Body=noise(50, "old"))["VersionId"]
    aws.put(KEY, noise(60, "new"))
    store = aws.store
    store.download(store.head(aws.bucket, KEY, old), to, streams=2, part_size=16)
    assert to.read_bytes() == noise(50, "old")


def test_an_object_that_was_replaced(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(50, "old"))
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    aws.put(KEY, noise(50, "new"))
    with pytest.raises(ObjectReplacedError, match=f"can't download s3://.*{KEY}: it was replaced"):
        store.download(facts, to, streams=2, part_size=16)
    assert not to.exists()


def test_an_object_that_was_deleted(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(50))
    store = aws.store
    facts = store.head(aws.bucket, KEY)
    aws.client.s3.delete_object(Bucket=aws.bucket, Key=KEY)
    with pytest.raises(ObjectMissingError, match=f"can't download s3://.*{KEY}: there is no such object"):
        store.download(facts, to, streams=2, part_size=16)
    assert not to.exists()


def test_an_archived_object(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(50), StorageClass="GLACIER")
    with pytest.raises(RestoreExpiredError) as raised:
        bring(aws, to)
    assert raised.value.message == (
        f"can't download s3://{aws.bucket}/{KEY}: it is archived and has no restored copy, or the copy has expired; "
        "request its restore, then retry"
    )
    assert not to.exists()


def test_a_finished_download_is_proved_and_not_brought_again(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    bring(aws, to)
    inode = to.stat().st_ino
    journal_path(to).write_text("left by a kill after the rename\n")
    download = bring(aws, to)
    assert (to.stat().st_ino, download.reused, download.verified) == (inode, 100, ("MD5", "CRC32"))
    assert left(to) == ["W1.zip"]


@pytest.mark.parametrize("other", [b"shorter", noise(100, "of the same size")])
def test_another_file_in_its_place_is_replaced(aws: Site, to: Path, other: bytes) -> None:
    aws.put(KEY, noise(100))
    to.parent.mkdir()
    to.write_bytes(other)
    assert bring(aws, to).reused == 0
    assert to.read_bytes() == noise(100)


def test_progress_ends_with_all_bytes(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    store = aws.store
    seen: list[tuple[int, int]] = []
    facts = store.head(aws.bucket, KEY)
    for _ in range(2):
        store.download(facts, to, streams=1, part_size=16, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (100, 100)
        assert seen == sorted(seen)
        seen.clear()


class _EnoughError(Exception):
    pass


def test_what_progress_raises_ends_the_download(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    store = aws.store

    def stop(done: int, total: int) -> None:
        raise _EnoughError

    with pytest.raises(_EnoughError):
        store.download(store.head(aws.bucket, KEY), to, streams=1, part_size=16, progress=stop)
    assert not to.exists()
    assert bring(aws, to).path.read_bytes() == noise(100)


def test_two_downloads_to_one_place(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    to.parent.mkdir()
    with part_path(to).open("wb") as other:
        other.write(b"not ours")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadInProgressError, match=r"W1\.zip\.part is being written by another process"):
            bring(aws, to)
        assert part_path(to).read_bytes() == b"not ours"
    assert bring(aws, to).path.read_bytes() == noise(100)


def test_a_download_that_another_process_finished_just_now(
    aws: Site, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put(KEY, noise(100))
    lock = fcntl.flock
    finished = noise(100, "by the other process")

    def finish_then_lock(descriptor: int, operation: int) -> None:
        if not to.exists():
            part_path(to).write_bytes(finished)
            part_path(to).rename(to)
            to.with_name("the other's").hardlink_to(to)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", finish_then_lock)
    bring(aws, to)
    assert to.read_bytes() == noise(100)
    assert to.with_name("the other's").read_bytes() == finished


def test_a_full_disk(aws: Site) -> None:
    memory = Path("/dev/shm")
    if not os.path.ismount(memory):
        pytest.skip("needs a file system in memory, which refuses too large a file at once")
    aws.put(KEY, noise(100))
    store = aws.store
    space = os.statvfs(memory)
    facts = replace(store.head(aws.bucket, KEY), size=2 * space.f_blocks * space.f_frsize)
    to = memory / aws.bucket / "W1.zip"
    try:
        with pytest.raises(NoSpaceError, match=f"no space for {to}: .* free some space, then try again") as raised:
            store.download(facts, to, streams=1, part_size=2**40)
        assert raised.value.cause.startswith("ENOSPC")
        assert left(to) == []
    finally:
        to.parent.rmdir()


def test_a_folder_that_is_a_file(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    to.parent.write_bytes(b"")
    with pytest.raises(
        ConfigurationError, match=r"W1\.zip can't be written \(.*correct its permissions or GLACIER_SYNC"
    ):
        bring(aws, to)


def test_a_folder_that_is_not_ours(aws: Site, to: Path) -> None:
    aws.put(KEY, noise(100))
    to.parent.mkdir(mode=0o555)
    with (
        ordinary_rights(),
        pytest.raises(ConfigurationError, match=r"W1\.zip can't be written \(Permission denied\)"),
    ):
        bring(aws, to)


def test_a_link_in_place_of_the_part_file_is_not_followed(aws: Site, to: Path, tmp_path: Path) -> None:
    aws.put(KEY, noise(100))
    (tmp_path / "precious").write_bytes(b"precious")
    to.parent.mkdir()
    part_path(to).symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError):
        bring(aws, to)
    assert (tmp_path / "precious").read_bytes() == b"precious"
