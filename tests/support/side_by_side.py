"""How the tests are divided between processes that run side by side."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_ENGINE_S = "tests/appliance/"


class Division(LoadFileScheduling):
    """A file's tests stay together, and so do all that share the engine's images."""

    def _split_scope(self, nodeid: str) -> str:
        return _ENGINE_S if nodeid.startswith(_ENGINE_S) else super()._split_scope(nodeid)
