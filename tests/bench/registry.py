"""The benchmarks by name. A new one is a module of its own, and a line here."""

from __future__ import annotations

from tests.bench.auditing import auditing
from tests.bench.downloading import downloading
from tests.bench.model import Bench
from tests.bench.startup import starting
from tests.bench.syncing import syncing
from tests.bench.unbagging import unbagging
from tests.bench.verifying import verifying
from tests.bench.whole_way import whole_way

BENCHES: dict[str, Bench] = {
    "start": starting,
    "verify": verifying,
    "unbag": unbagging,
    "audit": auditing,
    "sync": syncing,
    "download": downloading,
    "whole": whole_way,
}
