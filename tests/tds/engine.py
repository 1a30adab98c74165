"""A small T-SQL engine: batches are parsed with sqlglot and run on SQLite, with the manners of Chinese_PRC_CI_AS.

Comparison ignores case, width and trailing spaces, as that collation does. Dates and times are kept as text of one
form, rounded as their types round. Decimals are floating numbers in SQLite: up to 15 digits are exact.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tds import catalog, conversion
from tds.batches import code_only, without_comments
from tds.columns import MOMENTS, Type, stored_moment
from tds.kinds import INT, Columns, Kinds
from tds.releases import Release

SYSTEM = {
    "sys_system_views": "CREATE TEMP TABLE sys_system_views AS SELECT 'dm_exec_sessions' AS name",
    "information_schema_tables": (
        "CREATE TEMP VIEW information_schema_tables AS SELECT 'dbo' AS TABLE_SCHEMA, name AS TABLE_NAME,"
        " CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS TABLE_TYPE FROM main.sqlite_master"
        " WHERE type IN ('table', 'view') AND name NOT LIKE 'look_alike%'"
    ),
    "sys_schemas": "CREATE TEMP TABLE sys_schemas AS SELECT 1 AS schema_id, 'dbo' AS name",
    "sys_objects": (
        "CREATE TEMP VIEW sys_objects AS SELECT name, rowid AS object_id, 1 AS schema_id,"
        " CASE type WHEN 'view' THEN 'V' ELSE 'U' END AS type FROM main.sqlite_master WHERE type IN ('table', 'view')"
    ),
    "sys_dm_exec_sessions": (
        "CREATE TEMP TABLE sys_dm_exec_sessions (session_id int, program_name nvarchar(128), login_name nvarchar(128),"
        " transaction_isolation_level smallint, lock_timeout int)"
    ),
}
_PARTS = {"HOUR": "%H", "MINUTE": "%M"}
_WORD = re.compile(
    r"(?P<text>N?'(?:[^']|'')*')|(?P<name>\[[^\]]*\])|(?P<hex>\b0x[0-9A-F]*)|(?P<max>\(\s*max\s*\))"
    r"|(?P<moment>\{\s*(?:ts|d|t)\s*('[^']*')\s*\})|(?P<at>@@\w+)",
    re.IGNORECASE,
)
_TEXT_COLUMN = re.compile(
    r"\b(N?(?:VAR)?CHAR|N?TEXT)\b(\s*\(\s*-?\w+\s*\))?(?!\s*\()(?!\s+COLLATE)(?!\w)", re.IGNORECASE
)
_CREATE_TABLE = re.compile(r"\s*CREATE\s+TABLE\s", re.IGNORECASE)
_CREATE_VIEW = re.compile(
    r"\s*(CREATE\s+OR\s+ALTER|CREATE|ALTER)\s+VIEW\s+(\S+)\s+AS\s+(.*)$", re.IGNORECASE | re.DOTALL
)
_VIEW = re.compile(r"\b(?:CREATE|ALTER)\s+VIEW\b", re.IGNORECASE)
_VIEW_TEXTS = "CREATE TABLE IF NOT EXISTS main.look_alike_views (name TEXT PRIMARY KEY COLLATE NOCASE, body TEXT)"
"""What views were made of: their columns have types that SQLite does not keep."""
_AS_IT_IS = re.compile(r"\s*(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+(?:TABLE|VIEW)|ALTER\s+TABLE)\s", re.IGNORECASE)
_INSERT = re.compile(r"\s*INSERT\s+INTO\s.*?\bVALUES\b", re.IGNORECASE | re.DOTALL)
_HINT = re.compile(r"\bOPTION\s*\(\s*MAXDOP\s+\d+\s*\)\s*;?\s*$", re.IGNORECASE)
_SP_RENAME = re.compile(r"\s*(?:EXEC\s+)?sp_rename\s+N?'(\w+)\.(\w+)'\s*,\s*N?'(\w+)'", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlError(Exception):
    """What SQL Server would say: number, class, text."""

    number: int
    severity: int
    text: str


class Rows(Protocol):
    """Rows that are fetched when they are wanted."""

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next rows, none at the end."""

    def close(self) -> None:
        """No more are wanted."""


