"""Delimited text: CSV and the like, as people's spreadsheets save it.

Excel on Chinese Windows saves "CSV" in GB 18030, "CSV UTF-8" with a byte order mark, and "Unicode text" as UTF-16
with tabs. All of them are read.
"""

from __future__ import annotations

import csv
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Final

SEPARATORS: Final = ",\t;"
TITLES: Final = 20
"""Lines that may stand above the column names."""
SHORTENED: Final = re.compile(r"\d(\.\d+)?[Ee]\+\d{2,}")
"""A code of digits that a spreadsheet took for a number and shortened: 1.01E+05. Its last digits are lost."""


def decode(content: bytes) -> str:
    """The text, without a byte order mark. Raises UnicodeDecodeError if it has none of these encodings."""
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")


def read_text(path: Path) -> str:
    """The text of a file. Raises OSError and UnicodeDecodeError."""
    return decode(path.read_bytes())


def shown_name(path: Path) -> str:
    """A file's name for people and for the ledger, though it came out of an archive made on Chinese Windows."""
    try:
        return decode(os.fsencode(path.name))
    except UnicodeDecodeError:
        return path.name.encode(errors="backslashreplace").decode()


def readings(text: str) -> Iterator[str]:
    """The characters that may separate columns, the likeliest first: the one that splits a line most often.

    Not the first line alone: a title may stand above the headings, with commas of its own above tabs.
    """
    lines = text.split("\n", TITLES + 1)[: TITLES + 1]
    yield from sorted(SEPARATORS, key=lambda separator: -max(line.count(separator) for line in lines))


def dict_reader(text: str, columns: Collection[str], *, strict: bool = True) -> csv.DictReader[str]:
    """The rows, by the column names of the first line that has all `columns`, of the first line if none has.

    Lines above it, titles, are passed over. Iterating raises csv.Error at malformed rows, if `strict`.
    """
    separator, titles = _headings(text, columns)
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=separator, strict=strict)
    for _ in range(titles):
        next(reader.reader)
    return reader


def _headings(text: str, columns: Collection[str]) -> tuple[str, int]:
    """What separates the columns, and how many rows stand above their names."""
    separators = tuple(readings(text))
    for separator in separators:
        rows = csv.reader(StringIO(text, newline=""), delimiter=separator)
        try:
            for number, row in enumerate(islice(rows, TITLES + 1)):
                if {*columns} <= {cell.strip() for cell in row}:
                    return separator, number
        except csv.Error:
            continue
    return max(SEPARATORS, key=text.partition("\n")[0].count), 0
