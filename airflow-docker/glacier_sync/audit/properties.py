"""The audit's properties: built-in defaults, a site's user.properties, the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.errors import ConfigurationError

MAXIMUM_SIZE = "MaximumImageFileSize"
ARCHIVE_PARENT = "ArchiveImageGroupParent"
DERIVED_PARENT = "DerivedImageGroupParent"
ERRORS_AS_WARNING = "ErrorsAsWarning"
SEQUENCE_LENGTH = "FileSequence.SequenceLength"
USER_CONFIG_PATH = "UserConfigPath"
DIAGNOSTICS = "Diagnostics"

DEFAULTS = {
    MAXIMUM_SIZE: "400K",
    ARCHIVE_PARENT: "archive",
    DERIVED_PARENT: "images",
    ERRORS_AS_WARNING: "115, 117",
    SEQUENCE_LENGTH: "4",
    USER_CONFIG_PATH: ".config/bdrc/auditTool/user.properties",
    DIAGNOSTICS: "",
}

_SIZE = re.compile(r"([0-9]{1,15})(\.[0-9]{1,15})?\s*([KMG]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_LONGEST_SEQUENCE = 9


class InvalidPropertyError(ConfigurationError):
    """A property, or a file of properties, that the audit can't run with."""


@dataclass(frozen=True)
class Property:
    """A property's value, and where it was set: "default", a file's path or "command line"."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class Properties:
    """What the tests are told. ``maximum_size`` is text, because a test of its own judges it."""

    maximum_size: str
    archive_parent: str
    derived_parent: str
    errors_as_warning: frozenset[int]
    sequence_length: int
    diagnostics: str
    entries: tuple[Property, ...]
    warnings: tuple[str, ...]

    @classmethod
    def load(cls, defined: Mapping[str, str] | None = None) -> Properties:
        """Merge the defaults, the user's file and ``defined``; the later wins.

        The user's file is read from ``UserConfigPath`` (relative to the home folder),
        which ``defined`` can change; only a file named there must exist.
        Raises InvalidPropertyError for a value that can't be understood.
        """
        defined = defined or {}
        merged = {name: Property(name, value, "default") for name, value in DEFAULTS.items()}
        path, texts = _read_user_file(defined.get(USER_CONFIG_PATH))
        merged |= {name: Property(name, value, str(path)) for name, value in texts.items()}
        merged |= {name: Property(name, value, "command line") for name, value in defined.items()}
        unknown = [entry for name, entry in merged.items() if name not in DEFAULTS]
        return cls(
            maximum_size=merged[MAXIMUM_SIZE].value,
            archive_parent=_folder(merged[ARCHIVE_PARENT]),
            derived_parent=_folder(merged[DERIVED_PARENT]),
            errors_as_warning=_numbers(merged[ERRORS_AS_WARNING]),
            sequence_length=_length(merged[SEQUENCE_LENGTH]),
            diagnostics=merged[DIAGNOSTICS].value,
            entries=tuple(merged[name] for name in DEFAULTS),
            warnings=tuple(
                f"the property {e.name} ({e.origin}) is not known and has no effect; known are {', '.join(DEFAULTS)}"
                for e in unknown
            ),
        )


def parse_size(text: str) -> int | None:
    """Return a size in bytes, or None if ``text`` is none.

    Commas are ignored; K, M and G stand for powers of 1024: ``2,200K`` is 2252800.
    """
    match = _SIZE.fullmatch(text.replace(",", "").strip())
    if match is None:
        return None
    whole, fraction, unit = match.groups()
    factor = _UNITS[unit.upper()]
    part = int(fraction[1:]) * factor // 10 ** (len(fraction) - 1) if fraction else 0
    return int(whole) * factor + part


def parse_definitions(arguments: Sequence[str]) -> dict[str, str]:
    """Return the properties of ``-D`` arguments, each ``k=v[:k=v]…``; the last of a name wins.

    Raises InvalidPropertyError for a part without ``=``.
    """
    defined: dict[str, str] = {}
    for argument in arguments:
        for definition in argument.split(":"):
            name, separator, value = definition.partition("=")
            if not separator or not name.strip():
                raise InvalidPropertyError(
                    f"-D {argument!r} can't be read at {definition!r}: expected property=value[:property=value]…"
                )
            defined[name.strip()] = value.strip()
    return defined


def parse_properties(text: str) -> dict[str, str]:
    """Return the entries of a .properties file, as java.util.Properties.load reads them.

    Comments begin with ``#`` or ``!``; a name ends at ``=``, ``:`` or white space; a
    backslash at a line's end continues the line, elsewhere it begins an escape.
    """
    entries: dict[str, str] = {}
    continued = ""
    for raw in text.splitlines():
        line = continued + raw.lstrip(" \t\f")
        continued = ""
        if not line or line[0] in "#!":
            continue
        if _ends_in_backslash(line):
            continued = line[:-1]
            continue
        name, value = _split_entry(line)
        entries[name] = value
    if continued:
        name, value = _split_entry(continued)
        entries[name] = value
    return entries


def home() -> Path:
    """Return the home folder. Raises InvalidPropertyError where the user has none."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise InvalidPropertyError(
            "this user has no home folder to look for user.properties or to write logs in: set HOME", cause=str(error)
        ) from error


def _read_user_file(asked_for: str | None) -> tuple[Path, dict[str, str]]:
    path = Path(asked_for or DEFAULTS[USER_CONFIG_PATH])
    if not path.is_absolute():
        path = home() / path
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError as error:
        if asked_for is None:
            return path, {}
        raise InvalidPropertyError(f"there is no file {path}; correct -D {USER_CONFIG_PATH}=…") from error
    except OSError as error:
        raise InvalidPropertyError(f"{path} can't be read ({error.strerror}); correct it", cause=str(error)) from error
    return path, parse_properties(text)


def _folder(entry: Property) -> str:
    if entry.value in {"", ".", ".."} or "/" in entry.value or "\0" in entry.value:
        raise _invalid(entry, "the name of a folder in the work")
    return entry.value


def _numbers(entry: Property) -> frozenset[int]:
    words = re.split(r"[,\s]+", entry.value)
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words if word):
        raise _invalid(entry, "error numbers with commas between them")
    return frozenset(int(word) for word in words if word)


def _length(entry: Property) -> int:
    value = entry.value.strip()
    if not re.fullmatch(f"[1-{_LONGEST_SEQUENCE}]", value):
        raise _invalid(entry, f"a number of digits, 1 to {_LONGEST_SEQUENCE}")
    return int(value)


def _invalid(entry: Property, expected: str) -> InvalidPropertyError:
    return InvalidPropertyError(f"{entry.name}={entry.value!r} ({entry.origin}) is not valid: expected {expected}")


def _ends_in_backslash(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split_entry(line: str) -> tuple[str, str]:
    match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
    name, value = match.groups() if match else (line, "")
    return _unescape(name), _unescape(value).strip()


def _unescape(text: str) -> str:
    named = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

    def replace(match: re.Match[str]) -> str:
        escaped: str = match[1]
        return chr(int(escaped[1:], 16)) if len(escaped) == 5 else named.get(escaped, escaped)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", replace, text)
