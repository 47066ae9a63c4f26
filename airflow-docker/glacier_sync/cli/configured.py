"""The settings of a command."""

from __future__ import annotations

from glacier_sync.cli import output
from glacier_sync.settings import Settings, load_settings, unknown_variables


def configured() -> Settings:
    """Return the settings, and tell of variables that only look like some. Raises ConfigurationError."""
    settings = load_settings()
    for told in unknown_variables():
        output.line(f"glacier-sync: {told}", error=True)
    return settings
