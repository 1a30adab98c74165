"""Workbook: the gaps of a hospital as XLSX for people who live in Excel: they fill the yellow column and hand it back.

One sheet with a row for each local code without a standard one, the most frequent first, with suggestions; one sheet
with all standard codes, which the yellow cells offer as a list. Everything is text, so that no leading zero is lost and
nothing that a HIS wrote becomes a formula. Counts, codes and names of codes: nothing in it says who a patient is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from card_usage.code_mapping.gaps import Gap
from card_usage.code_mapping.proposal import Proposal, ProposedRow, checked, unreadable
from card_usage.code_mapping.suggestions import Suggestion, gap_row
from card_usage.config.hospital import Hospital
from card_usage.errors import WorkbookUnreadable
from card_usage.files import spreadsheet
from card_usage.files.confined import ConfinedWorkbook
from card_usage.files.delimited import TITLES, read_bounded
from card_usage.plain_text import visible
from card_usage.standard.code_tables import CodeTable
from card_usage.words.catalogue import LANGUAGES, Language, Words

HEADER_ROW: Final = 4
_COLUMNS: Final = (
    ("table", 11),
    ("local", 16),
    ("name", 24),
    ("events", 10),
    ("first", 12),
    ("last", 12),
    ("feeds", 16),
    ("suggestion", 26),
    ("score", 8),
    ("why", 16),
    ("standard", 28),
    ("note", 18),
)
_FILLED: Final = ("standard", "note")
_YELLOW: Final = PatternFill("solid", fgColor="FFF2CC")
_GREY: Final = PatternFill("solid", fgColor="F2F2F2")
_THIN: Final = Side(style="thin", color="BFBFBF")
_BORDER: Final = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)
_FONT: Final = "Microsoft YaHei"


def workbook(
    hospital: Hospital,
    period: str,
    suggested: Sequence[tuple[Gap, Sequence[Suggestion]]],
    tables: Mapping[str, CodeTable],
) -> bytes:
    """The file, in the language of the hospital's reports."""
    words = Words(hospital.report.language)
    book = Workbook()
    sheet: Any = book.active
    sheet.title = words("sheet.gaps")
    _put(sheet, 1, 1, words("sheet.title", hospital=hospital.label, period=period), bold=True, size=14)
    _put(sheet, 2, 1, words("sheet.how"))
    sheet.row_dimensions[1].height = 26
    sheet.row_dimensions[2].height = 34
    for row in (1, 2):
        sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=len(_COLUMNS))
    for column, (name, width) in enumerate(_COLUMNS, 1):
        title = _put(sheet, HEADER_ROW, column, words(f"sheet_column.{name}"), bold=True, border=True)
        title.fill = _YELLOW if name in _FILLED else _GREY
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.row_dimensions[HEADER_ROW].height = 30
    for number, (gap, suggestions) in enumerate(suggested, HEADER_ROW + 1):
        _row(sheet, number, gap, suggestions, words)
    sheet.freeze_panes = sheet.cell(HEADER_ROW + 1, 4)
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    _standard_codes(book, sheet, suggested, tables, words)
    into = io.BytesIO()
    book.save(into)
    return into.getvalue()


def _row(sheet: Any, number: int, gap: Gap, suggestions: Sequence[Suggestion], words: Words) -> None:
    texts = gap_row(gap, suggestions, words) | {
        "table": words(f"table.{gap.table}"),
        "suggestion": "\n".join(f"{suggestion.code} {suggestion.name}" for suggestion in suggestions),
        "score": f"{100 * suggestions[0].score:.0f}%" if suggestions else "",
        "standard": "",
        "note": "",
    }
    for column, (name, _) in enumerate(_COLUMNS, 1):
        cell = _put(sheet, number, column, texts[name], border=True)
        if name in _FILLED:
            cell.fill = _YELLOW
    sheet.row_dimensions[number].height = 20 * max(1, len(suggestions))


