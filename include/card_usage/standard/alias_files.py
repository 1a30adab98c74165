"""Alias files, written: a hospital's local codes and what they mean, one CSV a table (read by `code_tables`).

Promises: each file is replaced whole or not at all, sorted by local code, rows and notes that nobody changed stay; two
who write at once write one after the other, and the second sees what the first wrote. What would not load is not
written.
"""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from card_usage.errors import AliasesNotWritable
from card_usage.files.atomic import write_whole
from card_usage.files.delimited import records, text_of
from card_usage.standard.code_tables import ALIAS_COLUMNS, Aliases, CodeTable, fold, load_aliases


class Choice(NamedTuple):
    """Somebody's decision: this local code or name of a table means that standard code. `where` it was written."""

    table: str
    local: str
    standard: str
    note: str = ""
    where: str = ""


class Row(NamedTuple):
    """One line of a file."""

    local: str
    standard: str
    note: str


class Change(NamedTuple):
    """What a choice does to the files; `before`: the standard code that the local one had."""

    choice: Choice
    kind: Literal["new", "same", "changed"]
    before: str | None


def changes(aliases: Aliases, choices: Sequence[Choice]) -> list[Change]:
    """Each choice against the aliases as they are."""
    found = []
    for choice in choices:
        before = aliases[choice.table].get(fold(choice.local))
        kind: Literal["new", "same", "changed"] = (
            "new" if before is None else "same" if before == choice.standard else "changed"
        )
        found.append(Change(choice, kind, before))
    return found


def with_choices(aliases: Aliases, choices: Sequence[Choice]) -> Aliases:
    """The aliases as they would be."""
    found = {table: dict(of) for table, of in aliases.items()}
    for choice in choices:
        found[choice.table][fold(choice.local)] = choice.standard
    return found


def write(
    directory: Path, hospital_id: str, tables: Mapping[str, CodeTable], choices: Sequence[Choice]
) -> tuple[Path, ...]:
    """Bring the choices into the hospital's files; returns those that changed. Raises AliasesNotWritable."""
    folder = directory / hospital_id
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for table in tables:
                of_table = [choice for choice in choices if choice.table == table]
                path = folder / f"{table}.csv"
                if of_table and _merge(path, of_table):
                    written.append(path)
            load_aliases(directory, hospital_id, tables)
    except OSError as error:
        raise AliasesNotWritable(path=folder.as_posix(), reason=type(error).__name__) from None
    return tuple(written)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time; the lock ends with the process that holds it."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _merge(path: Path, choices: Sequence[Choice]) -> bool:
    """Whether the file changed."""
    before = text_of(path) if path.exists() else ""
    rows = {fold(row["local"]): Row(*(row[name].strip() for name in ALIAS_COLUMNS)) for row in _read(before)}
    had = dict(rows)
    for choice in choices:
        local = fold(choice.local)
        old = rows.get(local)
        if old is None or old.standard != choice.standard:
            rows[local] = Row(local, choice.standard, choice.note or (old.note if old else ""))
    if rows == had:
        return False
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ALIAS_COLUMNS)
    writer.writerows(rows[local] for local in sorted(rows))
    # With a mark at its start a spreadsheet reads it as UTF-8.
    write_whole(path, text.getvalue().encode("utf-8-sig"))
    return True


def _read(text: str) -> Iterator[dict[str, str]]:
    for row in records(text):
        if any((value or "").strip() for value in row.values()):
            yield {name: row.get(name) or "" for name in ALIAS_COLUMNS}
