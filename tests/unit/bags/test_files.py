"""Names as they are held: many of them in little memory."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from glacier_sync.bags.files import SeenNames


@given(names=st.lists(st.text(max_size=2)))
def test_names_that_were_there_before_are_told(names: list[str]) -> None:
    seen = SeenNames()
    assert [seen.add(name) for name in names] == [name not in names[:at] for at, name in enumerate(names)]
    assert len(seen) == len(set(names))
    assert all(name in seen for name in names)
    assert "another" not in seen


def test_names_that_were_there_before_take_some_bytes_each() -> None:
    tracemalloc.start()
    try:
        seen = SeenNames()
        assert all(seen.add(f"images/{number:0200}") for number in range(20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not seen.add(f"images/{19_999:0200}")
    assert len(seen) == 20_000
    assert peak < 50 * 20_000
