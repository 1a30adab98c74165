"""Workbooks that attack their reader: each is refused in one line, soon, and in little memory."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from datetime import date, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import odd_workbooks
import pytest
from card_usage.errors import WorkbookUnreadable
from card_usage.files import confined, spreadsheet
from card_usage.files.confined import ConfinedWorkbook
from card_usage.files.shipped import PACKAGE
from cases import every_case
from openpyxl import Workbook as Made

MB = 2**20
MEASURED = """
import json, resource, sys, time
from pathlib import Path
from card_usage.errors import WorkbookUnreadable
from card_usage.files.confined import ConfinedWorkbook
said = ""
try:
    book = ConfinedWorkbook("s.xlsx", Path(sys.argv[1]).read_bytes())
    rows = sum(1 for sheet in book.sheets for row in book.rows(sheet))
except WorkbookUnreadable as problem:
    said = str(problem)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"said": said, "seconds": used.ru_utime + used.ru_stime, "bytes": used.ru_maxrss * 1024}))
"""


def made(*rows: tuple[object, ...]) -> bytes:
    book = Made()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def with_sheet(sheet: bytes) -> bytes:
    """A workbook whose only sheet is these bytes."""
    return odd_workbooks.changed(made(("x",)), lambda name, part: sheet if "sheet1" in name else part)


def rows(inside: bytes) -> bytes:
    return with_sheet(
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        + inside
        + b"</sheetData></worksheet>"
    )


def bomb(declared: int | None = None) -> bytes:
    """6.6 MB that unpack to 6.6 GB: a hundred sheets of spaces, compressed once. `declared`: the size they claim."""
    sheet = b"<worksheet><sheetData>" + b" " * (66 * MB) + b"</sheetData></worksheet>"
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeezer.compress(sheet) + squeezer.flush()
    size, crc = declared or len(sheet), zlib.crc32(sheet)
    body, directory = io.BytesIO(), io.BytesIO()
    for n in range(100):
        name = b"xl/worksheets/sheet%d.xml" % n
        common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(packed), size, len(name), 0)
        directory.write(
            b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, body.tell()) + name
        )
        body.write(b"PK\x03\x04" + common + name + packed)
    end = struct.pack("<HHHHIIH", 0, 0, 100, 100, directory.tell(), body.tell(), 0)
    return body.getvalue() + directory.getvalue() + b"PK\x05\x06" + end


def measured(content: bytes, folder: Path) -> dict[str, object]:
    """What reading it says, and what the process that read it took."""
    path = folder / "attack.xlsx"
    path.write_bytes(content)
    command = [sys.executable, "-c", MEASURED, str(path)]
    done = subprocess.run(command, env={"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout))


def test_a_bomb_of_6_6_mb_is_refused_in_a_second_and_100_mb(tmp_path: Path) -> None:
    content = bomb()
    assert 6 * MB < len(content) < 7 * MB
    took = measured(content, tmp_path)
    assert "unpacked it is larger than" in str(took["said"])
    assert float(str(took["seconds"])) < 1
    assert int(str(took["bytes"])) < 100 * MB


def test_every_attack_ends_in_one_line_and_within_the_limit_of_memory(tmp_path: Path) -> None:
    attacks = {
        "more rows than a sheet has": rows(b"<row/>" * (spreadsheet.MOST_ROWS + 1)),
        "a row far below": rows(b'<row r="99999999"><c><v>1</v></c></row>'),
        "rows as wide as they may be": rows(b'<row><c r="XFD1"><v>1</v></c></row>' * 1000),
        "one row of ten million cells": rows(b"<row>" + b"<c><v>1</v></c>" * 10_000_000 + b"</row>"),
        "elements in elements": rows(b"<x>" * 2_000_000),
        "entities": odd_workbooks.changed(made(("x",)), odd_workbooks.bomb),
        "a file of the machine": with_sheet(
            b'<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/passwd">]><worksheet>&e;</worksheet>'
        ),
        "a document type behind a long comment": with_sheet(
            b"<!--" + b" " * 100_000 + b"--><!DOCTYPE w [<!ENTITY e 'x'>]><worksheet>&e;</worksheet>"
        ),
        "sizes that are lies": bomb(declared=1000),
    }
    with every_case() as case:
        for name, content in attacks.items():
            with case(name):
                took = measured(content, tmp_path)
                assert took["said"]
                assert "\n" not in str(took["said"])
                assert "root:" not in str(took["said"])
                assert int(str(took["bytes"])) < confined.MEMORY + 64 * MB


def test_a_workbook_that_takes_too_long_is_refused() -> None:
    content = rows(b"<row/>" * 500_000)
    began = time.monotonic()
    with pytest.raises(WorkbookUnreadable, match=r"takes longer than 0\.2 seconds"):
        ConfinedWorkbook("s.xlsx", content, seconds=0.2)
    assert time.monotonic() - began < 20


def test_the_reading_process_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARD_USAGE_KEY", "k1:secret")
    given: dict[str, object] = {}
    run = subprocess.run

    def watched(*args: object, **named: object) -> object:
        given.update(named)
        return run(*args, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", watched)
    ConfinedWorkbook("s.xlsx", made(("x",)))
    environment = given["env"]
    assert isinstance(environment, dict)
    assert not [name for name in environment if name.startswith(("CARD_USAGE", "AIRFLOW"))]


def test_rows_are_the_same_as_without_a_process_and_can_be_read_twice() -> None:
    moment = datetime.fromisoformat("2026-11-27T09:30")
    table = [("日期", "代码", "次数"), *((moment, f"0{n}", n / 4) for n in range(1200)), (None, "𠮷", True)]
    content = made(*table)
    plain = spreadsheet.Workbook("s.xlsx", content)
    book = ConfinedWorkbook("s.xlsx", content)
    assert book.sheets == plain.sheets
    for _ in range(2):
        assert list(book.rows("Sheet")) == list(plain.rows("Sheet"))
    both = zip(book.rows("Sheet"), book.rows("Sheet"), strict=True)
    assert all(one == other for one, other in both)
    assert book.day(46353) == date(2026, 11, 27)


def test_a_torn_sheet_concerns_only_who_reads_it() -> None:
    made_of_two = Made()
    assert made_of_two.active is not None
    made_of_two.active.append(["good"])
    made_of_two.create_sheet("torn").append(["bad"])
    content = io.BytesIO()
    made_of_two.save(content)
    changed = io.BytesIO()
    with ZipFile(content) as old, ZipFile(changed, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, part[:-40] if "sheet2" in name else part)
    book = ConfinedWorkbook("s.xlsx", changed.getvalue())
    assert [row.cells for row in book.rows("Sheet")] == [("good",)]
    with pytest.raises(WorkbookUnreadable, match="torn here"):
        list(book.rows("torn"))
