"""Run Airflow commands, read from standard input, one after the other in this process.

That saves the seconds that each ``airflow`` command takes to be imported. An argument
ends with a zero byte, a command with an empty argument; the first that fails ends it.
"""

import os
import runpy
import sys
from collections.abc import Iterator


def _read_commands() -> Iterator[list[str]]:
    command: list[str] = []
    for argument in sys.stdin.buffer.read().split(b"\0"):
        if argument:
            command.append(os.fsdecode(argument))
        elif command:
            yield command
            command = []


if __name__ == "__main__":
    for command in _read_commands():
        sys.argv = ["airflow", *command]
        runpy.run_module("airflow", run_name="__main__")
