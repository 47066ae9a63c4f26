"""Errors are one printable line, whatever they quote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync.errors import ConfigurationError, GlacierSyncError, PermanentError, TransientError


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"])))
def test_a_message_is_one_printable_line(text: str) -> None:
    error = PermanentError(f"{text} isn't a key", cause=text)
    assert error.message.isprintable()
    assert str(error) == error.message
    assert error.cause == text


@pytest.mark.parametrize("name", ["W1.bag.zip", "W1 དེབ་ + Übersicht.bag.zip", "a\\b", ""])
def test_printable_names_stay_as_they_are(name: str) -> None:
    assert PermanentError(name).message == name


def test_what_is_not_printable_is_shown() -> None:
    assert PermanentError("a\nb\x1b[2J\udcff").message == "a\\nb\\x1b[2J\\udcff"


@pytest.mark.parametrize(("branch", "status"), [(ConfigurationError, 2), (TransientError, 3), (PermanentError, 1)])
def test_each_branch_has_its_exit_status(branch: type[GlacierSyncError], status: int) -> None:
    assert branch("x").exit_status == status
