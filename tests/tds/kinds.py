"""Which type each column of a query has: SQL Server says it before the first row, SQLite never does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from sqlglot import exp

from tds.columns import MAX, Type, wider

Columns = Mapping[str, Type | None]
"""Names as declared, in their order."""
Named = list[tuple[str, Type | None]]

INT, BIGINT = Type("int"), Type("bigint")


class Kinds:
    """`table`: the columns of a table or view, or None if there is none of that name."""

    def __init__(self, table: Callable[[str], Columns | None]) -> None:
        self._table = table

    def of(self, query: exp.Expression, common: Mapping[str, Columns] | None = None) -> Named:
        """Names and types of a query's columns."""
        known = dict(common or {})
        with_ = query.args.get("with_") or query.args.get("with")
        for one in with_.expressions if with_ else ():
            known[one.alias.lower()] = dict(self.of(one.this, known))
        if isinstance(query, exp.Subquery):
            return self.of(query.this, known)
        if isinstance(query, exp.SetOperation):
            left, right = self.of(query.left, known), self.of(query.right, known)
            return [(name, wider(kind, other)) for (name, kind), (_, other) in zip(left, right, strict=False)]
        scope = self._scope(query, known)
        named: Named = []
        for column in query.expressions:
            if isinstance(column, exp.Star) or (isinstance(column, exp.Column) and isinstance(column.this, exp.Star)):
                wanted = column.table.lower() if isinstance(column, exp.Column) else ""
                for alias, columns in scope.items():
                    if not wanted or alias == wanted:
                        named += columns.items()
            else:
                named.append((column.alias_or_name, self.kind(column, scope)))
        return named

    def scope_of(self, query: exp.Expression) -> dict[str, Columns]:
        """Columns that the conditions of a statement may name, by alias."""
        return self._scope(query, {})

    def _scope(self, query: exp.Expression, known: Mapping[str, Columns]) -> dict[str, Columns]:
        scope: dict[str, Columns] = {}
        from_ = query.args.get("from_") or query.args.get("from")
        sources = [from_.this] if from_ else []
        if isinstance(query, exp.Update | exp.Delete) and isinstance(query.this, exp.Table):
            sources.append(query.this)
        sources += [join.this for join in query.args.get("joins") or ()]
        for source in sources:
            if isinstance(source, exp.Table):
                name = source.name.lower()
                scope[source.alias_or_name.lower()] = known.get(name) or self._table(name) or {}
            elif isinstance(source, exp.Subquery):
                scope[source.alias_or_name.lower()] = dict(self.of(source.this, known))
        return scope

    def kind(self, node: exp.Expression | None, scope: Mapping[str, Columns]) -> Type | None:
        """The type of one expression; None where only the value can say."""
        if node is None:
            return None
        first: Callable[[exp.Expression], Type | None] = lambda one: self.kind(one.this, scope)  # noqa: E731
        match node:
            case exp.Column():
                return _found(node, scope)
            case exp.Cast():
                return Type.declared(node.to.sql("tsql"))
            case exp.Convert():
                return Type.declared(node.this.sql("tsql"))
            case exp.CurrentTimestamp() | exp.DateAdd():
                return Type("datetime")
            case exp.StrPosition():
                return INT
            case exp.National():
                return Type("nvarchar", max(1, len(node.name)))
            case exp.Literal() if node.is_string:
                return Type("varchar", max(1, len(node.name.encode("gbk", "replace"))))
            case exp.Literal():
                return INT if node.name.isdigit() else Type("decimal", 38, 10)
            case exp.HexString():
                return Type("varbinary", max(1, len(node.name) // 2))
            case exp.Count():
                return INT
            case exp.Length():
                return INT
            case exp.Case():
                branches = [branch.args["true"] for branch in node.args["ifs"]]
                return self._widest(scope, [*branches, node.args.get("default")])
            case exp.Coalesce():
                return self._widest(scope, [node.this, *node.expressions])
            case exp.Sum():
                inner = first(node)
                return INT if inner in {Type("tinyint"), Type("smallint"), INT} else inner
            case exp.Trim() | exp.Upper() | exp.Lower():
                return _varying(first(node))
            case exp.Replace() | exp.Concat() | exp.DPipe() | exp.Substring() | exp.Left() | exp.Right() | exp.Stuff():
                inner = first(node)
                return Type("nvarchar", 4000) if inner and inner.name.startswith("n") else Type("varchar", 8000)
            case exp.Binary():
                return wider(self.kind(node.left, scope), self.kind(node.right, scope))
            case exp.Alias() | exp.Paren() | exp.Max() | exp.Min() | exp.Avg() | exp.Neg():
                return first(node)
            case exp.Subquery() | exp.Select():
                (only, *_) = self.of(cast(exp.Expression, node))
                return only[1]
        return None

    def _widest(self, scope: Mapping[str, Columns], nodes: Sequence[exp.Expression | None]) -> Type | None:
        kind: Type | None = None
        for node in nodes:
            kind = wider(kind, self.kind(node, scope))
        return kind


def _varying(kind: Type | None) -> Type | None:
    if kind is None or not kind.textual:
        return Type("varchar", 8000)
    return Type("nvarchar" if kind.name.startswith("n") else "varchar", kind.size or MAX)


def _found(column: exp.Column, scope: Mapping[str, Columns]) -> Type | None:
    name, table = column.name.lower(), column.table.lower()
    for alias, columns in scope.items():
        if not table or alias == table:
            for own, kind in columns.items():
                if own.lower() == name:
                    return kind
    return None
