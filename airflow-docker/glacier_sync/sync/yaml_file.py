"""Small YAML files that may come from anywhere: read without trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 64 * 1024


class UnreadableYamlError(Exception):
    """A file that isn't read, and why, in the words of a message's middle."""


class _PlainLoader(yaml.SafeLoader):
    """Plain values only: without aliases a small text can't become a large value."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise UnreadableYamlError("aliases aren't allowed: expected each value written out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                found = f"{key.value!r} again" if isinstance(key, yaml.ScalarNode) else "a list or mapping as a key"
                raise UnreadableYamlError(
                    f"line {key.start_mark.line + 1}: expected each key once, as plain text, found {found}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file of at most 64 KiB holds; None for an empty one.

    Raises UnreadableYamlError for a file that can't be read, is too large, is no
    YAML, has aliases, has a key twice, or is nested too deeply.
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
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UnreadableYamlError(f"is no valid YAML: {' '.join(str(error).split())}") from error
