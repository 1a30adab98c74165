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
from errno import EFBIG
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Final

from card_usage.plain_text import unquoted, visible

SEPARATORS: Final = ",\t;"
TITLES: Final = 20
"""Lines that may stand above the column names."""
LARGEST: Final = 50 * 2**20
"""Bytes of a file that people hand in."""
MOST_IN_A_ROW: Final = 1_000_000
"""Characters of a row, whose cells may go over several lines."""
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


def read_bounded(path: Path) -> bytes:
    """The content of a file. Raises OSError, also for one larger than LARGEST."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(EFBIG, f"larger than {LARGEST:,} bytes", str(path))
    return content


def read_text(path: Path) -> str:
    """The text of a file. Raises OSError and UnicodeDecodeError."""
    return decode(read_bounded(path))


def shown_name(path: Path) -> str:
    """A file's name for people and for the ledger, though it came out of an archive made on Chinese Windows."""
    try:
        return visible(decode(os.fsencode(path.name)))
    except UnicodeDecodeError:
        return visible(path.name.encode(errors="backslashreplace").decode())


def readings(text: str) -> Iterator[str]:
    """The characters that may separate columns, the likeliest first: the one that splits a line most often.

    Not the first line alone: a title may stand above the headings, with commas of its own above tabs.
    """
    lines = text.split("\n", TITLES + 1)[: TITLES + 1]
    yield from sorted(SEPARATORS, key=lambda separator: -max(line.count(separator) for line in lines))


class RowReader:
    """The rows of delimited text, without the apostrophes that keep spreadsheets from taking a text for a formula.

    Iterating raises csv.Error at malformed rows, if `strict`, and at endless ones.
    """

    def __init__(self, text: str, separator: str, *, strict: bool = False) -> None:
        self._left = 0
        self._rows = csv.reader(self._lines(text), delimiter=separator, strict=strict)

    @property
    def line_num(self) -> int:
        """Lines read so far."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self._left = MOST_IN_A_ROW
        return [unquoted(cell) for cell in next(self._rows)]

    def _lines(self, text: str) -> Iterator[str]:
        for line in StringIO(text, newline=""):
            self._left -= len(line)
            if self._left < 0:
                raise csv.Error(f"a row is longer than {MOST_IN_A_ROW:,} characters: is a quote missing?")
            yield line


def dict_reader(text: str, columns: Collection[str], *, strict: bool = True) -> csv.DictReader[str]:
    """The rows, by the column names of the first line that has all `columns`, of the first line if none has.

    Lines above it, titles, are passed over. Iterating raises csv.Error at malformed rows, if `strict`.
    """
    separator, titles = _headings(text, columns)
    reader = csv.DictReader(StringIO(), delimiter=separator)
    reader.reader = RowReader(text, separator, strict=strict)  # type: ignore[assignment]
    for _ in range(titles):
        next(reader.reader)
    return reader


def _headings(text: str, columns: Collection[str]) -> tuple[str, int]:
    """What separates the columns, and how many rows stand above their names."""
    separators = tuple(readings(text))
    for separator in separators:
        rows = RowReader(text, separator)
        try:
            for number, row in enumerate(islice(rows, TITLES + 1)):
                if {*columns} <= {cell.strip() for cell in row}:
                    return separator, number
        except csv.Error:
            continue
    return max(SEPARATORS, key=text.partition("\n")[0].count), 0
