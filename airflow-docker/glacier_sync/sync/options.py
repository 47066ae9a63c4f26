"""The options of a sync: ``sync.yml`` of the work, else the site's, over the built-in defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from glacier_sync.errors import ConfigurationError, PermanentError
from glacier_sync.sync.yaml_file import UnreadableYamlError, read_yaml, shown

SITE_FILES = ("site-sync.yml", "bdrc/site-sync.yml")
WORK_FILE = "config/sync.yml"
BUILT_IN = "built-in"

_WORK_MAY_SET = "work_may_set"

# With these audit-tool ends with status 0, and has audited nothing.
_NO_AUDIT = ("-Q", "-v", "-h")
_NO_AUDIT_IN_FULL = ("--QueryTests", "--version", "--help")


class SiteOptionsError(ConfigurationError):
    """The site's ``site-sync.yml`` says something that isn't understood."""


class WorkOptionsError(PermanentError):
    """A work's ``config/sync.yml`` says something that isn't understood, or that it may not say."""


class _NotUnderstoodError(Exception):
    """What is wrong with a file's content, in the words of a message's middle."""


@dataclass(frozen=True)
class SyncOptions:
    """What is done with a work.

    ``audit_pre`` and ``audit_post`` are the words that ``audit-tool`` gets before
    and after archiving. ``origin`` tells by dotted key (``sync.web``) where each
    value came from: ``built-in``, or the path of a file.
    """

    audit_pre: tuple[str, ...] = ()
    audit_post: tuple[str, ...] = ()
    archive: bool = True
    web: bool = True
    replace: bool = False
    update_web: bool = True
    origin: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str) -> tuple[str, ...] | bool:
        """Return the value of a dotted key."""
        found: tuple[str, ...] | bool = getattr(self, _KEYS[key].attribute)
        return found


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _NotUnderstoodError("expected true or false")
    return value


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word.isprintable() for word in value):
        raise _NotUnderstoodError("expected a list of words in quotes, such as ['-T', 'FileSequence']")
    if any(word.split() != [word] for word in value):
        raise _NotUnderstoodError("expected each word as an item of its own, without spaces")
    if any(word.startswith(_NO_AUDIT) or word in _NO_AUDIT_IN_FULL for word in value):
        raise _NotUnderstoodError(f"expected options for an audit, which {', '.join(_NO_AUDIT)} prevent")
    return tuple(value)


@dataclass(frozen=True)
class _Key:
    attribute: str
    read: Callable[[Any], Any]
    work_may_set: bool


# A work comes from outside: it can't have what it overwrites or how strictly it is audited decided for itself.
_KEYS: Mapping[str, _Key] = MappingProxyType(
    {
        "audit.pre": _Key("audit_pre", _words, work_may_set=False),
        "audit.post": _Key("audit_post", _words, work_may_set=False),
        "sync.archive": _Key("archive", _switch, work_may_set=False),
        "sync.web": _Key("web", _switch, work_may_set=True),
        "sync.replace": _Key("replace", _switch, work_may_set=False),
        "sync.update_web": _Key("update_web", _switch, work_may_set=True),
    }
)


def load_options(work: Path, site_config_dir: Path) -> SyncOptions:
    """Return the options for a work's sync.

    ``<work>/config/sync.yml`` goes before the site's file (``site-sync.yml`` or
    ``bdrc/site-sync.yml`` in ``site_config_dir``); either is merged over the
    built-in defaults. What a work may not set is always the site's to say: the
    site's ``work_may_set`` lists the keys that a work may.

    Raises SiteOptionsError and WorkOptionsError, which name the file, the key
    and what is allowed.
    """
    site_file = _site_file(site_config_dir)
    site, may_set = _read_site(site_file) if site_file else ({}, _may_set_by_default())
    site_origin = str(site_file)
    work_file = work / WORK_FILE
    if not work_file.exists() and not work_file.is_symlink():
        return _options({key: (value, site_origin) for key, value in site.items()})
    of_work = _read_work(work_file, may_set)
    kept = {key: (value, site_origin) for key, value in site.items() if key not in may_set}
    return _options({**kept, **{key: (value, str(work_file)) for key, value in of_work.items()}})


def site_options(site_config_dir: Path) -> SyncOptions:
    """Return the options of works that bring none of their own. Raises SiteOptionsError."""
    site_file = _site_file(site_config_dir)
    site = _read_site(site_file)[0] if site_file else {}
    return _options({key: (value, str(site_file)) for key, value in site.items()})


def may_replace(site_config_dir: Path) -> bool:
    """Tell whether a sync may replace a work: the site wants it, or lets works ask for it. Raises SiteOptionsError."""
    site_file = _site_file(site_config_dir)
    site, may_set = _read_site(site_file) if site_file else ({}, _may_set_by_default())
    return "sync.replace" in may_set or site.get("sync.replace", SyncOptions.replace)


def _options(chosen: Mapping[str, tuple[Any, str]]) -> SyncOptions:
    values = {_KEYS[key].attribute: value for key, (value, _) in chosen.items()}
    origin = {key: chosen[key][1] if key in chosen else BUILT_IN for key in _KEYS}
    return SyncOptions(**values, origin=MappingProxyType(origin))


def _site_file(site_config_dir: Path) -> Path | None:
    try:
        if not site_config_dir.is_dir():
            raise SiteOptionsError(
                f"{site_config_dir} isn't there: expected the site's configuration folder, as what it holds decides "
                "on each work; set GLACIER_SYNC_SITE_CONFIG_DIR to where it is"
            )
        return next((path for name in SITE_FILES if (path := site_config_dir / name).exists()), None)
    except OSError as error:
        raise SiteOptionsError(
            f"{site_config_dir} can't be read ({error.strerror}): expected the site's configuration folder; "
            "make it readable, or set GLACIER_SYNC_SITE_CONFIG_DIR to where it is"
        ) from error


def _may_set_by_default() -> frozenset[str]:
    return frozenset(key for key, rule in _KEYS.items() if rule.work_may_set)


def _read_site(path: Path) -> tuple[dict[str, Any], frozenset[str]]:
    try:
        content = _mapping(read_yaml(path), f"a mapping with the keys audit, sync, {_WORK_MAY_SET}")
        may_set = _read_may_set(content.pop(_WORK_MAY_SET)) if _WORK_MAY_SET in content else _may_set_by_default()
        return _values(content, also=[_WORK_MAY_SET]), may_set
    except (UnreadableYamlError, _NotUnderstoodError) as error:
        raise SiteOptionsError(f"{path}: {error}; correct the file") from error


def _read_work(path: Path, may_set: frozenset[str]) -> dict[str, Any]:
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        raise WorkOptionsError(f"{path} leads out of the work: expected a file; correct the work")
    try:
        values = _values(_mapping(read_yaml(path), "a mapping with the keys audit, sync"))
    except (UnreadableYamlError, _NotUnderstoodError) as error:
        raise WorkOptionsError(f"{path}: {error}; correct the file in the work") from error
    forbidden = sorted(values.keys() - may_set)
    if forbidden:
        raise WorkOptionsError(
            f"{path}: a work may not set {', '.join(forbidden)} (allowed: {', '.join(sorted(may_set)) or 'nothing'}); "
            f"remove it from the work, or list it under {_WORK_MAY_SET} in the site's site-sync.yml"
        )
    return values


def _read_may_set(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(key, str) and key in _KEYS for key in value):
        raise _NotUnderstoodError(
            f"'{_WORK_MAY_SET}': expected a list of keys out of {', '.join(_KEYS)}, found {shown(value)}"
        )
    return frozenset(value)


def _mapping(content: Any, expected: str) -> dict[Any, Any]:
    """Return a mapping; a file or a section with nothing in it but comments is an empty one."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _NotUnderstoodError(f"expected {expected}, found {type(content).__name__}")
    return dict(content)


def _values(content: Mapping[Any, Any], also: list[str] | None = None) -> dict[str, Any]:
    sections = list(dict.fromkeys(key.partition(".")[0] for key in _KEYS))
    values: dict[str, Any] = {}
    for section, entries in content.items():
        if section not in sections:
            raise _NotUnderstoodError(f"unknown key {shown(section)} (allowed: {', '.join(sections + (also or []))})")
        names = [key.partition(".")[2] for key in _KEYS if key.startswith(f"{section}.")]
        for name, value in _mapping(entries, f"under {section!r} a mapping with the keys {', '.join(names)}").items():
            if name not in names:
                raise _NotUnderstoodError(
                    f"unknown key {shown(f'{section}.{name}')} (allowed under {section}: {', '.join(names)})"
                )
            values[f"{section}.{name}"] = _value(f"{section}.{name}", value)
    return values


def _value(key: str, value: Any) -> Any:
    try:
        return _KEYS[key].read(value)
    except _NotUnderstoodError as error:
        raise _NotUnderstoodError(f"'{key}': {error}, found {shown(value)}") from None
