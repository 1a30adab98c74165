"""Progress: progress bars (on a terminal only) and the output of commands as tables. Counts and ids, never rows."""

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
from card_usage.plain_text import visible


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
    """Shows the number of rows read; their total is not known."""
    with _progress(bounded=False) as progress:
        task = progress.add_task(title, total=None, per_second="")
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def delivery_bar(title: str) -> Iterator[Callable[[Delivering], None]]:
    """Shows a delivery: events done and due, rate, time left."""
    with _progress(bounded=True) as progress:
        task = progress.add_task(title, total=None, per_second="")

        def show(now: Delivering) -> None:
            rate = f"no answer {now.silent_seconds:.0f} s" if now.silent_seconds else f"{now.per_second:,.0f}/s"
            progress.update(task, completed=now.done, total=now.done + now.due, per_second=rate)

        yield show


@contextmanager
def days_bar(title: str) -> Iterator[Callable[[str, int], None]]:
    """Shows a load of days: the day that was finished last, days done and due, time left."""
    with _progress(bounded=True) as progress:
        task = progress.add_task(title, total=None, per_second="")
        done = 0

        def show(day: str, left: int) -> None:
            nonlocal done
            done += 1
            progress.update(task, completed=done, total=done + left, per_second=day)

        yield show


def print_output(output: Mapping[str, Any]) -> None:
    """Print a command's output: each heading with its figures, and a table for a list of rows."""
    # Without a terminal nothing is wrapped: a log or a pipe gets whole lines.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 500)
    for name, value in output.items():
        console.print(f"[bold]{escape(visible(name))}[/]")
        _print(console, value)


def _print(console: Console, value: Any, name: str = "") -> None:
    if isinstance(value, Mapping):
        figures = {key: part for key, part in value.items() if not isinstance(part, Mapping | list | tuple)}
        if line := "  ".join(f"{visible(key)} {_text(figure)}" for key, figure in figures.items() if _is_shown(figure)):
            console.print(f"  {escape(f'{visible(name)}: ' if name else '')}{escape(line)}")
        for key, part in value.items():
            if key not in figures and part:
                _print(console, part, key)
    elif isinstance(value, list | tuple) and value and all(isinstance(row, Mapping) for row in value):
        table = Table(box=None, pad_edge=True, header_style="dim")
        columns = [key for key in value[0] if any(_is_shown(row.get(key)) for row in value)]
        for column in columns:
            table.add_column(column, justify="right" if isinstance(value[0][column], int | float) else "left")
        for row in value:
            table.add_row(*(escape(_text(row.get(column))) for column in columns))
        console.print(table)
    else:
        for line in value if isinstance(value, list | tuple) else [value]:
            console.print(f"  {escape(_text(line))}")


def _is_shown(value: Any) -> bool:
    return value not in (None, 0, False, "", [], {}, ())


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else visible(str(value))
