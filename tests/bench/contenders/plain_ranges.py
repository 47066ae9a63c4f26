"""Bare sockets that write to one file, nothing verified: hardly a client in Python can be faster."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

from tests.bench.model import Work

_BLOCK = 2**20


def download(url: str, bucket: str, key: str, to: str, streams: int) -> Work:
    """Return the download by ``streams`` ranges, each its share of the object."""
    return partial(_download, url, f"/{bucket}/{key}", to, streams)


def _download(url: str, path: str, to: str, streams: int) -> None:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    size = _size(host, port, path)
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT, 0o666)
    os.posix_fallocate(descriptor, 0, size)

    def bring(number: int) -> None:
        start, end = number * size // streams, (number + 1) * size // streams
        buffer = memoryview(bytearray(_BLOCK))
        with socket.create_connection((host, port)) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={start}-{end - 1}\r\n\r\n"
            connection.sendall(request.encode())
            count, rest = _skip_head(connection, buffer)
            while True:
                os.pwrite(descriptor, buffer[rest:count], start)
                start += count - rest
                if start == end:
                    return
                # Whole blocks: small writes of four threads to one file wait for each other.
                rest, count = 0, connection.recv_into(buffer[: end - start], 0, socket.MSG_WAITALL)
                assert count

    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(bring, range(streams)))
    os.close(descriptor)


def _size(host: str | None, port: int | None, path: str) -> int:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = connection.recv(_BLOCK).decode().lower()
    return int(head.partition("content-length: ")[2].partition("\r\n")[0])


def _skip_head(connection: socket.socket, buffer: memoryview) -> tuple[int, int]:
    """Read until the head is there; return how much was read and where the body begins."""
    count = 0
    while (end := bytes(buffer[:count]).find(b"\r\n\r\n")) < 0:
        count += connection.recv_into(buffer[count:])
    return count, end + 4
