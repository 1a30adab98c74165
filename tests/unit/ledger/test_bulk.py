"""Many values at once: the same rows, in few different statements where the driver keeps each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from card_usage.ledger.bulk import few_sizes
from hypothesis import given
from hypothesis import strategies as st


def of(name: str) -> Any:
    return SimpleNamespace(dialect=SimpleNamespace(name=name))


@given(st.lists(st.integers(), max_size=600))
def test_values_for_sqlite_come_in_powers_of_two_and_name_the_same_rows(values: list[int]) -> None:
    found = list(few_sizes(of("sqlite"), values))
    assert found[: len(values)] == values
    assert set(found) == set(values)
    assert len(found).bit_count() == min(1, len(values))
    assert len(found) <= max(0, 2 * len(values) - 1)


@pytest.mark.parametrize("count", [0, 1, 5, 256])
def test_values_for_postgresql_stay_as_they_are(count: int) -> None:
    values = list(range(count))
    assert few_sizes(of("postgresql"), values) is values