class _Ahead:
    """A cursor of which one row was looked at already."""

    def __init__(self, first: tuple[Any, ...], cursor: sqlite3.Cursor) -> None:
        self._first: list[tuple[Any, ...]] = [first]
        self._cursor = cursor

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        first, self._first = self._first, []
        return first or self._cursor.fetchmany(size)

    def close(self) -> None:
        self._cursor.close()


@dataclass(slots=True)
class Result:
    """Columns and rows of a query, or the number of rows that a statement touched."""

    columns: list[tuple[str, Type]] = field(default_factory=list)
    rows: Rows | None = None
    touched: int = -1


@lru_cache(maxsize=100_000)
def _folded(text: str) -> bytes:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.rstrip(" ").lower().encode("gb18030", "replace")


def compare(one: str, other: str) -> int:
    """Chinese_PRC_CI_AS, near enough: no difference of case, width or trailing spaces; Chinese in the order of GBK."""
    if one == other:
        return 0
    left, right = _folded(one), _folded(other)
    return (left > right) - (left < right)


class Server(Protocol):
    """What a session's engine asks of the server."""

    release: Release

    def variable(self, name: str) -> str:
        """What @@SPID and the like stand for."""

    def database(self) -> str:
        """The current one."""

    def login_number(self, name: str) -> int | None:
        """SUSER_ID."""

    def user_number(self, name: str) -> int | None:
        """USER_ID."""

    def may(self, table: str, verb: str) -> bool:
        """Whether this session's user has a right on a table or view."""

    def system_rows(self) -> Mapping[str, catalog.Rows]:
        """What stands in the server's own tables and in no database file."""


