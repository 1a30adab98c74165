"""A loop over cases hides none of them."""

from __future__ import annotations

import pytest
from cases import every_case


def looked_at(numbers: range) -> None:
    with every_case() as case:
        for number in numbers:
            with case("number", number):
                assert number != 1, "one"
                if number == 3:
                    raise ValueError("three")


def test_every_case_is_looked_at_and_all_that_failed_are_named_with_what_was_wrong() -> None:
    with pytest.raises(AssertionError) as failed:
        looked_at(range(5))
    said = str(failed.value)
    assert "2 of 5 cases failed" in said
    assert "number 1: AssertionError: one" in said
    assert "number 3: ValueError: three" in said


def test_what_was_expected_and_did_not_come_is_a_failed_case() -> None:
    silent = pytest.raises(ValueError, match="never")
    with pytest.raises(AssertionError, match="x: Failed: DID NOT RAISE"), every_case() as case, case("x"), silent:
        pass


def test_no_case_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="there was no case"):
        looked_at(range(0))
