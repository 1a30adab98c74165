"""Patients: the SQL of a shape's patients, include/sql/<shape>/upgrade/patient.sql, and a row of it (document 2.5).

They are read in pages by their own key: a page is one short query, so memory stays flat, no session stays open while
a page goes into the ledger, and a line that breaks costs one page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import BigInteger, String, TextClause, bindparam, text
from sqlalchemy.types import TypeEngine

from card_usage.errors import BadFeedFile
from card_usage.files.shipped import overlaid
from card_usage.source.dialect import Dialect
from card_usage.source.feeds import SQL

PATIENTS: Final = "patient"
"""Name of the feed, in errors and query slots."""

Key = Literal["integer", "guid", "text"]
"""How the patient's key is compared and ordered: as the HIS keeps it."""
_FIRST: Final[dict[str, int | str]] = {
    "integer": -(2**63),
    "guid": "00000000-0000-0000-0000-000000000000",
    "text": "",
}
"""What every key of the kind is greater than."""
_HEADER: Final = re.compile(r"^--\s*key:\s*(integer|guid|text)\s*$")
_AFTER: Final = re.compile(r"(?P<column>\b[\w.]+)\s*>\s*(?::after\b|CAST\(:after AS char\(64\)\))")


class SourcePatient(NamedTuple):
    """One patient as the HIS gives him, in local codes; every SQL file returns exactly these columns, by name."""

    source_id: str
    name: str | None
    gender: str | None
    nation: str | None
    birthday: date | datetime | str | None
    id_type: str | None
    id_number: str | None
    address: str | None
    phone1: str | None
    phone2: str | None
    open_id: str | None

    def __repr__(self) -> str:
        """Nothing of it: all of it says who the patient is."""
        return "SourcePatient(...)"


class PatientFeed(NamedTuple):
    """The queries about a shape's patients. `page` takes `after`; `counted` counts what all pages together have."""

    key: Key
    page: TextClause
    counted: TextClause

    @property
    def first(self) -> int | str:
        """The value of `after` for the first page."""
        return _FIRST[self.key]

    def after(self, source_id: object) -> int | str:
        """The value of `after` behind a row."""
        return int(str(source_id)) if self.key == "integer" else str(source_id)


def patient_sql_path(shape: str, folder: Path = SQL) -> Path:
    """Where a shape's SQL of patients is, or would be."""
    return overlaid(folder / shape / "upgrade" / f"{PATIENTS}.sql")


def patient_sql(shape: str, dialect: Dialect, rows: int, folder: Path = SQL) -> PatientFeed:
    """Read a shape's SQL of patients, for pages of at most `rows`. Raises BadFeedFile.

    Conventions: the first line says `-- key: integer`, `guid` or `text`, comments are whole lines, and the one
    statement bounds its key by `column > :after` (text: `> CAST(:after AS char(64))`) and ends with `ORDER BY` that
    column.
    """
    return _read(patient_sql_path(shape, folder), dialect.page, dialect.adapted, dialect.query_suffix, rows)


@lru_cache(maxsize=64)
def _read(
    path: Path, page: Callable[[str, int], str], adapted: Callable[[str], str], suffix: str, rows: int
) -> PatientFeed:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        problem = "there is no such file: this shape has no SQL of patients; name one that has in [upgrade] shape"
        raise BadFeedFile(path=path.as_posix(), problem=problem) from None
    except UnicodeDecodeError:
        raise BadFeedFile(path=path.as_posix(), problem="it is not UTF-8") from None
    header = _HEADER.match(lines[0]) if lines else None
    if header is None:
        problem = "the first line does not say '-- key: integer', '-- key: guid' or '-- key: text'"
        raise BadFeedFile(path=path.as_posix(), problem=problem)
    key: Key = header[1]  # type: ignore[assignment]
    statement = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
    bounds = list(_AFTER.finditer(statement))
    order = f"ORDER BY {bounds[0]['column']}" if len(bounds) == 1 else None
    if order is None or not statement.endswith(order) or not statement.startswith("SELECT "):
        problem = "the statement does not bound one column by `> :after` and end with ORDER BY that column"
        raise BadFeedFile(path=path.as_posix(), problem=problem)
    statement = adapted(statement)
    kind: TypeEngine[Any] = BigInteger() if key == "integer" else String(64)
    counted = f"SELECT COUNT(*) FROM (\n{statement.removesuffix(order)}) counted"  # noqa: S608

    def bound(query: str) -> TextClause:
        return text(query + suffix).bindparams(bindparam("after", type_=kind))

    return PatientFeed(key, bound(page(statement, rows)), bound(counted))
