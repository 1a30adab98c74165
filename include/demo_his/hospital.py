"""Builds the demo hospital in a database, each day in one transaction, so that a killed call leaves no half day.

`create` invents days; the same call again finds them there and does nothing; other numbers replace them. `arrive` plays
the next morning: rows with yesterday's time are committed, and some of yesterday's rows are refunded.
"""

import json
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, delete, insert, inspect, make_url, select, update
from sqlalchemy.engine import URL

from demo_his import vocabulary
from demo_his.day import KEYS_A_DAY, REVERSAL_KEYS_FROM, Day, first_key, text_key
from demo_his.expectation import DayExpectation, Expectation
from demo_his.schema import (
    DEMO_HIS_DAY,
    GH_GHZDK,
    GH_NGHZDK,
    SF_BRJSK,
    SF_BRXXK,
    SF_MZCFK,
    SF_NBRJSK,
    SF_NMZCFK,
    XT_BRWX,
    XT_BRXX,
    YJ_JCBGK,
    YJ_JYBGK,
    YY_JZBRYJK,
    YY_KSBMK,
    metadata,
    prepare,
)

Progress = Callable[[int], None]
"""Called with the number of rows written since the last call."""

_NUMBERED: Final = {
    GH_GHZDK: "xh",
    GH_NGHZDK: "xh",
    SF_MZCFK: "xh",
    SF_NMZCFK: "xh",
    YY_JZBRYJK: "xh",
    SF_BRXXK: "patid",
    XT_BRWX: "brid",
    XT_BRXX: "id",
}
_ROWS_A_STATEMENT: Final = 500
"""SQL Server takes 1000 at most."""
_LETTERED: Final = {SF_BRJSK: ("sjh", ""), SF_NBRJSK: ("sjh", ""), YJ_JCBGK: ("repno", "JC"), YJ_JYBGK: ("repno", "JY")}


class MissingDay(LookupError):
    """Late rows can only arrive for a day that was invented before."""

    def __init__(self, day: date) -> None:
        super().__init__(f"{day} is not in this demo HIS: create it first (python -m demo_his --from {day} --to {day})")


def create(
    url: str | URL,
    days: Iterable[date],
    uses_per_day: int = 20_000,
    seed: int = 1,
    *,
    progress: Progress = lambda rows: None,
) -> Expectation:
    """Invent the days that are not there yet with these numbers; returns what a reader must find now.

    A day that is there with the same seed and uses stays as it is, its late rows included; with other numbers it is
    replaced. `uses_per_day` is exact: successful card uses that are committed in time; voided rows come on top.
    """
    _database(make_url(url))
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            prepare(connection)
            _departments(connection)
        return Expectation.of(_create_day(engine, day, uses_per_day, seed, progress) for day in days)
    finally:
        engine.dispose()


def arrive(url: str | URL, days: Iterable[date]) -> Expectation:
    """Commit the late rows of the days and make their late refunds; a second call does nothing. Raises MissingDay."""
    engine = _engine(url)
    try:
        return Expectation.of(_arrive_day(engine, day) for day in days)
    finally:
        engine.dispose()


def known_days(url: str | URL) -> tuple[date, ...]:
    """Days that the database holds, oldest first."""
    return tuple(day.day for day in stored_expectation(url).days)


def stored_expectation(url: str | URL) -> Expectation:
    """What a reader must find in all days that the database holds now."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(DEMO_HIS_DAY.name):
                return Expectation(days=())
            texts = connection.scalars(select(DEMO_HIS_DAY.c.expectation)).all()
    finally:
        engine.dispose()
    return Expectation.of(DayExpectation.from_json(json.loads(text)) for text in texts)


def write_expectation(expectation: Expectation, path: Path) -> Path:
    """Write it as JSON, in one move, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{path.suffix}.part")
    part.write_text(f"{expectation}\n", encoding="utf-8")
    return part.replace(path)


