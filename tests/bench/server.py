"""A server of S3's kind for one file: HeadObject, GetObject with ranges, ListObjectsV2; by ``sendfile``."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from awscrt import checksums

BUCKET = "bucket"
REGION = "us-east-1"
_DATE = "Wed, 01 Jan 2025 00:00:00 GMT"


@dataclass(frozen=True)
class ServedObject:
    """One object, stored in parts of ``part_size`` bytes; ``headers`` are further ones, its checksums say."""

    path: Path
    key: str
    part_size: int
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The object's size in bytes."""
        return self.path.stat().st_size


def multipart_etag(path: Path, part_size: int) -> str:
    """Return the ETag of a file that is uploaded in parts."""
    digests = []
    with path.open("rb") as file:
        while part := file.read(part_size):
            digests.append(hashlib.md5(part).digest())
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def crc64nvme(path: Path) -> dict[str, str]:
    """Return the headers by which S3 states a whole object's CRC64NVME."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            value = checksums.crc64nvme(chunk, value)
    text = base64.b64encode(value.to_bytes(8, "big")).decode()
    return {"x-amz-checksum-crc64nvme": text, "x-amz-checksum-type": "FULL_OBJECT"}


@contextmanager
def served(*objects: ServedObject) -> Iterator[str]:
    """Serve objects in a process of its own; give the endpoint's URL."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.objects = {found.key: found for found in objects}
    process = get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    server.server_close()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        process.terminate()
        process.join()


class _Server(ThreadingHTTPServer):
    objects: Mapping[str, ServedObject]
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm: ClassVar[bool] = True

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        return

    def _answer(self, *, with_body: bool) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        found = self.server.objects.get(key)
        if not key and bucket == BUCKET:
            self._list(parse_qs(url.query).get("prefix", [""])[0])
        elif found is None:
            self._head(404, 0)
        else:
            self._object(found, parse_qs(url.query), with_body=with_body)

    def _list(self, prefix: str) -> None:
        contents = "".join(
            f"<Contents><Key>{found.key}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{found.etag}&quot;</ETag><Size>{found.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for found in self.server.objects.values()
            if found.key.startswith(prefix)
        )
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{prefix}</Prefix>'
            f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ).encode()
        self._head(200, len(body), {"Content-Type": "application/xml"})
        self.wfile.write(body)

    def _object(self, found: ServedObject, query: Mapping[str, list[str]], *, with_body: bool) -> None:
        size, start, end, status = found.size, 0, found.size, 200
        if "partNumber" in query:
            start = (int(query["partNumber"][0]) - 1) * found.part_size
            end, status = min(start + found.part_size, size), 206
        elif wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start = int(wanted[1])
            end, status = (min(int(wanted[2]) + 1, size) if wanted[2] else size), 206
        headers = {
            "ETag": f'"{found.etag}"',
            "Last-Modified": _DATE,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/zip",
        }
        # A part of an object isn't proven by the checksum of the whole, and S3 doesn't state it there.
        if status == 200 and self.headers.get("x-amz-checksum-mode"):
            headers |= found.headers
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._head(status, end - start, headers)
        if with_body:
            self._send(found.path, start, end)

    def _head(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, path: Path, start: int, end: int) -> None:
        self.wfile.flush()
        connection: socket.socket = self.connection
        with path.open("rb") as file:
            while start < end:
                start += os.sendfile(connection.fileno(), file.fileno(), start, end - start)
