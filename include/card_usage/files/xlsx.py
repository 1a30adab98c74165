"""XLSX: tidy tables as a workbook or as CSV. One header row, one kind of figure a column, filters, frozen heads.

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
from typing import Any, Final, Literal, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from card_usage.plain_text import harmless, visible

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

    book = Workbook()
    book.remove(book.worksheets[0])
    book.properties.title = title
    book.properties.creator = "card_usage"
    book.properties.created = book.properties.modified = made_at.replace(tzinfo=None)
    styles = _Styles()
    for sheet in sheets:
        page = book.create_sheet(_title(sheet.title))
        widths = _write_head(page, sheet.columns, styles)
        for down, row in enumerate(sheet.rows, 2):
            _write_row(page, down, sheet.columns, row, widths, styles)
        _lay_out(page, sheet, widths)
    content = io.BytesIO()
    book.save(content)
    return _reproducible(content, made_at)


class _Styles:
    """The styles of all cells, made once a workbook."""

    def __init__(self) -> None:
        from openpyxl.styles import Border, Font, PatternFill, Side

        self.head_font = Font(name="Microsoft YaHei", size=10, bold=True, color="FFFFFF")
        self.font = Font(name="Microsoft YaHei", size=10)
        self.head_fill = PatternFill("solid", start_color="33475B")
        self.border = Border(bottom=Side(style="thin", color="DDE3EA"))


def _write_head(page: Any, columns: Sequence[Column], styles: _Styles) -> list[int]:
    """The first row; returns the width that each column needs so far, in letters."""
    from openpyxl.styles import Alignment

    for at, column in enumerate(columns, 1):
        cell = page.cell(1, at, column.head)
        cell.font, cell.fill = styles.head_font, styles.head_fill
        side = _side(column.kind)
        cell.alignment = Alignment(horizontal=side, vertical="center", indent=int(side == "left" and at > 1))
    return [_width(column.head) + 3 for column in columns]


def _write_row(
    page: Any, down: int, columns: Sequence[Column], row: Sequence[Value], widths: list[int], styles: _Styles
) -> None:
    """One row of values; `widths` grow to what they need."""
    from openpyxl.styles import Alignment

    lines = 1
    for at, (column, value) in enumerate(zip(columns, row, strict=True), 1):
        cell = page.cell(down, at)
        if isinstance(value, str):
            cell.value = _CONTROL.sub("", value)
            # Text whatever it begins with; the quote prefix keeps it so when somebody edits the cell.
            cell.data_type = "s"
            cell.quotePrefix = harmless(value) != value
        else:
            cell.value = value
        cell.number_format = _FORMATS[column.kind] if not isinstance(value, str) else "@"
        cell.font, cell.border = styles.font, styles.border
        wide = _width(_shown(column.kind, value))
        side = _side(column.kind)
        indent = int(side == "left" and at > 1)
        cell.alignment = Alignment(horizontal=side, vertical="top", wrap_text=wide > _WIDEST, indent=indent)
        lines = max(lines, -(-wide // (_WIDEST - 4)))
        widths[at - 1] = max(widths[at - 1], min(wide + 2, _WIDEST))
    if lines > 1:
        page.row_dimensions[down].height = 14 * lines + 2


def _lay_out(page: Any, sheet: Sheet, widths: Sequence[int]) -> None:
    """Widths, frozen head, filter, and how the sheet is printed."""
    from openpyxl.utils import get_column_letter

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


def comma_separated(sheet: Sheet) -> str:
    """The sheet as CSV for a spreadsheet: with a byte order mark, text that could be a formula behind an apostrophe."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow([column.head for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_harmless(value) for value in row])
    return "\ufeff" + content.getvalue()


def _harmless(value: Value) -> Value:
    if not isinstance(value, str):
        return "" if value is None else value
    return harmless(visible(_CONTROL.sub("", value)))


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


def _reproducible(saved: io.BytesIO, made_at: datetime) -> bytes:
    """The same sheets as the same bytes, whenever they are written: openpyxl puts the present time into both."""
    again = io.BytesIO()
    moment = f"{made_at.replace(tzinfo=None, microsecond=0).isoformat()}Z"
    with ZipFile(saved) as old, ZipFile(again, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + moment.encode(), content)
            part = ZipInfo(name)
            part.compress_type = ZIP_DEFLATED
            new.writestr(part, content)
    return again.getvalue()
