"""The forms that a bag is tested in."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bag_builder import BagBuilder


@pytest.fixture(params=["folder", "zip", "deflated zip"])
def write(request: pytest.FixtureRequest) -> Callable[[BagBuilder, Path], Path]:
    if request.param == "folder":
        return BagBuilder.folder
    return lambda bag, parent: bag.zip(parent, compress=request.param.startswith("deflated"))