def beside(url: str | URL) -> Path | None:
    """Where the expectation of a SQLite file belongs: <name>.expected.json next to it. None for other databases."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database).with_suffix(".expected.json")


def _engine(url: str | URL) -> Engine:
    if path := beside(url):
        path.parent.mkdir(parents=True, exist_ok=True)
    return create_engine(url, hide_parameters=True)


def _database(url: URL) -> None:
    """On SQL Server: the database itself, in the collation that hospitals in China have, if it is not there."""
    if url.get_backend_name() != "mssql" or not url.database:
        return
    if not url.database.isidentifier():
        raise ValueError(f"'{url.database}' is no name for a database")
    server = create_engine(url.set(database="master"), hide_parameters=True, isolation_level="AUTOCOMMIT")
    name = url.database
    with server.connect() as connection:
        connection.exec_driver_sql(f"IF DB_ID('{name}') IS NULL CREATE DATABASE [{name}] COLLATE Chinese_PRC_CI_AS")
    server.dispose()


def _departments(connection: Connection) -> None:
    names = {code: name for code, (name, _) in vocabulary.DEPARTMENTS.items()} | dict(vocabulary.UNMAPPED_DEPARTMENTS)
    known = set(connection.scalars(select(YY_KSBMK.c.id)))
    missing = [{"id": code, "name": name} for code, name in names.items() if code not in known]
    if missing:
        connection.execute(insert(YY_KSBMK), missing)


def _create_day(engine: Engine, day: date, uses: int, seed: int, progress: Progress) -> DayExpectation:
    with engine.begin() as connection:
        row = connection.execute(select(DEMO_HIS_DAY).where(DEMO_HIS_DAY.c.day == day.isoformat())).one_or_none()
        if row is not None:
            if (row.seed, row.uses) == (seed, uses):
                return DayExpectation.from_json(json.loads(row.expectation))
            _remove(connection, day)
        invented = Day(day, uses, seed)
        _load(connection, invented, progress)
        expected = invented.expected
        for feed, counts in _late(day, uses, seed).outcomes.items():
            expected.late[feed]["rows"] = counts.total()
        connection.execute(
            insert(DEMO_HIS_DAY).values(
                day=day.isoformat(),
                seed=seed,
                uses=uses,
                late_arrived=0,
                expectation=json.dumps(expected.as_json()),
                late_refunds=json.dumps(invented.late_refunds),
            )
        )
        return expected


def _arrive_day(engine: Engine, day: date) -> DayExpectation:
    with engine.begin() as connection:
        if not inspect(connection).has_table(DEMO_HIS_DAY.name):
            raise MissingDay(day)
        row = connection.execute(select(DEMO_HIS_DAY).where(DEMO_HIS_DAY.c.day == day.isoformat())).one_or_none()
        if row is None:
            raise MissingDay(day)
        expected = DayExpectation.from_json(json.loads(row.expectation))
        if row.late_arrived:
            return expected
        late = Day(day, row.uses, row.seed, late=True)
        _load(connection, late, lambda rows: None)
        refunds = json.loads(row.late_refunds)
        _refund(connection, GH_GHZDK, "xh", refunds["registration"], day)
        _refund(connection, SF_BRJSK, "sjh", refunds["payment"], day)
        expected = expected.after_late(late.expected.not_events)
        connection.execute(
            update(DEMO_HIS_DAY)
            .where(DEMO_HIS_DAY.c.day == day.isoformat())
            .values(late_arrived=1, expectation=json.dumps(expected.as_json()))
        )
        return expected


def _late(day: date, uses: int, seed: int) -> DayExpectation:
    late = Day(day, uses, seed, late=True)
    for _ in late.batches():
        pass
    return late.expected


def _load(connection: Connection, day: Day, progress: Progress) -> None:
    for batch in day.batches():
        for table, rows in batch.items():
            _insert(connection, metadata.tables[table], rows)
        progress(sum(map(len, batch.values())))


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if connection.dialect.name != "mssql":
        connection.execute(insert(table), rows)
        return
    # pymssql sends each row of a list by itself: here a statement takes as many as it may.
    for first in range(0, len(rows), _ROWS_A_STATEMENT):
        connection.execute(insert(table).values(rows[first : first + _ROWS_A_STATEMENT]))


def _refund(connection: Connection, table: Any, key: str, keys: list[Any], day: date) -> None:
    """jlzt 1 on each row and a negative row beside it, dated the next morning."""
    moment = "ghrq" if key == "xh" else "sfrq"
    morning = f"{day + timedelta(days=1):%Y%m%d}08:30:00"
    for number, old in enumerate(keys, start=REVERSAL_KEYS_FROM):
        row = dict(connection.execute(select(table).where(table.c[key] == old)).one()._mapping)
        connection.execute(update(table).where(table.c[key] == old).values(jlzt=1))
        changes = (
            {"xh": first_key(day) + number, "txh": old}
            if key == "xh"
            else {"sjh": text_key(day, number), "tsjh": old, "zje": -row["zje"]}
        )
        connection.execute(insert(table).values({**row, "jlzt": 2, moment: morning, **changes}))


def _remove(connection: Connection, day: date) -> None:
    first = first_key(day)
    for table, name in _NUMBERED.items():
        key = table.c[name]
        connection.execute(delete(table).where(key >= first, key < first + KEYS_A_DAY))
    for table, (name, prefix) in _LETTERED.items():
        key = table.c[name]
        connection.execute(
            delete(table).where(key >= text_key(day, 0, prefix), key <= text_key(day, KEYS_A_DAY, prefix))
        )
    connection.execute(delete(DEMO_HIS_DAY).where(DEMO_HIS_DAY.c.day == day.isoformat()))
