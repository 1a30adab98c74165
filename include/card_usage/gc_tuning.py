"""Collector: when Python searches for garbage in cycles, which nothing else finds.

By itself it searches among all that is alive again and again, while most of what is alive here will soon go by itself.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

NEW_OBJECTS: Final = 5_000


@contextmanager
def looking_rarely(new_objects: int = NEW_OBJECTS) -> Iterator[None]:
    """Inside, a search starts after so many new objects (Python's own 700 to 2,000) that were not freed by themselves.

    A delivery has thousands of small objects alive, all of calls under way: searching among them every few calls found
    nothing and took a fifth of a call's processor time.
    """
    before = gc.get_threshold()
    gc.set_threshold(new_objects, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def unsearched() -> Iterator[None]:
    """Inside, there is no search but those of `searched`: rows make no cycles, and searching among all of them and what
    is loaded took a quarter of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def searched(found: Iterable[T], *, every: int) -> Iterator[T]:
    """The same; after each `every` of them cycles that drivers leave behind are looked for."""
    for number, one in enumerate(found, start=1):
        yield one
        if number % every == 0:
            gc.collect(1)  # what has come since, not all that is loaded
