"""Aliases: a hospital's local codes and names and the standard codes they mean, one CSV file a table, read and written.

Promises: aliases lead to standard codes, and no local value has two of them (else CodeTableError). Each file is
replaced whole or not at all, sorted by local code; rows and notes that nobody changed stay; two who write at the same
time write one after the other, and the second sees what the first wrote. What would not load is not written.
"""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from card_usage.errors import AliasesNotWritable
from card_usage.files.atomic import write_atomically
from card_usage.files.delimited import SHORTENED, dict_reader, read_text
from card_usage.plain_text import harmless
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.standard.misplaced import quoted
from card_usage.standard.table_files import refuse, require, table_rows

Aliases = Mapping[str, Mapping[str, str]]
"""Table -> folded local code or name -> standard code. Every table has an entry, maybe an empty one."""

ALIAS_COLUMNS: Final = ("local", "standard", "note")


def load_aliases(directory: Path, hospital_id: str, tables: Mapping[str, CodeTable]) -> Aliases:
    """Read <directory>/<hospital>/<table>.csv, as far as there are such files. Raises CodeTableError."""
    folder = directory / hospital_id
    for path in folder.glob("*.csv"):
        if path.stem not in tables:
            refuse(path, 0, "(file)", "no code table has this name", f"name the file one of {', '.join(tables)}.csv")
    return {name: _load_aliases(folder / f"{name}.csv", table) for name, table in tables.items()}


def _load_aliases(path: Path, table: CodeTable) -> Mapping[str, str]:
    aliases: dict[str, str] = {}
    lines: dict[str, int] = {}
    if not path.exists():
        return aliases
    for line, row in table_rows(path, ALIAS_COLUMNS, as_saved=True):
        local, standard = fold(row["local"]), fold(row["standard"])
        require(local != "", path, line, "local", "is empty", "write the HIS's code or name, or delete the row")
        for column, code in (("local", local), ("standard", standard)):
            shortened = f"a spreadsheet shortened a number to '{code}'"
            remedy = "format the column as text and enter the code again"
            require(not SHORTENED.fullmatch(code), path, line, column, shortened, remedy)
        if standard not in table:
            padded = [code for code in table.codes if standard and code.lstrip("0") == standard.lstrip("0")]
            hint = f"'{padded[0]}' perhaps" if padded else "take a code"
            problem = f"{quoted(standard)} is no standard code" if standard else f"{quoted(local)} leads nowhere"
            refuse(path, line, "standard", problem, f"{hint}, from code_tables/{table.table}.csv")
        duplicate = f"{quoted(local)} is already on line {lines.get(local)}"
        require(local not in aliases, path, line, "local", duplicate, "keep one of the two rows")
        aliases[local], lines[local] = standard, line
    return aliases


class Choice(NamedTuple):
    """Somebody's decision: this local code or name of a table means that standard code. `where` it was written."""

    table: str
    local: str
    standard: str
    note: str = ""
    where: str = ""


class _Row(NamedTuple):
    """One line of a file."""

    local: str
    standard: str
    note: str


class AliasChange(NamedTuple):
    """What a choice does to the files; `before`: the standard code that the local one had."""

    choice: Choice
    kind: Literal["new", "same", "changed"]
    before: str | None


def alias_changes(aliases: Aliases, choices: Sequence[Choice]) -> list[AliasChange]:
    """Each choice against the aliases as they are."""
    effects = []
    for choice in choices:
        before = aliases[choice.table].get(fold(choice.local))
        kind: Literal["new", "same", "changed"] = (
            "new" if before is None else "same" if before == choice.standard else "changed"
        )
        effects.append(AliasChange(choice, kind, before))
    return effects


def with_choices(aliases: Aliases, choices: Sequence[Choice]) -> Aliases:
    """The aliases as they would be."""
    changed = {table: dict(codes) for table, codes in aliases.items()}
    for choice in choices:
        changed[choice.table][fold(choice.local)] = choice.standard
    return changed


def write_aliases(
    directory: Path, hospital_id: str, tables: Mapping[str, CodeTable], choices: Sequence[Choice]
) -> tuple[Path, ...]:
    """Bring the choices into the hospital's files; returns those that changed. Raises AliasesNotWritable."""
    folder = directory / hospital_id
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
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
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time; the lock ends with the process that holds it."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _merge(path: Path, choices: Sequence[Choice]) -> bool:
    """Whether the file changed."""
    before = read_text(path) if path.exists() else ""
    rows = {fold(row["local"]): _Row(*(row[name].strip() for name in ALIAS_COLUMNS)) for row in _read(before)}
    had = dict(rows)
    for choice in choices:
        local = fold(choice.local)
        old = rows.get(local)
        if old is None or old.standard != choice.standard:
            rows[local] = _Row(local, choice.standard, choice.note or (old.note if old else ""))
    if rows == had:
        return False
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ALIAS_COLUMNS)
    writer.writerows([harmless(cell) for cell in rows[local]] for local in sorted(rows))
    # With a mark at its start a spreadsheet reads it as UTF-8.
    write_atomically(path, text.getvalue().encode("utf-8-sig"), mode=0o644)
    return True


def _read(text: str) -> Iterator[dict[str, str]]:
    for row in dict_reader(text, ALIAS_COLUMNS):
        if any((value or "").strip() for value in row.values()):
            yield {name: row.get(name) or "" for name in ALIAS_COLUMNS}
