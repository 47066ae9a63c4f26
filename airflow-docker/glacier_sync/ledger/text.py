r"""Text and details in a form that every database stores and every terminal shows.

PostgreSQL refuses NUL, and no database takes a name's stray bytes (surrogates).
Control characters other than tab and line ends, surrogates and the backslash
itself are written as ``\x00``, ``\udc80`` and ``\\``; reading undoes it exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_UNSAFE = re.compile(r"[\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4}))")
_NAME_LENGTH = 255


def escape(text: str) -> str:
    """Return the text with all that can't be stored written visibly."""
    return _UNSAFE.sub(_escaped, text)


def unescape(text: str) -> str:
    """Return the text that ``escape`` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)) if match[1] or match[2] else "\\", text)


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return r"\\"
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def object_name(key: str) -> str:
    """Return the key as the sites' column of 255 characters holds it: both ends of a longer one."""
    return shortened(escape(key), _NAME_LENGTH)


def shortened(name: str, length: int) -> str:
    """Return at most ``length`` characters of a name: both ends of a longer one."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[-(length - 1 - head) :]}"


def escape_all(value: Any) -> Any:
    """Return details as JSON can hold them, all text escaped; what JSON doesn't know becomes text."""
    if isinstance(value, Mapping):
        return {escape(str(key)): escape_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [escape_all(item) for item in value]
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return escape(str(value))


def unescape_all(value: Any) -> Any:
    """Return details as they were before ``escape_all``."""
    if isinstance(value, dict):
        return {unescape(key): unescape_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unescape_all(item) for item in value]
    return unescape(value) if isinstance(value, str) else value
