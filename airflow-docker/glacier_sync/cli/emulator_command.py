"""``emulator``: S3, SQS and restores on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from glacier_sync.cli import output
from glacier_sync.emulator.server import serve


def emulator(
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 5005,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    restore_delay: Annotated[float, typer.Option(min=0, help="Seconds that a restore takes.")] = 1.0,
) -> int:
    """Serve S3, SQS and restores on this machine, for the demo and for tests.

    It runs until it's stopped, and nothing is kept when it ends. Use it with AWS_ENDPOINT_URL=http://127.0.0.1:5005
    and any credentials.

    Example: glacier-sync emulator --port 5005 --restore-delay 5
    """
    serve(host, port, restore_delay, ready=lambda url: output.line(f"AWS_ENDPOINT_URL={url}"))
    return 0
