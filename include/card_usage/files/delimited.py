"""Delimited text: CSV and the like, as people's spreadsheets save it.

Excel on Chinese Windows saves "CSV" in GB 18030, "CSV UTF-8" with a byte order mark, and "Unicode text" as UTF-16
with tabs. All of them are read.
"""

from __future__ import annotations

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from io import StringIO
from pathlib import Path
from typing import Final

_SEPARATORS: Final = ",\t;"


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


def detect_separator(text: str) -> str:
    """The character that separates columns, detected from the first line."""
    return max(_SEPARATORS, key=text.partition("\n")[0].count)


def dict_reader(text: str, *, strict: bool = True) -> csv.DictReader[str]:
    """The rows, by the column names of the first line. Iterating raises csv.Error at malformed rows, if `strict`."""
    return csv.DictReader(StringIO(text, newline=""), delimiter=detect_separator(text), strict=strict)