def _put(
    sheet: Any, row: int, column: int, value: str | int, *, bold: bool = False, size: int = 10, border: bool = False
) -> Any:
    """A cell; text stays text, whatever it starts with."""
    cell = sheet.cell(row, column)
    cell.value = visible(value, keep="\n") if isinstance(value, str) else value
    if isinstance(value, str):
        cell.data_type = "s"
        cell.number_format = "@"
    cell.font = Font(name=_FONT, size=size, bold=bold)
    cell.alignment = Alignment(vertical="center", wrap_text=True)
    if border:
        cell.border = _BORDER
    return cell


def _standard_codes(
    book: Workbook,
    sheet: Any,
    suggested: Sequence[tuple[Gap, Sequence[Suggestion]]],
    tables: Mapping[str, CodeTable],
    words: Words,
) -> None:
    """A column for each table that has gaps, and each yellow cell a list of it (whoever knows the code may type it)."""
    codes = book.create_sheet(words("sheet.codes"))
    needed = [table for table in tables if any(gap.table == table for gap, _ in suggested)]
    standard = get_column_letter([name for name, _ in _COLUMNS].index("standard") + 1)
    for column, table in enumerate(needed, 1):
        letter = get_column_letter(column)
        _put(codes, 1, column, words(f"table.{table}"), bold=True, border=True).fill = _GREY
        codes.column_dimensions[letter].width = 34
        for row, (code, name) in enumerate(tables[table].names.items(), 2):
            _put(codes, row, column, f"{code} {name}")
        last = len(tables[table].names) + 1
        listed = DataValidation(
            type="list",
            formula1=f"'{codes.title}'!${letter}$2:${letter}${last}",
            allow_blank=True,
            showErrorMessage=False,
        )
        for number, (gap, _) in enumerate(suggested, HEADER_ROW + 1):
            if gap.table == table:
                listed.add(f"{standard}{number}")
        sheet.add_data_validation(listed)
    codes.freeze_panes = "A2"


def read(path: Path, tables: Mapping[str, CodeTable], language: Language) -> Proposal:
    """What people filled in. Raises BadProposal if it is not such a file; each bad cell is named by sheet and cell."""
    words = Words(language)
    try:
        book = ConfinedWorkbook(path.name, read_bounded(path))
        for sheet in book.sheets:
            rows = _written(sheet, book.rows(sheet))
            if rows is not None:
                return checked(rows, tables, language)
    except OSError as error:
        raise unreadable(path.name, words("file.unreadable", reason=type(error).__name__)) from None
    except WorkbookUnreadable as error:
        place = f"{error.details['place']}: {error.details['problem']}"
        raise unreadable(path.name, words("file.unreadable", reason=place)) from None
    raise unreadable(path.name, words("file.header", row=HEADER_ROW, sheet=words("sheet.gaps")))


def _written(sheet: str, rows: Iterator[spreadsheet.Row]) -> Iterator[ProposedRow] | None:
    """The rows below the titles, which rows may have been put above; None if this is not the sheet."""
    for number, cells in rows:
        if number > HEADER_ROW + TITLES:
            return None
        for language in LANGUAGES:
            columns = _columns(cells, Words(language))
            if columns is not None:
                return _proposed(sheet, columns, rows)
    return None


def _columns(titles: Sequence[spreadsheet.Cell], words: Words) -> dict[str, int] | None:
    """Number of each column that is read, wherever it was moved to; None if these are not the titles."""
    numbers = {str(title or "").strip(): number for number, title in enumerate(titles)}
    wanted = {name: words(f"sheet_column.{name}") for name in ("table", "local", "standard", "note")}
    if not all(title in numbers for title in wanted.values()):
        return None
    return {name: numbers[title] for name, title in wanted.items()}


def _proposed(sheet: str, columns: Mapping[str, int], rows: Iterator[spreadsheet.Row]) -> Iterator[ProposedRow]:
    for number, cells in rows:
        values = {name: cells[column] if column < len(cells) else None for name, column in columns.items()}
        places = {name: f"{sheet}!{get_column_letter(column + 1)}{number}" for name, column in columns.items()}
        texts = {name: "" if value is None else str(value).strip() for name, value in values.items()}
        as_number = isinstance(values["standard"], int | float)
        yield ProposedRow(
            texts["table"],
            texts["local"],
            texts["standard"],
            texts["note"],
            f"{sheet}!{number}",
            places,
            as_number,
        )
