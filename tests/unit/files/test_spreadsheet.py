"""Workbooks as people send them: read where Excel reads them, in bounded memory, else refused in one line."""

from __future__ import annotations

import io
import tracemalloc
from datetime import date, datetime, time

import odd_workbooks
import pytest
from card_usage.errors import WorkbookUnreadable
from card_usage.files.spreadsheet import Workbook
from cases import every_case
from openpyxl import Workbook as Made
from openpyxl.utils.datetime import CALENDAR_MAC_1904

DAY = date(2026, 11, 27)
ROWS = [("日期", "代码", "次数"), (datetime.combine(DAY, time()), "0101", 5), (None, "𠮷", 1.5), (time(9), True, None)]


def made(rows: list[tuple[object, ...]] = ROWS, *, epoch_1904: bool = False) -> bytes:
    book = Made()
    if epoch_1904:
        book.epoch = CALENDAR_MAC_1904
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def read(content: bytes) -> list[tuple[object, ...]]:
    book = Workbook("s.xlsx", content)
    return [row.cells for row in book.rows(book.sheets[0])]


def test_what_excel_reads_is_read() -> None:
    plain = read(made())
    assert plain == [ROWS[0], ROWS[1], ROWS[2], (time(9), True)]
    with every_case() as case:
        for name, change in odd_workbooks.READABLE.items():
            with case(name):
                assert read(odd_workbooks.changed(made(), change)) == plain


def test_dates_are_dates_in_either_calendar_and_numbers_can_be_taken_for_days() -> None:
    assert read(made(epoch_1904=True)) == read(made())
    assert Workbook("s.xlsx", made()).day(46353) == DAY
    assert Workbook("s.xlsx", made(epoch_1904=True)).day(46353 - 1462) == DAY
    assert Workbook("s.xlsx", made()).day(2026111) is None


def test_a_million_formatted_rows_take_no_memory_to_speak_of() -> None:
    empty = b"".join(b'<row r="%d"><c r="A%d" s="1"/></row>' % (n, n) for n in range(10, 100_000))

    def tall(name: str, part: bytes) -> bytes:
        return part.replace(b"</sheetData>", empty + b"</sheetData>") if "sheet1" in name else part

    content = odd_workbooks.changed(odd_workbooks.changed(made(), tall), odd_workbooks.READABLE["an empty fill"])
    tracemalloc.start()
    try:
        assert read(content) == read(made())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "row 1: it is no XLSX workbook"),
        (b"PK\x03\x04torn", "row 1: it is no XLSX workbook"),
        (made()[:-200], "row 1: it is no XLSX workbook"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "password"),
        (odd_workbooks.changed(made(), odd_workbooks.torn), r"row Sheet!\d: the sheet is torn here"),
        (odd_workbooks.changed(made(), odd_workbooks.bomb), "row 1: a part of it has a document type"),
    ],
)
def test_what_excel_would_repair_is_refused_in_one_line_that_says_what_to_do(content: bytes, says: str) -> None:
    with pytest.raises(WorkbookUnreadable, match=says) as refused:
        read(content)
    assert "s.xlsx" in str(refused.value)
    assert "save it" in str(refused.value)
    assert "\n" not in str(refused.value)
