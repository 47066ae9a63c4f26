"""Writes those of pip's settings here that hold inside a build as well.

`_pip_settings.py FILE`: FILE gets a pip.conf with them; the path of the CA bundle that
pip uses here, if one is set, is printed. Settings are taken as pip takes them: its
configuration files, then PIP_CONFIG_FILE, then the environment.
"""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

# The names of folders and files here mean nothing inside a build.
PORTABLE = ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "proxy")
VARIABLES = {"timeout": "PIP_DEFAULT_TIMEOUT"}


def configuration_files() -> list[Path]:
    """Return the files that pip reads, the most important last."""
    if chosen := os.environ.get("PIP_CONFIG_FILE"):
        return [] if chosen == os.devnull else [Path("/etc/pip.conf"), Path(chosen)]
    home = Path.home()
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", configuration / "pip" / "pip.conf"]


def settings(*names: str) -> dict[str, str]:
    """Return those of the settings that are set."""
    parser = configparser.RawConfigParser()
    parser.read(configuration_files(), encoding="utf-8")
    found: dict[str, str] = {}
    for name in names:
        for section in ("global", "install"):
            if value := parser.get(section, name, fallback=""):
                found[name] = value
        if value := os.environ.get(VARIABLES.get(name, f"PIP_{name.upper().replace('-', '_')}")):
            found[name] = value
    return found


def main() -> None:
    """Write the file, print the path."""
    out = configparser.RawConfigParser()
    out["global"] = settings(*PORTABLE)
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        out.write(file)
    print(settings("cert").get("cert", ""))


if __name__ == "__main__":
    try:
        main()
    except (configparser.Error, UnicodeDecodeError) as error:
        sys.exit(f"pip's settings can't be read: {error}; correct that file")
