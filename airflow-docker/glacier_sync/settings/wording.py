"""What is told of a wrong value, in this program's words rather than the validating library's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

# By the kinds of errors in pydantic's "Validation Errors"; the words in braces are an error's context.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "finite_number": "a number that has an end",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number",
    "less_than_equal": "{le:g} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_too_short": "a text that isn't empty",
    "string_type": "a text, in quotes if it looks like something else",
    "too_short": "a list that isn't empty",
    "value_error": "{error}",
}


def problem(name: str, detail: ErrorDetails, allowed: Sequence[str] = ()) -> str:
    """Say what was found under a name, and what was expected; ``allowed`` are the keys that may stand beside it."""
    if detail["type"] == "extra_forbidden":
        return f"unknown key {name!r} (allowed: {', '.join(allowed)})"
    if detail["type"] == "missing":
        return f"the key {name!r} is missing"
    context: dict[str, Any] = detail.get("ctx", {})
    known = _EXPECTED.get(detail["type"])
    expected = known.format(**context) if known else f"another value ({detail['msg']})"
    return f"{name} is {detail['input']!r}, expected {expected}"
