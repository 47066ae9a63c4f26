"""Downloading: from an S3 server on this machine that is faster than all who read from it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.contenders import boto3_transfer, plain_ranges
from tests.bench.contenders import our_download as ours
from tests.bench.data import emptied
from tests.bench.model import (
    OURS,
    UNFLUSHED,
    Comparison,
    Contender,
    Environment,
    Goal,
    Scale,
    Step,
    call,
    command,
    lacking,
)
from tests.bench.server import BUCKET, REGION, ServedObject, crc64nvme, multipart_etag, served
from tests.bench.unflushed import NO_LIBRARY, WITHOUT_FLUSHING

KEY = "W1.bag.zip"
STREAMS = 4
PART_MIB = 64
# What the AWS CLI and boto3 upload in.
_UPLOADED_PART = 8 * 2**20

BOTO3 = "boto3, default"
RCLONE = f"rclone, {STREAMS} streams"
S5CMD = f"s5cmd, {STREAMS} streams"
LIMIT = f"limit: {STREAMS} plain ranged GETs"


def downloading(scale: Scale) -> Iterator[Comparison]:
    """Compare downloads of one object."""
    source = scale.folder / "object"
    with source.open("wb") as file:
        for _ in range(scale.mib):
            file.write(os.urandom(2**20))
    etag = multipart_etag(source, _UPLOADED_PART)
    parts = f"{scale.mib} MiB, uploaded in parts of {_UPLOADED_PART // 2**20} MiB"
    for proof, headers in (
        ("CRC64NVME, which S3 states since 2024", crc64nvme(source)),
        ("its ETag alone, an MD5", {}),
    ):
        with served(ServedObject(source, KEY, _UPLOADED_PART, etag, headers)) as url:
            yield Comparison(f"Downloading {parts}; proof: {proof}", tuple(_contenders(scale, url)), LIMIT, GOALS)
    source.unlink()


GOALS = (
    Goal("at least as fast as rclone", 1, (RCLONE,)),
    Goal("at least 1.2 times as fast as s5cmd", 1 / 1.2, (S5CMD,)),
    Goal("at least 3 times as fast as boto3's default", 1 / 3, (BOTO3,)),
)


def _contenders(scale: Scale, url: str) -> Iterator[Contender]:
    folder = scale.folder / "downloaded"
    to = folder / KEY
    environment = environment_for(url, scale.folder)
    arguments = {"bucket": BUCKET, "key": KEY, "to": to}

    def before() -> None:
        emptied(folder)

    yield Contender(BOTO3, (call(boto3_transfer.default, environment, **arguments),), before)
    yield Contender("boto3, tuned", (call(boto3_transfer.tuned, environment, **arguments, streams=STREAMS),), before)
    yield Contender(RCLONE, (rclone(url, to, environment),), before, lacking("rclone", "rclone"))
    yield Contender(S5CMD, (s5cmd(to, environment),), before, "" if _s5cmd() else "s5cmd isn't there")
    yield Contender(OURS, (our_download(to, environment),), before)
    unflushed = our_download(to, {**environment, **WITHOUT_FLUSHING})
    yield Contender(UNFLUSHED, (unflushed,), before, NO_LIBRARY)
    bare = call(plain_ranges.download, url=url, bucket=BUCKET, key=KEY, to=to, streams=STREAMS)
    yield Contender(LIMIT, (bare,), before)


def our_download(to: Path, environment: Environment) -> Step:
    """Return the step that downloads with ``glacier_sync.aws``."""
    return call(
        ours.download, environment, bucket=BUCKET, key=KEY, to=to, region=REGION, streams=STREAMS, part_mib=PART_MIB
    )


def rclone(url: str, to: Path, environment: Environment) -> Step:
    """Return the step that downloads with rclone."""
    remote = f":s3,provider=Other,env_auth=true,force_path_style=true,region={REGION},endpoint='{url}':{BUCKET}/{KEY}"
    streams = ("--multi-thread-streams", str(STREAMS), "--multi-thread-cutoff", "1M")
    return command("rclone", "copyto", "--config", "/dev/null", *streams, remote, to, environment=environment)


def s5cmd(to: Path, environment: Environment) -> Step:
    """Return the step that downloads with s5cmd."""
    return command(
        _s5cmd() or "s5cmd", "cp", "--concurrency", str(STREAMS), f"s3://{BUCKET}/{KEY}", to, environment=environment
    )


def _s5cmd() -> str | None:
    beside = Path(sys.executable).parent / "s5cmd"
    return str(beside) if beside.exists() else shutil.which("s5cmd")


def environment_for(url: str, folder: Path) -> Environment:
    """Return the environment in which S3's clients find the server, and nothing of this user's."""
    return {
        "AWS_ENDPOINT_URL": url,
        "S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": None,
        "NO_PROXY": "127.0.0.1",
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
    }
