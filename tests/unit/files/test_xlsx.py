"""Workbooks and CSV: what goes in comes out, and no text of a hospital is ever a formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

from card_usage.files.xlsx import Column, Sheet, comma_separated, workbook
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

NOW = datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
COLUMNS = (
    Column("名称"),
    Column("笔数", "count"),
    Column("占比", "share"),
    Column("日期", "day"),
    Column("代码", "code"),
)
EVIL = ['=HYPERLINK("http://x","y")', "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", " =1", "=1+1\x07", "0100"]
texts = st.one_of(st.sampled_from(EVIL), st.text(max_size=40), st.text("=+-@\t\r\n 1A(", min_size=1, max_size=6))


def read_back(content: bytes):  # type: ignore[no-untyped-def]
    return load_workbook(io.BytesIO(content))


def sheet(names: list[str]) -> Sheet:
    rows = [(name, 1234567, 0.25, date(2026, 3, 4), "0100") for name in names]
    return Sheet(title="医院[1]: 明细/表", columns=COLUMNS, rows=rows)


@given(st.lists(texts, max_size=5))
def test_no_text_becomes_a_formula_in_a_workbook(names):
    (page,) = read_back(workbook([sheet(names)], title="t", made_at=NOW)).worksheets
    cells = [cell for row in page.iter_rows() for cell in row]
    assert [cell.value for cell in cells if cell.data_type in ("f", "e")] == []
    shown = [page.cell(at, 1).value or "" for at in range(2, len(names) + 2)]
    kept = ["".join(letter for letter in name if letter >= " " or letter in "\t\r\n") for name in names]
    assert [text.replace("\r\n", "\n").replace("\r", "\n") for text in shown] == [
        text.replace("\r\n", "\n").replace("\r", "\n") for text in kept
    ]


@given(st.lists(texts, min_size=1, max_size=5))
def test_no_text_becomes_a_formula_in_csv(names):
    text = comma_separated(sheet(names)).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == len(names) + 1
    assert [row[0] for row in rows[1:] if row[0].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []


def test_a_sheet_is_tidy_filtered_frozen_and_prints_on_a4():
    (page,) = read_back(workbook([sheet(["内科", "外科"])], title="t", made_at=NOW)).worksheets
    assert page.title == "医院 1 明细 表"
    assert [cell.value for cell in page[1]] == ["名称", "笔数", "占比", "日期", "代码"]
    assert page.auto_filter.ref == "A1:E3"
    assert page.freeze_panes == "B2"
    assert [cell.number_format for cell in page[2]] == ["@", "#,##0", "0.0%", "yyyy-mm-dd", "@"]
    assert page["B2"].value == 1234567
    assert page["D2"].value == datetime(2026, 3, 4)  # noqa: DTZ001 - a spreadsheet knows no zones
    assert page["E2"].value == "0100"
    assert (page.page_setup.paperSize, page.page_setup.fitToWidth) == (9, 1)


def test_an_empty_sheet_opens_too():
    (page,) = read_back(workbook([sheet([])], title="t", made_at=NOW)).worksheets
    assert page.max_row == 1
