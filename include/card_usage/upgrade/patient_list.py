"""Patient list: the file that a hospital exports for the upgrade, CSV in any encoding that spreadsheets save."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from card_usage.errors import PatientListUnusable
from card_usage.files.delimited import dict_reader, read_text
from card_usage.upgrade.patients import COLUMNS, REQUIRED


def rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line and fields of each row, every field of COLUMNS as text. Raises PatientListUnusable and OSError."""
    try:
        text = read_text(path)
    except UnicodeDecodeError:
        raise PatientListUnusable(
            path=path.name, line=1, problem="its encoding is none of UTF-8, UTF-16, GB 18030"
        ) from None
    reader = dict_reader(text, [])
    heads = _heads(reader.fieldnames or (), path)
    try:
        for row in reader:
            fields = {field: (row.get(head) or "").strip() if head else "" for field, head in heads.items()}
            if any(fields.values()):
                yield reader.line_num, fields
    except csv.Error as error:
        raise PatientListUnusable(path=path.name, line=reader.line_num, problem=str(error)) from None


def _heads(names: Sequence[str], path: Path) -> dict[str, str]:
    """Field -> the head of its column, "" for one that is not there."""
    given = {(name or "").strip().lower(): name for name in names}
    heads = {
        field: next((given[known.lower()] for known in aliases if known.lower() in given), "")
        for field, aliases in COLUMNS.items()
    }
    missing = [COLUMNS[field][0] for field in REQUIRED if not heads[field]]
    if missing:
        raise PatientListUnusable(path=path.name, line=1, problem=f"no column {', '.join(missing)}")
    return heads
