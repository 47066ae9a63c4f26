"""Telling whether a process that claimed objects on this machine is certainly gone."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path

import psutil

_DEAD_STATES = "ZXx"


def this_process() -> str:
    """Return this process's identity: machine, boot, process namespace, number, start time."""
    _, start = _state_and_start(os.getpid()) or ("", "")
    return json.dumps([_machine(), _boot(), _namespace(), os.getpid(), start])


def is_certainly_dead(identity: str) -> bool:
    """Tell whether the process of that identity has provably ended.

    False also when it can't be known: the identity is another machine's or
    another container's. Another machine can have this one's host name, so a
    different boot proves nothing unless the machine is known to be the same.
    """
    machine, boot, namespace, pid, start = json.loads(identity)
    if boot != _boot():
        return bool(machine) and machine == _machine()
    return bool(namespace == _namespace()) and _has_ended(pid, start)


def _has_ended(pid: int, start: str) -> bool:
    if not psutil.pid_exists(pid):
        return True
    found = _state_and_start(pid)
    return found is not None and (found[0] in _DEAD_STATES or found[1] != start)


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """Return a process's state and start time, or None if they can't be seen.

    On Linux the start is in ticks since the boot: psutil's is in seconds since
    1970 and moves when the machine's clock is set.
    """
    try:
        if sys.platform != "linux":
            process = psutil.Process(pid)
            return ("Z" if process.status() == psutil.STATUS_ZOMBIE else "R"), repr(process.create_time())
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, psutil.Error):
        return None


def _machine() -> str:
    return _read(Path("/etc/machine-id"))


def _boot() -> str:
    return _read(Path("/proc/sys/kernel/random/boot_id")) or f"{uuid.getnode():012x}"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