class Engine:
    """One session's way into the database file."""

    def __init__(self, path: Path, server: Server) -> None:
        self._server, self._variables = server, server.variable
        self._refused: SqlError | None = None
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20)
        self._db.text_factory = _text
        self._db.create_collation("Chinese_PRC_CI_AS", compare)
        self._db.create_function("look_alike_moment", 2, stored_moment, deterministic=True)
        self._db.create_function("BINARY_CHECKSUM", -1, _checksum, deterministic=True)
        for name, function in self._functions().items():
            self._db.create_function(name, -1, function)
        for statement in SYSTEM.values():
            self._db.execute(statement)
        catalog.create(self._db)
        self._kinds = Kinds(self.columns_of)
        self._known: dict[str, Columns | None] = {}

    def _functions(self) -> dict[str, Callable[..., Any]]:
        server, release = self._server, self._server.release
        properties = {"productversion": release.product_version, "edition": "Look-alike Edition"}
        return {
            "schema_name": lambda *_: "dbo",
            "db_name": lambda *_: server.database(),
            "db_id": lambda *_: 5,
            "serverproperty": lambda name: properties.get(name.lower()),
            "databasepropertyex": lambda _, name: {"updateability": "READ_WRITE"}.get(name.lower()),
            "object_id": self._object_id,
            "suser_id": server.login_number,
            "user_id": server.user_number,
            "has_perms_by_name": lambda table, _, verb: int(server.may(_own_name(table), verb)),
            "quotename": _quoted,
            "stats_date": lambda *_: None,
            "getdate": lambda: stored_moment(datetime.now().isoformat(" ", "microseconds"), "datetime"),  # noqa: DTZ005
            "look_alike_convert": lambda *given: conversion.convert(*given, self._refuse),
            "look_alike_dateadd": conversion.add,
            "look_alike_right": lambda text, length: text and text[-length:],
            "look_alike_stuff": lambda text, at, length, new: text and text[: at - 1] + new + text[at - 1 + length :],
        }

    def _refuse(self, number: int, severity: int, text: str) -> Exception:
        """An error raised inside a function, which SQLite tells as one of its own."""
        self._refused = SqlError(number, severity, text)
        return self._refused

    def _object_id(self, name: str, kind: str | None = None) -> int | None:
        wanted = {"U": ("table",), "V": ("view",)}.get((kind or "").strip().upper(), ("table", "view"))
        found = self._db.execute(
            f"SELECT rowid FROM main.sqlite_master WHERE lower(name) = ? AND type IN ({', '.join('?' * len(wanted))})",
            (_own_name(name).lower(), *wanted),
        ).fetchone()
        return found[0] if found else None

    def value(self, expression: str) -> Any:
        """What an expression comes to, now."""
        (result,) = self.run(f"SELECT {expression} AS one", lambda _: False)
        assert result.rows is not None
        ((value,),) = result.rows.fetchmany(2)
        return value

    def close(self) -> None:
        """End the session; what was not committed is gone."""
        self._db.close()

    def transaction(self, verb: str) -> bool:
        """BEGIN, COMMIT or ROLLBACK; False if there was nothing to do."""
        if verb == "BEGIN":
            if self._db.in_transaction:
                return False
        elif not self._db.in_transaction:
            return False
        self._db.execute(verb)
        return True

    def sessions(self, rows: list[tuple[object, ...]]) -> None:
        """Fill sys.dm_exec_sessions."""
        self._db.execute("DELETE FROM temp.sys_dm_exec_sessions")
        self._db.executemany("INSERT INTO temp.sys_dm_exec_sessions VALUES (?, ?, ?, ?, ?)", rows)

    def columns_of(self, table: str) -> Columns | None:
        """Columns of a table or view."""
        if table not in self._known:
            self._known[table] = self._read_columns(table)
        return self._known[table]

    def _read_columns(self, table: str) -> Columns | None:
        if table == "information_schema_tables":
            return dict.fromkeys(("TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE"), Type("nvarchar", 128))
        found = self._db.execute(
            "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('table', 'view') AND lower(name) = ?",
            (table,),
        ).fetchone()
        if found is not None and found[0] == "view":
            if (body := self._view_body(table)) is not None:
                return dict(self._kinds.of(sqlglot.parse_one(_prepared(body, self._variables), read="tsql")))
            query = sqlglot.parse_one(found[2], read="sqlite").expression
            return dict(self._kinds.of(query)) if query is not None else None
        described = self._db.execute(f'PRAGMA table_info("{table.replace(chr(34), "")}")').fetchall()
        return {row[1]: Type.declared(row[2]) for row in described} or None

    def _view_body(self, view: str) -> str | None:
        try:
            found = self._db.execute("SELECT body FROM main.look_alike_views WHERE name = ?", (view,)).fetchone()
        except sqlite3.OperationalError:
            return None
        return found[0] if found else None

    def check(self, batch: str) -> None:
        """Raises SqlError for what this release does not know yet."""
        if refusal := self._server.release.refusal(batch, code_only):
            raise SqlError(*refusal)
        if _VIEW.search(batch) and re.search(rf"\S.*{_VIEW.pattern}", code_only(batch), re.IGNORECASE | re.DOTALL):
            raise SqlError(111, 15, "'CREATE VIEW' must be the first statement in a query batch.")

    def run(self, batch: str, denied: Callable[[str], bool]) -> Iterator[Result]:
        """Each statement of a batch in its turn. Raises SqlError."""
        try:
            if catalog.ASKED.search(batch):
                catalog.fill(self._db, self.columns_of, self._server.system_rows())
            yield from self._run(without_comments(batch), denied)
        except sqlite3.Error as error:
            refused, self._refused = self._refused, None
            raise refused or _as_sql_server(error) from None
        except SqlglotError:
            raise SqlError(102, 15, "Incorrect syntax.") from None

    def _run(self, batch: str, denied: Callable[[str], bool]) -> Iterator[Result]:
        if found := _SP_RENAME.match(batch):
            table, old, new = found.groups()
            self._known.clear()
            self._db.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')
            yield Result()
        elif _CREATE_TABLE.match(batch):
            self._create_table(batch)
            yield Result()
        elif found := _CREATE_VIEW.match(batch):
            self._make_view(found[1].upper(), _own_name(found[2]), found[3])
            yield Result()
        elif _AS_IT_IS.match(batch):
            self._known.clear()
            self._db.execute(re.sub(r"\bDROP\s+COLUMN\b", "DROP COLUMN", _plain(batch), flags=re.IGNORECASE))
            yield Result()
        elif _INSERT.match(batch) and "select" not in batch[:400].lower():
            cursor = self._db.execute(_plain(batch))
            yield Result(touched=cursor.rowcount)
        else:
            for sql, columns, tables in self._translated(_prepared(_HINT.sub("", batch), self._variables)):
                for table in tables:
                    if denied(table):
                        text = (
                            f"The SELECT permission was denied on the object '{table}', database 'THIS4', schema 'dbo'."
                        )
                        raise SqlError(229, 14, text)
                cursor = self._db.execute(sql)
                if columns is None:
                    yield Result(touched=cursor.rowcount)
                else:
                    yield self._typed(cursor, columns)

    def _make_view(self, verb: str, name: str, body: str) -> None:
        there = self._object_id(name, "V") is not None
        if verb == "ALTER" and not there:
            raise SqlError(208, 16, f"Invalid object name '{name}'.")
        query = self._translated(_prepared(body, self._variables))[0][0]
        if there and verb != "CREATE":
            self._db.execute(f'DROP VIEW "{name}"')
        self._db.execute(f'CREATE VIEW "{name}" AS {query}')
        self._db.execute(_VIEW_TEXTS)
        self._db.execute("INSERT OR REPLACE INTO main.look_alike_views VALUES (?, ?)", (name, body))
        self._known.clear()

    def _create_table(self, batch: str) -> None:
        self._known.clear()
        sql = _TEXT_COLUMN.sub(lambda found: f"{found[0]} COLLATE Chinese_PRC_CI_AS", _plain(batch))
        self._db.execute(sql)
        name = re.search(r"CREATE\s+TABLE\s+(\S+?)\s*\(", sql, re.IGNORECASE)
        assert name is not None
        table = name[1].rpartition(".")[2].strip('"')
        for column, kind in (self.columns_of(table.lower()) or {}).items():
            if kind is None or kind.name not in MOMENTS:
                continue
            kept = f"look_alike_moment(NEW.\"{column}\", '{kind.name}')"
            for cause in ("INSERT", f'UPDATE OF "{column}"'):
                self._db.execute(
                    f'CREATE TRIGGER "{table}_{column}_{cause[0]}" AFTER {cause} ON "{table}" BEGIN UPDATE "{table}"'
                    f' SET "{column}" = {kept} WHERE rowid = NEW.rowid AND "{column}" IS NOT {kept}; END'
                )

    def _typed(self, cursor: sqlite3.Cursor, columns: list[tuple[str, Type | None]]) -> Result:
        """The result, with the types that only the first row can tell."""
        names = [entry[0] for entry in cursor.description or ()]
        if len(columns) != len(names):
            columns = [(name, None) for name in names]
        first = cursor.fetchone() if any(kind is None for _, kind in columns) else None
        if first is None:
            return Result(columns=[(name, kind or INT) for name, kind in columns], rows=cursor)
        told = [(name, kind or _of_value(value)) for (name, kind), value in zip(columns, first, strict=True)]
        return Result(columns=told, rows=_Ahead(first, cursor))

    def _translated(self, batch: str) -> list[tuple[str, list[tuple[str, Type | None]] | None, list[str]]]:
        statements = []
        for statement in sqlglot.parse(batch, read="tsql"):
            if statement is None:
                continue
            tables = []
            for table in statement.find_all(exp.Table):
                if table.catalog.lower() == "msdb":
                    table.set("this", exp.to_identifier(f"msdb_{table.name.lower()}"))
                elif table.db.lower() in {"sys", "information_schema"}:
                    table.set("this", exp.to_identifier(f"{table.db.lower()}_{table.name.lower()}"))
                elif not table.name.startswith("sys_"):
                    tables.append(table.name)
                table.set("db", None)
                table.set("catalog", None)
                table.set("hints", None)
            for column in statement.find_all(exp.Column):
                if column.args.get("db"):
                    if column.args["db"].name.lower() in {"sys", "information_schema"}:
                        joined = f"{column.args['db'].name.lower()}_{column.table.lower()}"
                        column.set("table", exp.to_identifier(joined))
                    column.set("db", None)
            reads = isinstance(statement, exp.Select | exp.SetOperation | exp.Subquery)
            columns = self._kinds.of(statement) if reads else None
            scopes = [self._kinds.scope_of(one) for one in statement.find_all(exp.Select, exp.Update, exp.Delete)]
            scope = {alias: found for one in reversed(scopes) for alias, found in one.items()}
            for one in statement.find_all(exp.Select):
                one.set("options", None)
            statements.append((self._for_sqlite(statement, scope).sql("sqlite"), columns, tables))
        return statements

    def _for_sqlite(self, statement: exp.Expression, scope: dict[str, Columns]) -> exp.Expression:
        def call(name: str, *given: exp.Expression) -> exp.Expression:
            # A node that is replaced hides what stands below it from `transform`.
            return exp.Anonymous(this=name, expressions=[one.transform(changed) for one in given])

        def changed(node: exp.Expression) -> exp.Expression:
            match node:
                case exp.National():
                    return exp.Literal.string(node.name)
                case exp.CurrentSchema():
                    return exp.Literal.string("dbo")
                case exp.Cast():
                    kind = Type.declared(node.to.sql("tsql"))
                    if kind.name in MOMENTS:
                        inner = node.this
                        if isinstance(inner, exp.Literal | exp.National):
                            return exp.Literal.string(str(stored_moment(inner.name, kind.name)))
                        return call("look_alike_moment", inner, exp.Literal.string(kind.name))
                    if isinstance(node.this, exp.HexString) and kind.textual:
                        return node.this
                    if kind.name == "uniqueidentifier":
                        return node.this
                    if kind.textual:
                        node.set("to", exp.DataType.build("text"))
                case exp.CurrentTimestamp():
                    return exp.Anonymous(this="getdate")
                case exp.DateAdd():
                    unit = exp.Literal.string(node.args["unit"].name)
                    return call("look_alike_dateadd", unit, node.expression, node.this)
                case exp.Convert():
                    declared, safe = (
                        exp.Literal.string(node.this.sql("tsql")),
                        exp.Literal.number(int(bool(node.args.get("safe")))),
                    )
                    return call(
                        "look_alike_convert", declared, node.expression, node.args.get("style") or exp.Null(), safe
                    )
                case exp.Left():
                    return call("substr", node.this, exp.Literal.number(1), node.expression)
                case exp.Right():
                    return call("look_alike_right", node.this, node.expression)
                case exp.Stuff():
                    return call("look_alike_stuff", node.this, node.args["start"], node.args["length"], node.expression)
                case exp.Extract() if (form := _PARTS.get(node.name.upper())) is not None:
                    told = exp.Anonymous(this="strftime", expressions=[exp.Literal.string(form), node.expression])
                    return exp.Cast(this=told, to=exp.DataType.build("int"))
                case exp.Add():
                    sides = (self._kinds.kind(node.left, scope), self._kinds.kind(node.right, scope))
                    if any(kind is not None and kind.textual for kind in sides):
                        return exp.DPipe(this=node.left.transform(changed), expression=node.right.transform(changed))
                case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                    for one, other in ((node.left, node.right), (node.right, node.left)):
                        kind = self._kinds.kind(one, scope) if isinstance(one, exp.Column) else None
                        if kind and kind.name in MOMENTS and isinstance(other, exp.Literal | exp.National):
                            other.replace(exp.Literal.string(str(stored_moment(other.name, "datetime2"))))
                        elif kind and kind.name in MOMENTS and isinstance(other, exp.Convert):
                            other.replace(call("look_alike_moment", other.copy(), exp.Literal.string("datetime2")))
            return node

        return statement.transform(changed)


