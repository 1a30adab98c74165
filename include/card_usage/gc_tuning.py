"""Garbage collector tuning: how often Python's cyclic collector runs while a delivery or staging has many live objects.

By default it scans all live objects again and again, although almost all of them are freed by reference counting soon.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

NEW_OBJECTS: Final = 5_000


@contextmanager
def infrequent_collection(new_objects: int = NEW_OBJECTS) -> Iterator[None]:
    """Inside the block, a collection starts only after `new_objects` allocations that reference counting did not free
    (Python's default is 700 to 2,000).

    A delivery has thousands of small live objects, all of calls in flight: scanning them every few calls found nothing
    and took a fifth of a call's processor time.
    """
    before = gc.get_threshold()
    gc.set_threshold(new_objects, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Inside the block, no collection but those of `collected_every`: rows make no cycles, and scanning all of them and
    all loaded modules took a quarter of the time.

    What is alive at the start is set aside (`gc.freeze`), so that a whole collection looks only at what came since. A
    collection of the young alone would make old, and never look at again, whatever is in use at that moment: a fetching
    thread always holds something.
    """
    before = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if before:
            gc.enable()


def collected_every(items: Iterable[T], *, every: int) -> Iterator[T]:
    """The same items; after each `every` of them, the cycles that database drivers leave behind are collected."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0:
            gc.collect()
