"""The server's own tables, as far as scripts for a DBA ask them: filled when a batch names them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

from tds.columns import NATIONAL, Type

Columns = Mapping[str, Type | None]
Rows = Sequence[tuple[object, ...]]

ASKED = re.compile(
    r"\bsys\.(?:columns|types|indexes|index_columns|stats|databases|server_principals)\b"
    r"|\bINFORMATION_SCHEMA\.COLUMNS\b|\bsysjobs\b",
    re.IGNORECASE,
)
COLLATION = "Chinese_PRC_CI_AS"
TABLES = {
    "sys_columns": (
        "object_id int, column_id int, name nvarchar(128), user_type_id int, max_length smallint,"
        " collation_name nvarchar(128), is_computed bit"
    ),
    "sys_types": "user_type_id int, name nvarchar(128)",
    "sys_indexes": "object_id int, index_id int, name nvarchar(128)",
    "sys_index_columns": "object_id int, index_id int, column_id int, key_ordinal int",
    "sys_stats": "object_id int, stats_id int, name nvarchar(128)",
    "sys_databases": (
        "name nvarchar(128), database_id int, compatibility_level tinyint, collation_name nvarchar(128),"
        " snapshot_isolation_state_desc nvarchar(60), is_read_committed_snapshot_on bit"
    ),
    "sys_server_principals": "name nvarchar(128), sid varbinary(85)",
    "msdb_sysjobs": "name nvarchar(128)",
    "information_schema_columns": (
        "TABLE_SCHEMA nvarchar(128), TABLE_NAME nvarchar(128), COLUMN_NAME nvarchar(128), ORDINAL_POSITION int,"
        " DATA_TYPE nvarchar(128), CHARACTER_MAXIMUM_LENGTH int, COLLATION_NAME nvarchar(128), IS_NULLABLE varchar(3)"
    ),
}
"""Temporary tables of a session, by the name that they have in SQLite."""


def create(database: sqlite3.Connection) -> None:
    """The tables, empty."""
    for name, columns in TABLES.items():
        database.execute(f"CREATE TEMP TABLE {name} ({columns})")


def fill(database: sqlite3.Connection, columns_of: Callable[[str], Columns | None], server: Mapping[str, Rows]) -> None:
    """Everything anew. `server`: what is not in the database file (databases, logins, jobs)."""
    found = {name: list(rows) for name, rows in _of_tables(database, columns_of)} | {
        name: list(rows) for name, rows in server.items()
    }
    for name, columns in TABLES.items():
        database.execute(f"DELETE FROM temp.{name}")
        holes = ", ".join("?" * (columns.count(",") + 1))
        database.executemany(f"INSERT INTO temp.{name} VALUES ({holes})", found.get(name, []))


def _of_tables(
    database: sqlite3.Connection, columns_of: Callable[[str], Columns | None]
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    types: dict[str, int] = {}
    columns: list[tuple[object, ...]] = []
    described: list[tuple[object, ...]] = []
    indexes: list[tuple[object, ...]] = []
    keys: list[tuple[object, ...]] = []
    objects = database.execute(
        "SELECT rowid, name, type FROM main.sqlite_master"
        " WHERE type IN ('table', 'view') AND name NOT LIKE 'look_alike%'"
    ).fetchall()
    for number, table, kind in objects:
        known = columns_of(table.lower()) or {}
        for place, (name, declared) in enumerate(known.items(), start=1):
            column = declared or Type("int")
            length = column.size if column.textual else None
            collation = COLLATION if column.textual else None
            described.append(("dbo", table, name, place, column.name, length, collation, "YES"))
            size = column.size * (2 if column.name in NATIONAL else 1) if column.textual else 8
            identity = types.setdefault(column.name, len(types) + 1)
            columns.append((number, place, name, identity, size, collation, 0))
        if kind == "table":
            places = {name: place for place, name in enumerate(known, start=1)}
            for one, (_, index, *_) in enumerate(database.execute(f'PRAGMA index_list("{table}")').fetchall(), start=1):
                indexes.append((number, one, index))
                for ordinal, _, column_name in database.execute(f'PRAGMA index_info("{index}")').fetchall():
                    keys.append((number, one, places.get(column_name), ordinal + 1))
    yield "sys_columns", columns
    yield "information_schema_columns", described
    yield "sys_types", [(identity, name) for name, identity in types.items()]
    yield "sys_indexes", indexes
    yield "sys_stats", indexes
    yield "sys_index_columns", keys