def _own_name(name: str) -> str:
    """Without schema and brackets."""
    return name.replace("[", "").replace("]", "").replace('"', "").rpartition(".")[2]


def _quoted(name: str | None, quote: str = "[") -> str | None:
    if name is None or len(name) > 128:
        return None
    left, right = ("[", "]") if quote in "[]" else (quote, quote)
    return left + name.replace(right, right * 2) + right


def _checksum(*values: object) -> int:
    """Any number of 32 bits that tells rows apart: SQL Server's own is another."""
    return zlib.crc32(repr(values).encode()) - 2**31


def _of_value(value: object) -> Type:
    match value:
        case str():
            return Type("nvarchar", 4000)
        case float():
            return Type("float")
        case bytes():
            return Type("varbinary", 8000)
    return INT


def _text(data: bytes) -> str | bytes:
    """Text that is none stays bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _plain(batch: str) -> str:
    """T-SQL that SQLite reads as it is, but for its literals and names."""

    def word(found: re.Match[str]) -> str:
        text = found[0]
        if found["text"]:
            return text[text.index("'") :]
        if found["name"]:
            return '"' + text[1:-1] + '"'
        if found["hex"]:
            return f"x'{text[2:]}'"
        if found["max"]:
            return "(-1)"
        if found["moment"]:
            return found[6]
        return text

    plain = _WORD.sub(word, batch)
    # A value cast to a text type stays what it is, bytes too; `dbo.` is everybody's schema.
    plain = re.sub(r"CAST\((x'[0-9A-Fa-f]*') AS \w+(?:\([-\w]+\))?\)", r"\1", plain, flags=re.IGNORECASE)
    plain = re.sub(r"\bCAST\(('(?:[^']|'')*') AS [\w]+(?:\([-\w]+\))?\)", r"\1", plain, flags=re.IGNORECASE)
    return re.sub(r'"?\bdbo\b"?\.', "", plain)


def _prepared(batch: str, variables: Callable[[str], str]) -> str:
    """Forms that the parser does not know, as forms that it does."""

    def word(found: re.Match[str]) -> str:
        if found["moment"]:
            return f"CAST({found[6]} AS datetime)"
        return variables(found["at"].upper()) if found["at"] else found[0]

    return _WORD.sub(word, batch)


def _as_sql_server(error: sqlite3.Error) -> SqlError:
    said = str(error)
    if found := re.match(r"no such table: (?:main\.|temp\.)?(\S+)", said):
        return SqlError(208, 16, f"Invalid object name '{found[1]}'.")
    if found := re.search(r"no such column: (\S+)", said):
        return SqlError(207, 16, f"Invalid column name '{found[1].rpartition('.')[2].strip(chr(34))}'.")
    if "UNIQUE constraint failed" in said:
        return SqlError(2627, 14, "Violation of PRIMARY KEY constraint. Cannot insert duplicate key.")
    if "already exists" in said:
        return SqlError(2714, 16, "There is already an object of that name in the database.")
    return SqlError(50_000, 16, f"the look-alike: {said}")
