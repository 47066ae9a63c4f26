"""The command's entry: its options for all commands, and how errors end."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from glacier_sync import __version__
from glacier_sync.cli import output
from glacier_sync.cli.commands import HELP_OPTIONS, commands
from glacier_sync.cli.interrupts import INTERRUPTED, ended_by_ctrl_c, tell_interrupted
from glacier_sync.errors import ConfigurationError, GlacierSyncError, TransientError, one_line

HELP = """Restored Glacier objects become verified, audited, archived works.

Exit status: 0 done; 1 done, and something failed; 2 wrong use or configuration,
nothing was changed; 3 try again later; 130 stopped by Ctrl-C.
"""


def application() -> TyperGroup:
    """Return the command with all its commands."""
    # Help without boxes: rich alone takes longer to import than all else that help needs.
    app = typer.Typer(help=HELP, invoke_without_command=True, rich_markup_mode=None, context_settings=HELP_OPTIONS)
    app.callback()(options)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for command in commands():
        group.add_command(command)
    return group


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"glacier-sync {__version__}")
        raise typer.Exit


def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and what the program does.")] = False,
    version: Annotated[  # noqa: ARG001 - the callback does its work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Set up what all commands share."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ConfigurationError.exit_status)
    if debug:
        handler = logging.StreamHandler()
        handler.setFormatter(output.DebugLines())
        logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    else:
        logging.basicConfig(level=logging.WARNING, handlers=[output.LogLines()])
    for noisy in ("boto3", "botocore", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def run() -> None:
    """Run the command, and end with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal's encoding that lacks a letter must not end the command.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status(debug="--debug" in sys.argv))


def _status(*, debug: bool) -> int:
    try:
        with ended_by_ctrl_c():
            command = application()
        status = command(standalone_mode=False) or 0
    except GlacierSyncError as error:
        _complain(error.message, debug=debug)
        return error.exit_status
    except typer.TyperException as error:
        if wrong := error.format_message():
            _complain(f"{wrong.rstrip('.')}; see glacier-sync --help", debug=debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a mistake of the program's own ends in one line, too
        _complain(
            f"this error is the program's own: {one_line(f'{type(error).__name__}: {error}')}; nothing is lost by it: "
            "run the command again with --debug, and report what that shows",
            debug=debug,
        )
        return TransientError.exit_status
    if status == INTERRUPTED:
        tell_interrupted()
    return int(status)


def _complain(message: str, *, debug: bool) -> None:
    if debug:
        sys.stderr.write(output.indented(traceback.format_exc()) + "\n")
    output.line(f"glacier-sync: {message}", error=True)
