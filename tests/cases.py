"""Loops over data: one test that looks at every case and names all that failed, with what was wrong in each.

with every_case() as case:
    for code in codes:
        with case(code):
            assert ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

Case = Callable[..., AbstractContextManager[None]]


@contextmanager
def every_case() -> Iterator[Case]:
    """At its end it fails if a case failed, or if there was none."""
    seen = 0
    failed: list[str] = []

    @contextmanager
    def case(*names: object) -> Iterator[None]:
        nonlocal seen
        seen += 1
        try:
            yield
        except (Exception, pytest.fail.Exception) as problem:
            failed.append(f"{' '.join(map(str, names))}: {type(problem).__name__}: {problem}")

    yield case
    assert seen, "there was no case"
    assert not failed, f"{len(failed)} of {seen} cases failed\n" + "\n".join(failed)
