"""``python -m tests.bench.timed module:function JSON``: do the work that it returns, and print the seconds."""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module


def main() -> None:
    """Call a function with arguments by name, and time what it returns."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(import_module(module), name)
    arguments = json.loads(sys.argv[2])
    work = function(**arguments)
    began = time.perf_counter()
    work()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
