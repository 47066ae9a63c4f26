"""Zips that Info-ZIP's ``zip`` writes: to a file, and through a pipe, with sizes behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder

from glacier_sync import bags

pytestmark = pytest.mark.needs("zip")

NAMES = ["W1/images/I1/0001.jpg", "W1/images/\u0f40\u0f0b.jpg", "W1/images/caf\u00e9.jpg", "W1/sources/empty.txt"]
# Through a pipe -fz writes ends that its own unzip refuses.
OPTIONS = [
    "-r", "-r0", "-rX", "-rD", "-r -fz", "-r0 -fz", "-r -fz-",
    "-r -", "-r0 -", "-rX -", "-rD -", "-r -fz- -", "-r0 -fz- -",
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_a_zip_of_info_zip_is_read(options: str, tmp_path: Path) -> None:
    bag = BagBuilder(payload={name: name.encode() * 1000 for name in NAMES} | {"W1/sources/none.txt": b""})
    folder, path = bag.folder(tmp_path), tmp_path / "W1.zip"
    piped = options.endswith(" -")
    command = ["zip", "-q", *options.split(), *([] if piped else [path.name]), folder.name]
    written = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE).stdout
    if piped:
        path.write_bytes(written)
    (report,) = bags.verify(path, workers=1)
    assert (report.defects, report.warnings, report.files) == ((), (), 5)
    (work,) = bags.unbag(path, tmp_path / "to", workers=1)
    for name, data in bag.payload.items():
        assert (work.path.parent / name).read_bytes() == data
