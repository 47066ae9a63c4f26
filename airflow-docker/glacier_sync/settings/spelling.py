"""Variables that look like settings and are none: misspelt ones, that count for nothing in silence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches

from glacier_sync.settings.environment import PREFIX, Settings, dotenv_source

# What the scripts of a clone alone read: see local-airflow.sh --help.
_OF_SCRIPTS = ("AIRFLOW_PORT", "EMULATOR_PORT", "SERVICE", "START_SECONDS", "STOP_SECONDS", "YES")


def unknown_variables() -> list[str]:
    """Return a line for each variable of the environment or ``.env`` that is named like a setting and is none.

    Raises ConfigurationError if ``.env`` can't be read.
    """
    settings = [name.upper() for name in Settings.model_fields]
    known = {*settings, *(f"{name}_FILE" for name in settings), *_OF_SCRIPTS}
    return [
        _told(name, known) for name in sorted({*_named(os.environ), *_named(dotenv_source(Settings).env_vars)} - known)
    ]


def _named(variables: Mapping[str, str | None]) -> set[str]:
    names = {name.upper() for name in variables}
    return {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}


def _told(name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    expected = f"{PREFIX}{near[0]}" if near else "one that docs/settings.md lists"
    return f"{PREFIX}{name} is no setting and changes nothing: expected {expected}; correct its name, or unset it"
