"""``glacier-sync``: the operator's command."""

from glacier_sync.cli.interrupts import ended_by_ctrl_c
from glacier_sync.cli.streams import open_standard_streams, require_utf8


def main() -> None:
    """Run the command, and end with its exit status."""
    with ended_by_ctrl_c():
        require_utf8()
        open_standard_streams()
        from glacier_sync.cli.app import run  # noqa: PLC0415 - Ctrl-C is heeded before anything slow is imported
    run()
