"""Collector: how often Python looks for garbage that only a search finds (cycles). It is on all the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

NEW_OBJECTS: Final = 5_000


@contextmanager
def looking_rarely(new_objects: int = NEW_OBJECTS) -> Iterator[None]:
    """Inside, a search starts after so many new objects (Python's own 700 to 2,000) that were not freed by themselves.

    A delivery has thousands of small objects alive, all of calls under way: searching among them every few calls found
    nothing and took a fifth of a call's processor time. For work that makes and drops rows it gains nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(new_objects, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
