"""Workbooks as other programs write them: what Excel reads without a word, and what it would offer to repair."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from zipfile import ZIP_DEFLATED, ZipFile

Change = Callable[[str, bytes], bytes]
_STRICT = (
    (b"http://schemas.openxmlformats.org/spreadsheetml/2006/main", b"http://purl.oclc.org/ooxml/spreadsheetml/main"),
    (
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        b"http://purl.oclc.org/ooxml/officeDocument/relationships",
    ),
)


def changed(content: bytes, change: Change) -> bytes:
    """The workbook with each of its parts changed."""
    made = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as old, ZipFile(made, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return made.getvalue()


def _sheet(name: str) -> bool:
    return name.startswith("xl/worksheets/sheet")


def _dimension_a1(name: str, part: bytes) -> bytes:
    return re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1"', part) if _sheet(name) else part


def _empty_fill(name: str, part: bytes) -> bytes:
    return re.sub(rb"<fill>.*?</fill>|<fill ?/>", b"<fill/>", part, count=1) if name == "xl/styles.xml" else part


def _strict(name: str, part: bytes) -> bytes:
    for transitional, strict in _STRICT:
        part = part.replace(transitional, strict)
    return part


def _last_row(name: str, part: bytes) -> bytes:
    last = b'<row r="1048576"><c r="XFD1048576" s="1"/></row></sheetData>'
    return part.replace(b"</sheetData>", last) if _sheet(name) else part


def _inline(name: str, part: bytes) -> bytes:
    return part.replace(b"</sheetData>", b"<row><c><v></v></c></row></sheetData>") if _sheet(name) else part


READABLE: Mapping[str, Change] = MappingProxyType(
    {
        "a dimension of A1": _dimension_a1,
        "an empty fill": _empty_fill,
        "Strict Open XML": _strict,
        "a formatted cell in the last row": _last_row,
        "a row without a number": _inline,
    }
)


def torn(name: str, part: bytes) -> bytes:
    """The sheet ends in the middle."""
    return part[: part.rindex(b"<row")] + b'<row r="' if _sheet(name) else part


def bomb(name: str, part: bytes) -> bytes:
    """A sheet that would unfold to gigabytes."""
    entities = b"".join(
        b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 50 if level else b"x" * 50) for level in range(9)
    )
    return b"<!DOCTYPE worksheet [" + entities + b"]><worksheet>&e8;</worksheet>" if _sheet(name) else part
