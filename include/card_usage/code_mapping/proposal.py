"""Proposal: a list of local codes with the standard codes that somebody wrote beside them, read back and checked.

From a CSV or XLSX that `workbook` or `aliases propose` made, or from `table:local=standard` lines. A row without a
standard code is not decided yet and left out. Everything else must be right: each cell that is not is a `BadCell`
that says where it is, what is wrong and what to do. Policy: one bad cell and nothing is applied, unless whoever hands
the list in asks for the good rows alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from card_usage.errors import BadProposal, UnreadableProposal
from card_usage.files.delimited import SHORTENED, dict_reader, read_text
from card_usage.ledger.code_decisions import LONGEST_LOCAL
from card_usage.standard.aliases import Choice
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.standard.misplaced import quoted
from card_usage.words.catalogue import LANGUAGES, Language, Words

COLUMNS: Final = ("table", "local", "standard", "note")
_MOST_NAMED: Final = 30


class BadCell(NamedTuple):
    """A cell that cannot be used."""

    where: str
    content: str
    problem: str

    def __str__(self) -> str:
        content = f" {quoted(self.content)}" if self.content else ""
        return f"{self.where}{content}: {self.problem}"


class ProposedRow(NamedTuple):
    """One row as it was handed in; `where` names the row, `cells` the place of each of its columns."""

    table: str
    local: str
    standard: str
    note: str
    where: str
    cells: Mapping[str, str]
    number: bool = False
    """The standard code was a number and not text: a spreadsheet takes its leading zeros away."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What can be used, and what cannot."""

    choices: tuple[Choice, ...]
    problems: tuple[BadCell, ...]

    def demand(self, file: str) -> tuple[Choice, ...]:
        """All of it, or BadProposal."""
        if self.problems:
            named = [str(problem) for problem in self.problems[:_MOST_NAMED]]
            if len(self.problems) > _MOST_NAMED:
                named.append("...")
            raise BadProposal(file=file, count=len(self.problems), rows="; ".join(named))
        return self.choices


def checked(rows: Iterable[ProposedRow], tables: Mapping[str, CodeTable], language: Language) -> Proposal:
    """The rows that say something, each a choice or a bad cell."""
    words = Words(language)
    choices: dict[tuple[str, str], Choice] = {}
    problems: list[BadCell] = []
    for row in rows:
        if not row.standard:
            continue
        table = _table(row.table, tables)
        if table is None:
            known = words.list(Words(language)(f"table.{name}") for name in tables)
            problems.append(BadCell(row.cells["table"], row.table, words("cell.no_table", known=known)))
            continue
        local = fold(row.local)
        if not local:
            problems.append(BadCell(row.cells["local"], "", words("cell.no_local")))
            continue
        if SHORTENED.fullmatch(local):
            problems.append(BadCell(row.cells["local"], local, words("cell.shortened")))
            continue
        if len(local) > LONGEST_LOCAL:
            problems.append(BadCell(row.cells["local"], local[:20], words("cell.long", most=LONGEST_LOCAL)))
            continue
        standard, problem = _standard(row, tables[table], words)
        if problem is not None:
            problems.append(BadCell(row.cells["standard"], row.standard, problem))
            continue
        earlier = choices.get((table, local))
        if earlier is not None and earlier.standard != standard:
            problem = words("cell.twice", local=local, where=earlier.where, standard=earlier.standard)
            problems.append(BadCell(row.cells["standard"], row.standard, problem))
            continue
        choices[table, local] = Choice(table, local, standard, row.note, row.cells["standard"])
    return Proposal(tuple(choices.values()), tuple(problems))


def _table(text: str, tables: Mapping[str, CodeTable]) -> str | None:
    """A table by its own name or by what it is called in either language."""
    folded = fold(text).casefold()
    for name in tables:
        if folded in {name, *(Words(language)(f"table.{name}").casefold() for language in LANGUAGES)}:
            return name
    return None


def _standard(row: ProposedRow, table: CodeTable, words: Words) -> tuple[str, str | None]:
    """The standard code that the cell says, or what is wrong with it: code, `code name` or a name of the table."""
    text = fold(row.standard)
    if SHORTENED.fullmatch(text):
        return "", words("cell.shortened")
    first = text.split()[0] if text.split() else ""
    if not row.number:
        for code in (text, first):
            if code in table:
                return code, None
        if text in table.by_name:
            return table.by_name[text], None
    padded = [code for code in table.codes if code.lstrip("0") == first.lstrip("0")] if first else []
    if padded:
        problem = "cell.number" if row.number else "cell.zeros"
        return "", words(problem, code=padded[0], name=table.names[padded[0]])
    near = [f"{code} {name}" for code, name in table.names.items() if text and (text in name or name in text)][:3]
    if near:
        return "", words("cell.near", table=words(f"table.{table.table}"), near=words.list(near))
    return "", words("cell.unknown", table=words(f"table.{table.table}"))


def from_csv(path: Path, tables: Mapping[str, CodeTable], language: Language) -> Proposal:
    """A CSV with at least the columns of COLUMNS. Raises BadProposal if it cannot be read at all."""
    return checked(_csv_rows(path, language), tables, language)


def _csv_rows(path: Path, language: Language) -> Iterator[ProposedRow]:
    words = Words(language)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path.name, words("file.unreadable", reason=type(error).__name__)) from None
    reader = dict_reader(text, COLUMNS[:3], strict=False)
    try:
        if missing := [name for name in COLUMNS[:3] if name not in (reader.fieldnames or ())]:
            raise unreadable(path.name, words("file.columns", columns=", ".join(missing)))
        for row in reader:
            line = words("file.line", line=reader.line_num)
            cells = {name: f"{line}, {name}" for name in COLUMNS}
            table, local, standard, note = ((row.get(name) or "").strip() for name in COLUMNS)
            yield ProposedRow(table, local, standard, note, line, cells)
    except csv.Error as error:
        raise unreadable(path.name, words("file.unreadable", reason=str(error))) from None


def unreadable(file: str, problem: str) -> UnreadableProposal:
    """The file as a whole cannot be used."""
    return UnreadableProposal(file=file, problem=problem)


def from_lines(lines: Sequence[str], tables: Mapping[str, CodeTable], language: Language) -> Proposal:
    """`department:21010=0301`, one a line, as people type it."""
    words = Words(language)
    rows: list[ProposedRow] = []
    problems: list[BadCell] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = words("file.line", line=number)
        table, colon, rest = line.partition(":")
        local, equals, standard = rest.rpartition("=")
        if not colon or not equals or not standard.strip():
            problems.append(BadCell(where, line.strip(), words("cell.line")))
            continue
        cells = dict.fromkeys(COLUMNS, where)
        rows.append(ProposedRow(table.strip(), local.strip(), standard.strip(), "", where, cells))
    proposal = checked(rows, tables, language)
    return Proposal(proposal.choices, (*problems, *proposal.problems))
