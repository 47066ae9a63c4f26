"""The bash of one object's sync: every work by ``syncOneWork.sh``, and the result as JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacier_sync.errors import OF_THE_MACHINE
from glacier_sync.sync.environment import PROXIES
from glacier_sync.sync.options import SyncOptions

_ASKED_TO_STOP = (signal.SIGINT, signal.SIGTERM)

REFUSED = 42
"""The status of ``syncOneWork.sh`` for a work, or its place in the archive, that can't be synced as it is."""

TRY_AGAIN_LATER = 75
"""Its status for a cause that passes: the archive is away or full, another sync of the work is running."""

STOPPED = frozenset({*(-number for number in _ASKED_TO_STOP), *(128 + number for number in _ASKED_TO_STOP)})
"""The statuses of a process that was asked to stop, by itself and as bash tells of it: no work is to blame."""

_LINE = "syncOneWork: "
_STARTED = ": started"
_TAIL_BYTES = 64 * 1024

# As programs tell of what the system refused: by their name, then in its words at the line's
# end, with rsync's number after them; Python's errors and audit-tool's messages go on. The
# same words within a line may be a file's name.
_TROUBLE = "|".join(re.escape(os.strerror(number)) for number in sorted(OF_THE_MACHINE))
_TOLD = re.compile(
    rf"(?:/[^:]*|[^\s:]+): (?:(?:.*: )?({_TROUBLE})(?: \(\d+\))?|\[Errno \d+\] ({_TROUBLE})(?:: .*)?)"
    rf"|audit-tool: .*\(({_TROUBLE})\).*"
)

# The kernel tells a process of its parent's end if the process itself has asked for that.
_TIE = "setpriv --pdeathsig TERM --"
_ENDS_WITH_PARENT = (
    f'[[ -n ${{tiedTo:-}} ]] || exec env tiedTo="$PPID" {_TIE} "$BASH" -c "$BASH_EXECUTION_STRING"',
    '[[ $tiedTo == "$PPID" ]] || exit 143',
    "unset tiedTo",
)


@dataclass(frozen=True)
class WorkSync:
    """What is to be done with one work; ``archive`` and ``web`` say whether it is copied there at all.

    ``archive_has`` is what the script may rely on: ``absent``, ``equal``, or
    nothing if it is empty.
    """

    path: Path
    options: SyncOptions
    archive: bool
    web: bool
    archive_has: str = ""


def sync_script(works: Sequence[WorkSync], environment: Mapping[str, str], result: Mapping[str, Any]) -> str:
    """Return a bash script that syncs works, each whether or not one before it failed.

    ``environment`` is ``bash_environment``'s. The script ends with status 0; the
    last line that it prints is ``result`` as a JSON document, with ``statuses``
    added: the exit statuses of the works' syncs, in order. It ends with the
    process that has started it, and so does all that it has started.

    The text is ASCII without ``{{``, ``{%`` and ``{#``, because Airflow renders a
    bash task's command as a Jinja template before it runs it.
    """
    head = json.dumps({**result, "statuses": []}).removesuffix("]}")
    lines = [
        "set -uo pipefail",
        *_ENDS_WITH_PARENT,
        *(f"export {name}={_value(name, value)}" for name, value in environment.items()),
        'mkdir -p -- "$syncLogDateTimeDir" "$syncLogTempDir" "$auditToolLogDateTimeDir"',
        "statuses=",
        *(f'{_command(work)}\nstatuses="$statuses${{statuses:+, }}$?"' for work in works),
        f"printf '%s%s]}}\\n' {_quoted(head)} \"$statuses\"",
    ]
    return "\n".join(lines) + "\n"


def work_log(environment: Mapping[str, str], rid: str) -> Path:
    """Return where ``syncOneWork.sh`` writes a work's log."""
    name = Path(environment["syncLogDateTimeFile"]).name.removesuffix(".log")
    return Path(environment["syncLogDateTimeDir"]) / f"{name}-{rid}.log"


def work_listing(environment: Mapping[str, str], rid: str) -> Path:
    """Return where all differences between a work and the archive's copy are listed."""
    return work_log(environment, rid).with_suffix(".differences.txt")


def failure_line(log_file: Path) -> str | None:
    """Return the line in which the log's last sync tells which step failed and why.

    None if it succeeded, was killed before it could tell, or left no log.
    """
    last = next((line for line in reversed(_last_lines(log_file)) if line.startswith(_LINE)), "")
    return last if ": FAILED: " in last else None


def machine_trouble(log_file: Path) -> str | None:
    """Return what the machine lacked in the log's last sync, in the system's own words.

    None if no program told of such a thing. A log that can't grow tells by that.
    """
    status = os.statvfs(next(folder for folder in log_file.parents if folder.exists()))
    if not status.f_bavail or (status.f_files and not status.f_favail):
        return os.strerror(errno.ENOSPC)
    lines = _last_lines(log_file)
    began = max((at for at, line in enumerate(lines) if line.startswith(_LINE) and line.endswith(_STARTED)), default=0)
    found = next(filter(None, map(_TOLD.fullmatch, lines[began:])), None)
    return found[found.lastindex or 0] if found else None


def _last_lines(log_file: Path) -> list[str]:
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return file.read().decode("utf-8", "backslashreplace").split("\n")
    except FileNotFoundError:
        return []


def _command(work: WorkSync) -> str:
    options = work.options
    variables = {
        "LOCAL_AUDIT_OPTIONS": " ".join(options.audit_pre),
        "REPO_AUDIT_OPTIONS": " ".join(options.audit_post),
        "NO_REFRESH_WEB": "" if options.update_web else "Yes",
        "ARCHIVE_STANDING": work.archive_has,
    }
    words = [
        _TIE,
        "env",
        *(f"{name}={_quoted(value)}" for name, value in variables.items()),
        "syncOneWork.sh",
        *(["-A", "-W"] if options.replace else []),
        *(["-a", '"$archiveParent"'] if work.archive else []),
        *(["-w", '"$webParent"'] if work.web else []),
        *(["-s", '"$successWorkList"'] if work.archive or work.web else []),
        "--",
        _quoted(os.fspath(work.path)),
    ]
    return " ".join(words)


def _value(name: str, value: str) -> str:
    """Return a variable's value for bash; a proxy that bash was started with goes before, as it has its password."""
    return f"${{{name}:-{_quoted(value)}}}" if name in PROXIES else _quoted(value)


def _quoted(text: str) -> str:
    """Quote a text for bash, byte for byte, so that nothing but bash finds a meaning in it."""
    if text.isascii() and text.isprintable() and not {"{", "}"}.intersection(text):
        return shlex.quote(text)
    return "$'" + "".join(_escaped(byte) for byte in os.fsencode(text)) + "'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    plain = byte < 128 and character.isprintable() and character not in "{}\\'"
    return character if plain else f"\\x{byte:02x}"
