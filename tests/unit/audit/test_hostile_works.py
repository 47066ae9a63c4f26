"""Works that were made to do harm, and the command as it runs: every file is named, nothing else happens."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import bilevel_tags, draw_jpeg, draw_work, write_tiff
from tests.support.rights import ordinary_rights

COMMAND = [sys.executable, "-c", "import sys; from glacier_sync.audit.command import main; sys.exit(main())"]
MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
GROUP = "images/W1TEST-I0001"

# A process that reads images may have 256 MiB; the rest is what Python needs.
MOST_MEMORY = 300 * 1024**2
GIB = 1024**3

Draw = Callable[[Path], object]


def run_audit(work: Path, home: Path) -> tuple[int, dict[str, Any], int]:
    """Return the command's exit status, its document, and the most memory in bytes that it or a child of it took."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *COMMAND, "--json", "-D", "ErrorsAsWarning=", work],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(home)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout), int(done.stderr.split()[-1]) * 1024


def findings_of(document: dict[str, Any], name: str) -> dict[int, str]:
    """The findings that name a file, by error number."""
    (work,) = document["works"]
    found = [finding for test in work["tests"] for finding in test["findings"] if Path(finding["path"]).name == name]
    assert all(name in finding["message"] for finding in found)
    return {finding["number"]: finding["message"] for finding in found}


def sparse(start: bytes, size: int, end: bytes = b"") -> Draw:
    def draw(path: Path) -> None:
        with path.open("wb") as stream:
            stream.write(start)
            stream.truncate(size)
            stream.seek(size)
            stream.write(end)

    return draw


def jpeg_without_end(path: Path) -> None:
    draw_jpeg(path)
    os.truncate(path, path.stat().st_size - 2)
    os.truncate(path, GIB // 8)


def tiff_of_12_million_strips(path: Path) -> None:
    tags = [tag for tag in bilevel_tags(compression=4) if tag[0] != 273]
    write_tiff(path, [*tags, (273, 3, 12_000_000, 4096)])
    os.truncate(path, 4096 + 2 * 12_000_000)


def tiff_of_many_tags(path: Path) -> None:
    directory = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(1000))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 1000) + directory + b"\0" * 60_000)


def png_of_inflating_text(path: Path) -> None:
    text = b"Raw profile type exif\0\0" + zlib.compress(b"\0" * 20_000_000)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)), (b"zTXt", text), (b"IDAT", b""), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def photoshop_block_of_a_million_resources(path: Path) -> None:
    block = b"8BIM\x04\x04\0\0\0\0\0\0" * 1_000_000
    write_tiff(path, [*bilevel_tags(compression=4), (34377, 7, len(block), 8)], block)


HOSTILE: dict[str, tuple[Draw, int]] = {
    "I00010010.jpg": (sparse(b"RIFF\xff\xff\xff\x7fWEBPVP8 ", 20 * GIB), 110),
    "I00010011.jpg": (sparse(b"", 20 * GIB), 110),
    "I00010012.jpg": (jpeg_without_end, 110),
    "I00010013.tif": (tiff_of_12_million_strips, 110),
    "I00010014.tif": (tiff_of_many_tags, 110),
    "I00010015.png": (png_of_inflating_text, 110),
    "I00010016.tif": (photoshop_block_of_a_million_resources, 112),
    "I00010017.jpg": (lambda path: path.write_bytes(b""), 110),
    "I00010018.jpg": (os.mkfifo, 110),
    "I00010019.jpg": (lambda path: path.symlink_to(path.name), 110),
    "I00010020.jpg": (lambda path: path.symlink_to("/dev/zero"), 110),
    "I00010021.jpg": (lambda path: path.symlink_to("/proc/self/mem"), 110),
    "I00010022.gif": (sparse(b"GIF89a\x08\0\x08\0\0\0\0" + b"!\xfe\xff" * 100, 20 * GIB), 110),
    "I00010023.jp2": (sparse(b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x01jp2h" + b"\x7f" * 8, 20 * GIB), 110),
}


def test_every_hostile_file_is_found_in_time_and_without_much_memory(tmp_path: Path) -> None:
    work = draw_work(tmp_path)
    for name, (draw, _) in HOSTILE.items():
        draw(work / GROUP / name)
    status, document, memory = run_audit(work, tmp_path)
    assert status == 1
    for name, (_, number) in HOSTILE.items():
        assert number in findings_of(document, name), name
    assert "needs more memory" in findings_of(document, "I00010013.tif")[110]
    for good in ("I00010001.tif", "I00010002.tif"):
        assert findings_of(document, good) == {}
    assert memory < MOST_MEMORY


def test_a_device_is_not_opened(tmp_path: Path) -> None:
    work = draw_work(tmp_path)
    try:
        os.mknod(work / GROUP / "I00010003.jpg", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this user may not make devices")
    found = findings_of(run_audit(work, tmp_path)[1], "I00010003.jpg")
    assert found[110].endswith("can't be read as JPEG or TIFF: it is no regular file")
    assert found[114].endswith("is no regular file")


def test_what_may_not_be_read_is_found_and_the_rest_is_audited(tmp_path: Path) -> None:
    work = draw_work(tmp_path, groups=2)
    closed_image, closed_group = work / GROUP / "I00010001.tif", work / "archive" / "W1TEST-I0002"
    closed_image.chmod(0)
    closed_group.chmod(0)
    try:
        with ordinary_rights():
            status, document, _ = run_audit(work, tmp_path)
    finally:
        closed_group.chmod(0o755)
    assert status == 1
    assert findings_of(document, closed_image.name) == {
        number: f"{GROUP}/I00010001.tif {words}: Permission denied"
        for number, words in (
            (110, "can't be read as JPEG or TIFF"),
            (116, "has EXIF metadata that can't be read"),
            (118, "can't be searched for a thumbnail"),
        )
    }
    assert findings_of(document, closed_group.name) == {114: "archive/W1TEST-I0002 can't be read: Permission denied"}
