"""Counts the boundaries of a process's work, and lets a fault strike at a chosen one.

A boundary is the instant before a call that changes something outside of the
process or waits for an answer: a statement and a commit of the ledger, a request to
Amazon, a file made, written, renamed or removed, a program started. What the process
does is its own code, unchanged: Python tells a profiler of each call. All processes
of a run write to one trace, so that its n-th line is the run's n-th boundary.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any

TRACE = "FAULTS_TRACE"  # the file of the boundaries, each a line of RECORD bytes
# Where the fault strikes: the boundary's number, or what it begins with; empty: nowhere.
AT = "FAULTS_AT"
# Whom it kills: "run", "group", "helper", a number of a process; or a folder, whose disk it
# fills; or "away:" and a folder, in whose place it puts an empty one; or "stop": the group is stopped.
HOW = "FAULTS_HOW"
RUN = "FAULTS_RUN"  # the run's process, which leads its group
RECORD = 96
STRUCK = ".struck"  # behind the trace's name: a folder that is there once the fault has struck
FILLER = "filler"
AWAY = "away:"
STOP = "stop"
MOVED = ".away"  # behind the name of the folder that was moved away

_LARGEST_MIB = 64
_SECONDS_TO_STOP = 0.5
_HANDED_ON = (TRACE, AT, HOW, RUN, "PYTHONPATH", "BASH_ENV")

_CALLS = frozenset(
    {
        "open", "write", "pwrite", "sendfile", "copy_file_range", "ftruncate", "posix_fallocate", "fsync",
        "rename", "replace", "link", "symlink", "mkdir", "rmdir", "remove", "unlink", "utime", "chmod", "flock",
        "BufferedWriter.write", "TextIOWrapper.write", "socket.sendall", "socket.recv_into", "fork_exec",
        "Cursor.execute", "Connection.commit", "cursor.execute", "connection.commit",
    }
)  # fmt: skip

# Functions of ours that call the system through ctypes, of which Python tells no profiler.
_FUNCTIONS = frozenset({"rename_to_new"})


def install() -> None:
    """Begin to count in this process, if the environment asks for it."""
    trace = os.environ.get(TRACE)
    if trace:
        _hand_on()
        counter = _Counter(trace)
        threading.setprofile(counter)
        sys.setprofile(counter)


def _hand_on() -> None:
    """Let what counts reach programs that are started with an environment of their own, too."""
    real = subprocess.Popen.__init__
    handed_on = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}

    @functools.wraps(real)
    def begin(self: Any, *words: Any, env: Any = None, **more: Any) -> None:
        real(self, *words, env=env and {**env, **handed_on}, **more)

    subprocess.Popen.__init__ = begin  # type: ignore[method-assign]


class _Counter:
    def __init__(self, trace: str) -> None:
        self._descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        at = os.environ.get(AT, "")
        self._at = int(at) if at.isdecimal() else sys.maxsize
        self._named = "" if at.isdecimal() else at
        self._struck = f"{trace}{STRUCK}"

    def __call__(self, frame: FrameType, event: str, call: Any) -> None:
        if event == "call" and frame.f_code.co_name in _FUNCTIONS:
            called = frame.f_code.co_name
        elif event == "c_call" and call.__qualname__ in _CALLS and call.__module__ != "io":
            called = call.__qualname__
        else:
            return
        name = f"{_place(frame)} {called}"[: RECORD - 1]
        os.write(self._descriptor, f"{name:{RECORD - 1}}\n".encode("ascii", "replace"))
        # Behind an append, the offset is that of this record's end.
        number = os.lseek(self._descriptor, 0, os.SEEK_CUR) // RECORD
        if number >= self._at or (self._named and name.startswith(self._named)):
            self._strike()

    def _strike(self) -> None:
        try:
            os.mkdir(self._struck)  # noqa: PTH102 - a profiler keeps to what is quick
        except FileExistsError:
            return
        how, run = os.environ[HOW], int(os.environ[RUN])
        if how == "group":
            os.killpg(run, signal.SIGKILL)
        elif how == STOP:
            os.killpg(run, signal.SIGSTOP)
            # A thread goes on until the kernel comes to it.
            time.sleep(_SECONDS_TO_STOP)
        elif how in ("run", "helper"):
            os.kill(run if how == "run" else os.getpid(), signal.SIGKILL)
        elif how.isdecimal():
            os.kill(int(how), signal.SIGKILL)
        elif how.startswith(AWAY):
            _take_away(how.removeprefix(AWAY))
        else:
            fill(how)


def fill(folder: str) -> None:
    """Leave no space on a small disk."""
    descriptor = os.open(f"{folder}/{FILLER}", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        for _ in range(_LARGEST_MIB):
            os.write(descriptor, bytes(2**20))
    os.close(descriptor)


def _take_away(folder: str) -> None:
    """Leave an empty folder, as a disk does that isn't mounted any more."""
    os.rename(folder, f"{folder}{MOVED}")  # noqa: PTH104 - as above
    os.mkdir(folder)  # noqa: PTH102


def _place(frame: FrameType | None) -> str:
    """Return where in our code a call is made, or on behalf of which library."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("glacier_sync"):
            return f"{module.removeprefix('glacier_sync.')}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "python"
