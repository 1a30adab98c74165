"""An installation's own SQL that takes patient fields for other columns, a few rows of each, as a wrong SQL does."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from card_usage.events import PATIENT_FIELDS, SourceRow
from card_usage.files.shipped import SHIPPED

COLUMNS = tuple(name for name in SourceRow._fields if name not in {*PATIENT_FIELDS, "voided"})
PLANTS = tuple(product(COLUMNS, (*PATIENT_FIELDS, "mobile")))
EVERY, CYCLE = 2, 200
"""Every second row is planted until each plant was; after 200 rows it begins again."""
MOBILE = "13912345678"

_ORDER = "ORDER BY occurred_at, source_id"


def wrong_sql(folder: Path, shape: str) -> None:
    """Write every feed of a shape for SQLite, with each patient field in each other column of some of its rows."""
    target = folder / "sql" / shape
    target.mkdir(parents=True)
    for path in sorted((SHIPPED / "sql" / shape).glob("*.sql")):
        lines = path.read_text(encoding="utf-8").splitlines()
        header = [line for line in lines if line.startswith("--")]
        rows = "\n".join(line for line in lines if not line.startswith("--")).strip().removesuffix(_ORDER)
        columns = ", ".join(f"{_column(name)} AS {name}" for name in SourceRow._fields)
        numbered = f"SELECT of_feed.*, ROW_NUMBER() OVER ({_ORDER}) AS place FROM ({rows}) of_feed"
        text = "\n".join([*header, f"SELECT {columns} FROM ({numbered}) numbered", _ORDER])
        (target / path.name).write_text(text, encoding="utf-8")


def _column(name: str) -> str:
    if name not in COLUMNS:
        return name
    cases = []
    for number, (column, field) in enumerate(PLANTS):
        if column == name:
            value = f"'{MOBILE}'" if field == "mobile" else field
            # A name and a mobile number are no keys of their own: several people share one.
            joined = f"{value} || '-' || place" if name == "source_id" and field in {"name", "mobile"} else value
            cases.append(f"WHEN place % {CYCLE} = {EVERY * number} AND {value} IS NOT NULL THEN {joined}")
    return f"CASE {' '.join(cases)} ELSE {name} END"
