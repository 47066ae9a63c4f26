"""``glacier-sync``: the operator's command."""

from glacier_sync.cli.app import main

__all__ = ["main"]
