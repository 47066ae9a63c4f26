"""Which file a line of a manifest means: names byte for byte first, then by Unicode form.

RFC 8493 §6.1.1.3 advises to tolerate a name that was normalised on its way.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from glacier_sync.bags.tagfiles import PAYLOAD_PREFIX, Listed
from glacier_sync.works import InvalidRidError, check_rid, looks_like_work

_FOLDERS_DEEP = 3


@dataclass
class Matches:
    """Lines by the file that each means; the lines without a file; and lines that repeat an earlier one."""

    by_file: dict[str, Listed] = field(default_factory=dict)
    missing: list[Listed] = field(default_factory=list)
    repeated: list[tuple[Listed, Listed]] = field(default_factory=list)


def match(lines: Sequence[Listed], files: Collection[str]) -> Matches:
    """Find the file that each line of a manifest means.

    A line whose name no file has means the one file that differs only by its
    Unicode form, if no other line and no other file has that form.
    """
    matches = Matches()
    absent: dict[str, Listed] = {}
    for line in lines:
        name = next((name for name in line.names if name in files), None)
        seen, key = (absent, line.names[0]) if name is None else (matches.by_file, name)
        if key in seen:
            matches.repeated.append((line, seen[key]))
        else:
            seen[key] = line
    if absent:
        _match_by_form(absent, files, matches)
    return matches


def _match_by_form(absent: dict[str, Listed], files: Collection[str], matches: Matches) -> None:
    free = _by_form(name for name in files if name not in matches.by_file)
    wanted = _by_form(absent)
    for name, line in absent.items():
        form = _form(name)
        candidates = free.get(form, [])
        if len(candidates) == len(wanted[form]) == 1:
            matches.by_file[candidates[0]] = line
        else:
            matches.missing.append(line)


def _by_form(names: Iterable[str]) -> dict[str, list[str]]:
    forms: dict[str, list[str]] = defaultdict(list)
    for name in names:
        forms[_form(name)].append(name)
    return forms


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def find_works(payload: Iterable[str], bag_name: str) -> dict[str, str]:
    """Return the works of a bag: by RID, the prefix that the names of their files have.

    ``data/`` itself is a work, named as the bag up to its first dot, or its
    direct children are those that are laid out as works. Names with a dot are
    no RIDs.
    """
    folders: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parents in {name.rpartition("/")[0] for name in payload}:
        parts = tuple(parents.split("/")[1:][:_FOLDERS_DEEP])
        for depth, folder in enumerate(parts):
            folders[parts[:depth]].add(folder)
    own_rid = bag_name.partition(".")[0]
    if _is_work(own_rid, folders, ()):
        return {own_rid: PAYLOAD_PREFIX}
    children = sorted(folders.get((), ()))
    return {
        child: f"{PAYLOAD_PREFIX}{child}/"
        for child in children
        if "." not in child and _is_work(child, folders, (child,))
    }


def _is_work(rid: str, folders: Mapping[tuple[str, ...], set[str]], above: tuple[str, ...]) -> bool:
    try:
        check_rid(rid)
    except InvalidRidError:
        return False
    return looks_like_work(rid, lambda below: folders.get((*above, *below), set()))
