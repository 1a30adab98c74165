"""Batches that do more than ask: IF, BEGIN and END, DECLARE, SET, EXEC, RAISERROR, SET NOEXEC.

Statements of such a batch end with a semicolon. Each is handed on with the values of its variables in it; conditions
and values are asked of the engine as a SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_PIECE = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>N?'(?:[^']|'')*')|(?P<name>\[[^\]]*\])|(?P<word>@*\w+)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_FIRST = {
    *("BEGIN", "EXEC", "EXECUTE", "CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "SELECT", "GRANT", "DENY"),
    *("REVOKE", "RAISERROR", "SET", "PRINT", "DECLARE", "USE", "RETURN"),
}
_PROCEDURAL = re.compile(
    r"\b(?:IF|DECLARE|RAISERROR|PRINT|NOEXEC)\b|\bEXEC(?:UTE)?\s*\(|\bEXEC\s+msdb\.", re.IGNORECASE
)
_HANDLED_AS_THEY_ARE = re.compile(r"\s*IF\s+(?:@@TRANCOUNT|DB_ID\s*\()", re.IGNORECASE)


def without_comments(sql: str) -> str:
    """The same with a blank for each comment."""
    if "--" not in sql and "/*" not in sql:
        return sql
    return "".join(" " if found["comment"] else found[0] for found in _PIECE.finditer(sql))


def code_only(sql: str) -> str:
    """Neither comments nor what stands in quotes."""
    return "".join("''" if found["text"] else found[0] for found in _PIECE.finditer(without_comments(sql)))


def procedural(sql: str) -> bool:
    """Whether a batch (without comments) needs more than its statements one after the other."""
    if not _PROCEDURAL.search(sql) or _HANDLED_AS_THEY_ARE.match(sql):
        return False
    return _PROCEDURAL.search(code_only(sql)) is not None


def split(sql: str) -> Iterator[str]:
    """Statements, without comments and semicolons; a block stays one."""
    statement, depth, parens = "", 0, 0
    for found in _PIECE.finditer(sql):
        word = (found["word"] or "").upper()
        depth += (word in {"BEGIN", "CASE"}) - (word == "END")
        parens += (found[0] == "(") - (found[0] == ")")
        if found[0] == ";" and depth == parens == 0:
            if statement.strip():
                yield statement.strip()
            statement = ""
        else:
            statement += found[0]
    if statement.strip():
        yield statement.strip()


def _condition(statement: str) -> tuple[str, str]:
    """IF's condition, and what it decides about."""
    parens, at = 0, 0
    for found in _PIECE.finditer(statement):
        parens += (found[0] == "(") - (found[0] == ")")
        if parens == 0 and (found["word"] or "").upper() in _FIRST:
            at = found.start()
            break
    return statement[2:at].strip(), statement[at:].strip()


class Batch:
    """One batch at work. `run`: a plain statement; `value`: of an expression; `say`: number, class and words.

    `perform`: a batch of its own (EXEC of text); `call`: a procedure with its parameters.
    """

    def __init__(
        self,
        *,
        run: Callable[[str], None],
        value: Callable[[str], Any],
        say: Callable[[str, int], None],
        perform: Callable[[str], None],
        call: Callable[[str, dict[str, Any]], None],
        execute: bool,
    ) -> None:
        self._run, self._value, self._say, self._perform, self._call = run, value, say, perform, call
        self._variables: dict[str, Any] = {}
        self.execute = execute
        """False while SET NOEXEC is ON: statements are read and not run."""

    def __call__(self, sql: str) -> None:
        for statement in split(sql):
            self._statement(statement)

    def _statement(self, statement: str) -> None:
        head = statement.split(None, 1)[0].upper().partition("(")[0]
        if found := re.match(r"SET\s+NOEXEC\s+(ON|OFF)$", statement, re.IGNORECASE):
            self.execute = found[1].upper() == "OFF"
        elif not self.execute:
            return
        elif head == "IF":
            condition, body = _condition(statement)
            if self._value(self._filled(f"CASE WHEN {condition} THEN 1 ELSE 0 END")):
                self._statement(body)
        elif block := re.match(r"BEGIN\s(.*)\sEND$", statement, re.IGNORECASE | re.DOTALL):
            self(block[1])
        elif head == "DECLARE":
            self._declare(statement)
        elif found := re.match(r"SET\s+@(\w+)\s*=(.*)$", statement, re.IGNORECASE | re.DOTALL):
            self._variables[found[1].lower()] = self._value(self._filled(found[2]))
        elif found := re.match(r"RAISERROR\s*\(\s*N?'((?:[^']|'')*)'\s*,\s*(\d+)", statement, re.IGNORECASE):
            self._say(found[1].replace("''", "'"), int(found[2]))
        elif head == "PRINT":
            self._say(str(self._value(self._filled(statement[5:]))), 0)
        elif found := re.match(r"EXEC(?:UTE)?\s*\((.*)\)$", statement, re.IGNORECASE | re.DOTALL):
            self._perform(str(self._value(self._filled(found[1]))))
        elif found := re.match(r"EXEC(?:UTE)?\s+(msdb\.[\w.]+)(.*)$", statement, re.IGNORECASE | re.DOTALL):
            self._call(found[1], dict(self._parameters(found[2])))
        else:
            self._run(self._filled(statement))

    def _declare(self, statement: str) -> None:
        for found in re.finditer(r"@(\w+)\s+\w+(?:\s*\(\s*\w+\s*\))?(?:\s*=\s*([^,]+))?", statement[7:], re.IGNORECASE):
            self._variables[found[1].lower()] = self._value(self._filled(found[2])) if found[2] else None

    def _parameters(self, written: str) -> Iterator[tuple[str, Any]]:
        for found in re.finditer(r"@(\w+)\s*=\s*(N?'(?:[^']|'')*'|@?\w+)", written):
            yield found[1].lower(), self._value(self._filled(found[2]))

    def _filled(self, sql: str) -> str:
        """Values in the places of variables."""

        def piece(found: re.Match[str]) -> str:
            name = found["word"] or ""
            if not name.startswith("@") or name.startswith("@@"):
                return found[0]
            value = self._variables[name[1:].lower()]
            if value is None:
                return "NULL"
            quoted = str(value).replace("'", "''")
            return str(value) if isinstance(value, int | float) else f"N'{quoted}'"

        return "".join(piece(found) for found in _PIECE.finditer(sql))
