"""Table files: CSV files of code tables and aliases, read strictly; whatever is wrong names file, line and column."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import NoReturn

from card_usage.errors import CodeTableError
from card_usage.files.delimited import dict_reader, read_text


def table_rows(
    path: Path, columns: tuple[str, ...], *, as_saved: bool = False
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, stripped row) of a CSV with exactly these columns; blank lines are passed over.

    Ours are UTF-8 with commas; those that people keep in a spreadsheet are `as_saved` by it.
    """
    try:
        text = read_text(path) if as_saved else path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        refuse(path, 0, "(file)", "the file is missing", "restore it")
    except UnicodeDecodeError:
        refuse(path, 0, "(file)", "it is not UTF-8", "save it again as CSV UTF-8")
    reader = dict_reader(text, columns) if as_saved else csv.DictReader(StringIO(text, newline=""), strict=True)
    try:
        header = ",".join(columns)
        if tuple(reader.fieldnames or ()) != columns:
            refuse(path, 1, "(header)", f"the columns are not {header}", f"make the first line {header}")
        for row in reader:
            if None in row or None in row.values():
                problem = f"the row has not {len(columns)} values"
                refuse(path, reader.line_num, "(row)", problem, "quote values that contain commas")
            stripped = {column: value.strip() for column, value in row.items()}
            if any(stripped.values()):
                yield reader.line_num, stripped
    except csv.Error as error:
        refuse(path, reader.reader.line_num, "(row)", str(error), "correct the quotes")


def require(holds: bool, path: Path, line: int, column: str, problem: str, remedy: str) -> None:
    """Raises CodeTableError unless it holds."""
    if not holds:
        refuse(path, line, column, problem, remedy)


def refuse(path: Path, line: int, column: str, problem: str, remedy: str) -> NoReturn:
    """Raises CodeTableError."""
    raise CodeTableError(path=path.as_posix(), line=line, column=column, problem=problem, remedy=remedy)
