"""What an operator names: a work by its RID, an object by its key or its number."""

from __future__ import annotations

import re

from glacier_sync.ledger import Ledger, LedgerObject, UnknownObjectError

# Not longer than what every database takes for a number.
_NUMBER = re.compile(r"#([0-9]{1,18})")


def objects_named(ledger: Ledger, name: str) -> list[LedgerObject]:
    """Return the objects that a name stands for, in the order in which they were announced; none if it's unknown.

    A name is a work's RID, an object's key, or an object's number after a ``#``.
    """
    number = _NUMBER.fullmatch(name)
    try:
        return [ledger.object(int(number[1]))] if number else ledger.find(name)
    except UnknownObjectError:
        return []
