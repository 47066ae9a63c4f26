"""A service for tests: ``service.py READY [--deaf] [--children]``.

Makes the file READY and waits to be asked to end. With --deaf it ignores that; with
--children it first starts two processes, one of them in a session and with an
environment of its own, and writes their numbers to READY.children.
"""

import signal
import subprocess
import sys
from pathlib import Path

ready = Path(sys.argv[1])
if "--deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "--children" in sys.argv:
    parent = subprocess.Popen(["bash", "-c", "env -i setsid sleep 300 & echo $! >&2; wait"], stderr=subprocess.PIPE)
    assert parent.stderr is not None
    grandchild = int(parent.stderr.readline())
    ready.with_name(ready.name + ".children").write_text(f"{parent.pid}\n{grandchild}\n", encoding="ascii")
ready.touch()
signal.pause()
