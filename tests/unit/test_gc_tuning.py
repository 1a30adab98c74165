"""The garbage collector looks rarely inside the block only, and nothing that it may free outlives its next look."""

from __future__ import annotations

import gc
import weakref

import pytest
from card_usage.gc_tuning import collected_every, collection_paused, infrequent_collection


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


def test_what_was_in_use_during_one_collection_is_freed_by_the_next() -> None:
    class Node:
        pass

    seen: list[weakref.ref[Node]] = []
    with collection_paused():
        for _ in collected_every(range(6), every=2):
            left = Node()  # in use until the next item comes, as the rows that another thread fetches
            left.itself = left  # type: ignore[attr-defined]
            seen.append(weakref.ref(left))
    assert gc.get_freeze_count() == 0
    assert [node() is None for node in seen] == [True] * 5 + [False]
