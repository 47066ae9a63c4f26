"""How facts and errors are printed: one JSON document, or lines for a person."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from glacier_sync.errors import GlacierSyncError, TransientError

log = logging.getLogger(__name__)

Json = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]


class UnwritableOutputError(TransientError):
    """What standard output goes to takes no more: a full disk, for instance."""


def print_json(facts: Any) -> None:
    """Print facts as one JSON document; names that aren't UTF-8 keep their bytes, escaped.

    Raises UnwritableOutputError.
    """
    _print(json.dumps(facts, default=_plain, indent=2))


def line(text: str, *, error: bool = False) -> None:
    """Print one line, as ``shown`` shows it. Raises UnwritableOutputError."""
    if error:
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()
    else:
        _print(shown(text))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has had enough, as head has.
        raise
    except OSError as error:
        # What is left in the buffer would be tried again at the end.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process lasts
        raise UnwritableOutputError(
            f"standard output can't be written ({error.strerror}): expected room for what the command prints; "
            "what it did stays done: make room, or send the output elsewhere, and run it again",
            cause=str(error),
        ) from error


def shown(text: str) -> str:
    """Return text with control characters other than tabs, and bytes that aren't UTF-8, escaped."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


class DebugLines(logging.Formatter):
    """Words what is logged for debugging: a message as one line, a traceback indented below it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's text."""
        record.message = record.getMessage()
        lines = [shown(self.formatMessage(record))]
        if record.exc_info:
            lines.append(indented(self.formatException(record.exc_info)))
        return "\n".join(lines)


def indented(text: str) -> str:
    """Return a traceback with its lines as ``shown`` shows them, so that none passes for a message."""
    return "\n".join(f"  {shown(part)}" for part in text.rstrip("\n").split("\n"))


class LogLines(logging.Handler):
    """Shows what is logged on standard error: one line for each text, without traceback, and no text twice."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            line(f"glacier-sync: {text}", error=True)


class Errors:
    """The errors of a command that goes on with its next argument after one."""

    def __init__(self) -> None:
        self._found: list[GlacierSyncError] = []

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the error that the block ends with, and keep it for the exit status."""
        try:
            yield
        except GlacierSyncError as error:
            log.debug("what was met:", exc_info=True)
            line(f"glacier-sync: {error.message}", error=True)
            self._found.append(error)

    def exit_status(self, *, failed: bool) -> int:
        """Return 1 if something failed for good, else what the errors say, else 0."""
        statuses = {error.exit_status for error in self._found}
        return 1 if failed or 1 in statuses else max(statuses, default=0)

    def __bool__(self) -> bool:
        return bool(self._found)


def local(moment: datetime) -> str:
    """Return a moment as the machine's local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(fact: Any) -> Any:
    if dataclasses.is_dataclass(fact) and not isinstance(fact, type):
        return {field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)}
    if isinstance(fact, datetime):
        return fact.isoformat()
    if isinstance(fact, Path | Enum):
        return str(fact)
    if isinstance(fact, Mapping):
        return dict(fact)
    if isinstance(fact, set | frozenset | tuple):
        return list(fact)
    raise TypeError(f"{type(fact).__name__} can't be printed as JSON")
