"""boto3's own download."""

from __future__ import annotations

import boto3
from boto3.s3.transfer import TransferConfig
from tests.bench.model import Work


def default(bucket: str, key: str, to: str) -> Work:
    """Return the download of boto3's manual."""
    client = boto3.client("s3")
    return lambda: client.download_file(bucket, key, to)


def tuned(bucket: str, key: str, to: str, streams: int) -> Work:
    """Return a download with few large parts and large reads."""
    client = boto3.client("s3")
    config = TransferConfig(
        multipart_chunksize=64 * 2**20, max_concurrency=streams, io_chunksize=2**20, max_io_queue=64
    )
    return lambda: client.download_file(bucket, key, to, Config=config)
