"""Tests of the set of keys that staging and reconciliation remember: what it says, and what it costs."""

from __future__ import annotations

import tracemalloc

from card_usage.key_set import KeySet
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text(max_size=3)))
def test_a_key_is_known_once_it_has_come(keys: list[str]) -> None:
    came, known = KeySet(), set[str]()
    for key in keys:
        assert (key in came) is (key in known)
        assert came.add(key) is (key not in known)
        known.add(key)


def test_a_key_takes_no_more_than_thirty_bytes_where_there_are_half_a_million() -> None:
    keys = KeySet()
    tracemalloc.start()
    try:
        for number in range(500_000):
            keys.add(f"key {number}")
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held / 500_000 < 30
