"""Starting: what the commands take that do next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.model import Comparison, Contender, Goal, Scale, command

_GOALS = {"--version": 0.2, "--help": 0.2, "status": 0.6}


def starting(scale: Scale) -> Iterator[Comparison]:
    """Compare starting with Python's own start."""
    program = Path(sys.executable).parent / "glacier-sync"
    # As in an installation: compiled, whatever this environment says of bytecode.
    environment = {
        "GLACIER_SYNC_HOME": str(scale.folder / "home"),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(scale.folder / "bytecode"),
    }
    bare = "python, nothing else"
    yield Comparison(
        "Starting",
        (
            Contender(bare, (command(sys.executable, "-c", "pass", environment=environment),)),
            *(Contender(f"glacier-sync {word}", (command(program, word, environment=environment),)) for word in _GOALS),
        ),
        base=bare,
        goals=tuple(
            Goal(f"glacier-sync {word} in at most {seconds} s", seconds, ours=f"glacier-sync {word}")
            for word, seconds in _GOALS.items()
        ),
    )
