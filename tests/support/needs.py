"""What tests need of a machine: skipped where a developer's lacks it, failed where CI's does."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """End a test that can't run here. In CI that is a failure: there nobody would notice that it never runs."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def require_commands(item: pytest.Item) -> None:
    """End a test that is marked with a command that isn't there; Debian's package has the same name."""
    for mark in item.iter_markers("needs"):
        for command in mark.args:
            if shutil.which(command) is None:
                lacking(f"{command} isn't installed: apt-get install {command}")
