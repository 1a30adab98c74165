"""Sheets: tidy tables as an XLSX workbook or CSV. One header row, one kind of figure a column, filters, frozen heads.

Promises: no text of a hospital is ever taken for a formula, neither by Excel nor by WPS; control characters that a
workbook cannot hold are dropped; numbers stay numbers and dates dates.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

Kind = Literal["text", "count", "number", "share", "day", "code"]
Value = str | int | float | date | bool | None

_FORMATS: Final[dict[Kind, str]] = {
    "text": "@",
    "code": "@",
    "count": "#,##0",
    "share": "0.0%",
    "number": "#,##0.##",
    "day": "yyyy-mm-dd",
}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_WIDEST: Final = 56


class Column(NamedTuple):
    """A column: its head and what it holds."""

    head: str
    kind: Kind = "text"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table. `rows` are as long as `columns`."""

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Value]]
    note: str = ""


def workbook(sheets: Sequence[Sheet], *, title: str, made_at: datetime) -> bytes:
    """The sheets as one XLSX file."""
    # Not at the top: a second of import that only this needs.
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.worksheets[0])
    book.properties.title = title
    book.properties.creator = "card_usage"
    book.properties.created = book.properties.modified = made_at.replace(tzinfo=None)
    head_font = Font(name="Microsoft YaHei", size=10, bold=True, color="FFFFFF")
    plain = Font(name="Microsoft YaHei", size=10)
    head_fill = PatternFill("solid", start_color="33475B")
    line = Border(bottom=Side(style="thin", color="DDE3EA"))
    for sheet in sheets:
        page = book.create_sheet(_title(sheet.title))
        widths = [_width(column.head) + 3 for column in sheet.columns]
        for at, column in enumerate(sheet.columns, 1):
            cell = page.cell(1, at, column.head)
            cell.font, cell.fill = head_font, head_fill
            side = _side(column.kind)
            cell.alignment = Alignment(horizontal=side, vertical="center", indent=int(side == "left" and at > 1))
        for down, row in enumerate(sheet.rows, 2):
            lines = 1
            for at, (column, value) in enumerate(zip(sheet.columns, row, strict=True), 1):
                cell = page.cell(down, at)
                if isinstance(value, str):
                    cell.value = _CONTROL.sub("", value)
                    # Text whatever it begins with; the quote prefix keeps it so when somebody edits the cell.
                    cell.data_type = "s"
                    cell.quotePrefix = value.startswith(_FORMULA)
                else:
                    cell.value = value
                cell.number_format = _FORMATS[column.kind] if not isinstance(value, str) else "@"
                cell.font, cell.border = plain, line
                wide = _width(_shown(column.kind, value))
                side = _side(column.kind)
                indent = int(side == "left" and at > 1)
                cell.alignment = Alignment(horizontal=side, vertical="top", wrap_text=wide > _WIDEST, indent=indent)
                lines = max(lines, -(-wide // (_WIDEST - 4)))
                widths[at - 1] = max(widths[at - 1], min(wide + 2, _WIDEST))
            if lines > 1:
                page.row_dimensions[down].height = 14 * lines + 2
        for at, width in enumerate(widths, 1):
            page.column_dimensions[get_column_letter(at)].width = width
        page.row_dimensions[1].height = 20
        page.freeze_panes = "B2" if len(sheet.columns) > 3 else "A2"
        if sheet.rows:
            page.auto_filter.ref = f"A1:{get_column_letter(len(sheet.columns))}{len(sheet.rows) + 1}"
        page.page_setup.orientation = "landscape"
        page.page_setup.paperSize = 9
        page.page_setup.fitToWidth, page.page_setup.fitToHeight = 1, 0
        page.sheet_properties.pageSetUpPr.fitToPage = True
        page.print_title_rows = "1:1"
        page.oddFooter.center.text = "&A   &P / &N"
        page.sheet_view.showGridLines = False
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def comma_separated(sheet: Sheet) -> str:
    """The sheet as CSV for a spreadsheet: with a byte order mark, text that could be a formula behind an apostrophe."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow([column.head for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_harmless(value) for value in row])
    return "\ufeff" + made.getvalue()


def _harmless(value: Value) -> Value:
    if not isinstance(value, str):
        return "" if value is None else value
    text = _CONTROL.sub("", value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _title(text: str) -> str:
    """A sheet's name: 31 characters, without those that Excel refuses."""
    return " ".join(re.sub(r"[\[\]:*?/\\]", " ", text).split())[:31]


def _side(kind: Kind) -> str:
    return "left" if kind in ("text", "code") else "right"


def _shown(kind: Kind, value: Value) -> str:
    if kind == "count" and isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1%}" if kind == "share" else f"{value:.2f}"
    return "" if value is None else str(value)


def _width(text: str) -> int:
    """In letters: a Chinese one takes two."""
    return max((sum(2 if ord(letter) > 0x2E7F else 1 for letter in line) for line in text.split("\n")), default=0)
