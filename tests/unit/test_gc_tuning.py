"""The garbage collector looks rarely inside the block only, and is never off."""

from __future__ import annotations

import gc
import weakref

import pytest
from card_usage.gc_tuning import infrequent_collection


def test_it_looks_as_often_as_before_once_the_block_is_left_by_an_error_too() -> None:
    before = gc.get_threshold()
    inside: list[tuple[int, int, int]] = []

    def fail() -> None:
        with infrequent_collection(5000):
            inside.append(gc.get_threshold())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [(5000, *before[1:])]
    assert gc.get_threshold() == before


def test_garbage_in_cycles_is_found_inside_the_block_too() -> None:
    class Node:
        pass

    with infrequent_collection():
        assert gc.isenabled()
        lost = Node()
        lost.itself = lost  # type: ignore[attr-defined]
        watched = weakref.ref(lost)
        del lost
        kept: list[list[int]] = []
        while watched() is not None and len(kept) < 50_000:
            kept.append([len(kept)])
    assert watched() is None
