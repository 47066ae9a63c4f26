"""Paths as commands take them."""

from __future__ import annotations

from pathlib import Path

from glacier_sync.errors import ConfigurationError


def given_path(text: str) -> Path:
    """Return a path that was given on the command line.

    Raises ConfigurationError for an empty one, which ``Path`` takes for the folder one stands in.
    """
    if not text:
        raise ConfigurationError("a path is empty: expected the name of a file or a folder; look at what was given")
    return Path(text)
