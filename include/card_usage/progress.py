"""Progress bars for long work: on a terminal only, quiet everywhere else. They show counts, never rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from card_usage.deliver import Progress as Delivering


def _progress(*, bounded: bool) -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        *((BarColumn(), MofNCompleteColumn()) if bounded else (TextColumn("{task.completed:>9,.0f} rows"),)),
        TextColumn("{task.fields[per_second]}"),
        TimeRemainingColumn() if bounded else TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=False)


@contextmanager
def rows_bar(title: str) -> Iterator[Callable[[int], None]]:
    """Counts rows whose number is not known before."""
    with _progress(bounded=False) as progress:
        task = progress.add_task(title, total=None, per_second="")
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def delivery_bar(title: str) -> Iterator[Callable[[Delivering], None]]:
    """Follows a delivery: done, due, rate, time left."""
    with _progress(bounded=True) as progress:
        task = progress.add_task(title, total=None, per_second="")

        def show(now: Delivering) -> None:
            progress.update(task, completed=now.done, total=now.done + now.due, per_second=f"{now.per_second:,.0f}/s")

        yield show
