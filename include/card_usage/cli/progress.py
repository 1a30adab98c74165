"""What the command line shows: progress bars (on a terminal only, quiet everywhere else) and results as tables.

Counts and ids, never rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from card_usage.delivery.progress import Progress as Delivering


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
            rate = f"no answer {now.silent_seconds:.0f} s" if now.silent_seconds else f"{now.per_second:,.0f}/s"
            progress.update(task, completed=now.done, total=now.done + now.due, per_second=rate)

        yield show


def show(told: Mapping[str, Any]) -> None:
    """Print a result: a heading for each verb, its figures, and a table where there are several of a kind."""
    # Not on a terminal nothing is wrapped: a log or a pipe gets whole lines.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 500)
    for name, value in told.items():
        console.print(f"[bold]{escape(name)}[/]")
        _print(console, value)


def _print(console: Console, value: Any, name: str = "") -> None:
    if isinstance(value, Mapping):
        figures = {key: one for key, one in value.items() if not isinstance(one, Mapping | list | tuple)}
        if line := "  ".join(f"{key} {_text(one)}" for key, one in figures.items() if _says(one)):
            console.print(f"  {escape(f'{name}: ' if name else '')}{escape(line)}")
        for key, one in value.items():
            if key not in figures and one:
                _print(console, one, key)
    elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
        table = Table(box=None, pad_edge=True, header_style="dim")
        columns = [key for key in value[0] if any(_says(one.get(key)) for one in value)]
        for column in columns:
            table.add_column(column, justify="right" if isinstance(value[0][column], int | float) else "left")
        for one in value:
            table.add_row(*(escape(_text(one.get(column))) for column in columns))
        console.print(table)
    else:
        for one in value if isinstance(value, list | tuple) else [value]:
            console.print(f"  {escape(_text(one))}")


def _says(value: Any) -> bool:
    return value not in (None, 0, False, "", [], {}, ())


def _text(value: Any) -> str:
    return (
        f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "" if value is None else str(value)
    )
