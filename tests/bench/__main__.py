"""``python -m tests.bench``: measure, and print tables, ratios and goals."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import report
from tests.bench.model import Scale
from tests.bench.registry import BENCHES
from tests.bench.running import FailedStepError, run


def main() -> int:
    """Measure what was asked for; return the exit status."""
    asked = _parser().parse_args()
    scale = Scale(Path(), 32 if asked.quick else asked.mib, 1 if asked.quick else asked.rounds, asked.workers)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.folder) as folder:
        return _measure(replace(scale, folder=Path(folder)), asked.names or list(BENCHES), asked.markdown)


def _measure(scale: Scale, names: list[str], markdown: Path | None) -> int:
    facts = list(report.machine(scale))
    for name, value in facts:
        print(f"{name}: {value}")
    results = []
    for name in names:
        for comparison in BENCHES[name](scale):
            try:
                results.append(run(comparison, scale.rounds, _tell))
            except FailedStepError as error:
                _tell("")
                print(f"bench: {comparison.title}: {error}", file=sys.stderr)
                return 1
            _tell("")
            print(f"\n{report.comparison(results[-1])}", end="", flush=True)
    if markdown:
        markdown.write_text(report.document(facts, results), encoding="utf-8")
    return 0


def _tell(text: str) -> None:
    """Show what is under way, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run-tests.sh --bench",
        description="Measures Glacier Sync beside other programs: in one run, taking turns, medians. "
        "Programs that aren't installed are left out, and named.",
    )
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHES, []], metavar="NAME", help=f"of: {', '.join(BENCHES)}; all"
    )
    parser.add_argument("--quick", action="store_true", help="little data, one round: does it all work?")
    parser.add_argument("--mib", type=int, default=512, help="size of a bag (default: 512)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="cores to use (default: all)")
    parser.add_argument("--folder", type=Path, help="where the data goes, at least 3 times its size (default: /tmp)")
    parser.add_argument("--markdown", type=Path, help="a file to write the tables to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
