"""Small YAML files that may come from anywhere: read without trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 64 * 1024

_MOST_SHOWN = 100
_TEXT = "tag:yaml.org,2002:str"


class UnreadableYamlError(Exception):
    """A file that isn't read, and why, in the words of a message's middle."""


class _PlainLoader(yaml.SafeLoader):
    """Plain values only.

    Without aliases a small text can't become a large value; without tags no value
    is read as what it isn't written as, which the library doesn't expect.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # so it is in the types of PyYAML
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableYamlError("aliases aren't allowed: expected each value written out")
        if event.tag is not None:
            line = event.start_mark.line + 1
            raise UnreadableYamlError(
                f"line {line}: tags aren't allowed: expected a plain value, found {shown(event.tag)}"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if problem := _key_problem(key, seen):
                raise UnreadableYamlError(
                    f"line {key.start_mark.line + 1}: expected each key once, as plain text, found {problem}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _key_problem(key: yaml.Node, seen: set[str]) -> str | None:
    if not isinstance(key, yaml.ScalarNode):
        return "a list or mapping as a key"
    if key.tag != _TEXT:
        return f"{shown(key.value)}, which isn't text in YAML"
    return f"{shown(key.value)} again" if key.value in seen else None


def shown(value: Any) -> str:
    """Return a value that a file holds for a message, cut if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits.
        return "a number too long to be shown"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def read_yaml(path: Path) -> Any:
    """Return what a YAML file of at most 64 KiB holds; None for an empty one.

    Raises UnreadableYamlError for a file that can't be read, is too large, is no
    YAML, has aliases or tags, has a key twice or one that is no text, or is nested
    too deeply.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnreadableYamlError(f"expected at most {MAX_BYTES} bytes, found more")
        # The loader is a SafeLoader, with less.
        return yaml.load(content.decode("utf-8"), Loader=_PlainLoader)  # noqa: S506
    except OSError as error:
        raise UnreadableYamlError(f"can't be read ({error.strerror})") from error
    except RecursionError:
        raise UnreadableYamlError("is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise UnreadableYamlError(f"is no valid YAML: {' '.join(str(error).split())}") from error
