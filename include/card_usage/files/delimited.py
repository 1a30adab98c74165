"""Delimited text as people's spreadsheets save it.

Excel on Chinese Windows saves "CSV" in GB 18030, "CSV UTF-8" with a mark at its start, and "Unicode text" as UTF-16
with tabs. All of them say the same, so all of them are read.
"""

from __future__ import annotations

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from io import StringIO
from pathlib import Path
from typing import Final

_SEPARATORS: Final = ",\t;"


def decoded(content: bytes) -> str:
    """The text, without a mark at its start. Raises UnicodeDecodeError if no spreadsheet writes like that."""
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")


def text_of(path: Path) -> str:
    """The text of a file. Raises OSError and UnicodeDecodeError."""
    return decoded(path.read_bytes())


def separator(text: str) -> str:
    """What separates its columns, by its first line."""
    return max(_SEPARATORS, key=text.partition("\n")[0].count)


def records(text: str, *, strict: bool = True) -> csv.DictReader[str]:
    """Its rows by the names of its first line. Iterating raises csv.Error where it is none, if `strict`."""
    return csv.DictReader(StringIO(text, newline=""), delimiter=separator(text), strict=strict)
