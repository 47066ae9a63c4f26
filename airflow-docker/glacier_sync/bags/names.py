"""Names of files as bags and zips hold them: shown, judged, encoded and decoded.

A name is a ``str`` made by ``os.fsdecode``: bytes that aren't UTF-8 are kept as
surrogates, so every name goes back to disk byte for byte.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

LONGEST_PATH = 4095
LONGEST_NAME = 255
"""In bytes: what Linux takes of a path, and of each of its components."""

_MAX_BYTES_OF_CHAR = 4
_PLAIN = re.compile(r"(?!\.)[^/\\:\0]{1,63}(?:/[^/\\:\0]{1,63})*")
"""Names that are safe at first sight, in which no component has a dot at its beginning."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ENCODED: dict[str, str] = {"%0a": "\n", "%0d": "\r", "%25": "%"}
_ENCODED_BREAK = re.compile("%0[AaDd]")
_ENCODED_ANY = re.compile("%(?:0[AaDd]|25)")
_RAW_PERCENT = re.compile("%(?!0[AaDd]|25)")


def shown(name: str) -> str:
    r"""Return a name for a message: one line, what can't be printed as ``\n`` or ``\xff``."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else _escaped(char) for char in name)


def own_name(path: Path) -> str:
    """Return the name of what a path leads to, a link's being its own, where it ends in ``.`` or ``..`` too."""
    return path.name if path.name not in {"", ".."} else path.resolve().name


def is_longer(name: str, limit: int) -> bool:
    """Tell whether a name, or a path, has more bytes on disk than so many."""
    return len(name) * _MAX_BYTES_OF_CHAR > limit and len(name.encode("utf-8", "replace")) > limit


def unsafe(name: str) -> str | None:
    """Return why a relative name can't be trusted to stay inside its folder, or None.

    RFC 8493 §5.1. Backslashes are part of a name here, but a name that would
    climb out where they separate folders is refused as well.
    """
    if len(name) * _MAX_BYTES_OF_CHAR <= LONGEST_PATH and _PLAIN.fullmatch(name) and "/." not in name:
        return None
    if is_longer(name, LONGEST_PATH):
        return f"has over {LONGEST_PATH} bytes"
    components = name.split("/")
    on_windows = name.replace("\\", "/").split("/")
    problems = (
        (not name, "is empty"),
        ("\0" in name, "has a NUL byte"),
        (name.startswith(("/", "\\")) or bool(_DRIVE.match(name)), "is absolute"),
        (".." in on_windows, "climbs out with '..'"),
        ("" in components or "." in components, "has an empty component or '.'"),
        (any(is_longer(each, LONGEST_NAME) for each in components), f"has a component of over {LONGEST_NAME} bytes"),
    )
    return next((problem for found, problem in problems if found), None)


def encode_path(name: str) -> str:
    """Return a name as a manifest of BagIt 1.0 lists it (RFC 8493 §2.1.3)."""
    return name.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")


def has_raw_percent(listed: str) -> bool:
    """Tell whether a listed name has a percent sign that RFC 8493 would have encoded."""
    return "%" in listed and bool(_RAW_PERCENT.search(listed))


def readings(listed: str, *, version: tuple[int, int], raw_percent: bool) -> tuple[str, ...]:
    """Return the names that a name in a manifest can stand for, the likeliest first.

    RFC 8493 §2.1.3 encodes LF, CR and the percent sign. Widespread tools encode
    only LF and CR, whatever the version; ``raw_percent`` says that this manifest
    was seen to be written that way.
    """
    listed = listed.removeprefix("./")
    if "%" not in listed:
        return (listed,)
    breaks = _ENCODED_BREAK.sub(_decoded, listed)
    everything = _ENCODED_ANY.sub(_decoded, listed)
    ordered: tuple[str, ...]
    if version < (1, 0):
        ordered = (listed, breaks, everything)
    elif raw_percent:
        ordered = (breaks, listed)
    else:
        ordered = (everything, breaks, listed)
    return tuple(dict.fromkeys(ordered))


def _decoded(match: re.Match[str]) -> str:
    return _ENCODED[match.group().lower()]


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{os.fsencode(char)[0]:02x}"
    return char.encode("unicode_escape").decode("ascii")
