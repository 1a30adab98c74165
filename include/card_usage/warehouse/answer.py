"""Answer: a question over the smallest sums that have what it asks for.

Of each month that the period touches: the fleet's sums where hospitals need not be told apart, else the sums by
hospital, and the facts themselves where more dimensions are asked for than are summed in advance, or where a day counts
from its own file. A total is that of all rows, whether or not the top ones alone are listed.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from card_usage.files.store import Store
from card_usage.warehouse.dimensions import Names
from card_usage.warehouse.engine import READ, Engine
from card_usage.warehouse.indicators import Indicator
from card_usage.warehouse.layout import HospitalDay, Listing, cube_file, day_file, fleet_file, month_file
from card_usage.warehouse.question import Question
from card_usage.warehouse.schema import MEASURES, MOST, Level, grain_name

_ALL: Final = tuple(measure.name for measure in MEASURES)

Key = tuple[Any, ...]
Sums = dict[str, int]


class Row(NamedTuple):
    """One mix of the attributes asked by, with its figures; `before`: those of the period compared with."""

    key: Key
    figures: Mapping[str, float | None]
    before: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Rows in their order, and the figures of all of them, those not listed too."""

    question: Question
    rows: Sequence[Row]
    total: Row
    left_out: int = 0


def answer(store: Store, question: Question, names: Names, indicators: Mapping[str, Indicator]) -> Answer:
    """Ask the warehouse. Raises WarehouseUnreadable."""
    with Engine.open(store) as engine:
        names.load(engine)
        listing = Listing.of(store)
        sums = _sums(engine, listing, question, _Period(question.first, question.last))
        before: dict[Key, Sums] = {}
        if question.compare is not None:
            before = _sums(engine, listing, question, _Period.before(question))

    def figures(of: Sums) -> dict[str, float | None]:
        return {
            name: indicators[name].value(of) if name in indicators else of.get(name, 0) for name in question.figures
        }

    compared = question.compare is not None
    rows = [
        Row(key, figures(sums.get(key, {})), figures(before.get(key, {})) if compared else {})
        for key in {**sums, **before}
    ]
    rows.sort(key=lambda row: _place(question, row))
    total = Row((), figures(_total(sums.values())), figures(_total(before.values())) if compared else {})
    listed = rows[: question.top] if question.top is not None else rows
    return Answer(question=question, rows=listed, total=total, left_out=len(rows) - len(listed))


def _place(question: Question, row: Row) -> tuple[Any, ...]:
    """In the order of time where that is asked by first, else the largest first; what is not known comes last."""
    key = tuple((value is None, 0 if value is None else value) for value in row.key)
    by_time = question.by and question.by[0].name in _IN_ORDER and question.top is None
    return (0, key) if by_time else (-(row.figures[question.figures[0]] or 0), key)


_IN_ORDER: Final = ("day", "week", "month", "quarter", "year", "weekday", "hour")


def _total(sums: Any) -> Sums:
    total: Sums = dict.fromkeys(_ALL, 0)
    for one in sums:
        for name, count in one.items():
            total[name] += count
    return total


class _Period(NamedTuple):
    """Days, both included, and how far their dates are moved to stand beside those of the question."""

    first: date
    last: date
    months: int = 0
    days: int = 0

    @classmethod
    def before(cls, question: Question) -> _Period:
        """The period of the same length before, in months if it is of whole months; or the same a year before."""
        first, last = question.first, question.last
        if question.compare == "year":
            return cls(_moved(first, -12), _moved(last, -12, whole=_is_last(last)), months=12)
        if first.day == 1 and _is_last(last):
            months = (last.year - first.year) * 12 + last.month - first.month + 1
            return cls(_moved(first, -months), first - timedelta(days=1), months=months)
        days = (last - first).days + 1
        return cls(first - timedelta(days=days), first - timedelta(days=1), days=days)

    def months_of_it(self) -> Iterator[tuple[date, bool]]:
        """First day of each month that it touches, and whether the whole of the month is in it."""
        month = self.first.replace(day=1)
        while month <= self.last:
            after = _moved(month, 1)
            yield month, self.first <= month and after - timedelta(days=1) <= self.last
            month = after


def _is_last(day: date) -> bool:
    return day.day == calendar.monthrange(day.year, day.month)[1]


def _moved(day: date, months: int, *, whole: bool = False) -> date:
    """The same day so many months later; the month's last where it has none such, or with `whole`."""
    count = day.year * 12 + day.month - 1 + months
    year, month = count // 12, count % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return date(year, month, last if whole else min(day.day, last))


@dataclass(slots=True)
class _Plan:
    """Files to read, by what is taken from them."""

    fleet: dict[Level, list[str]] = field(default_factory=lambda: {"day": [], "month": []})
    cube: dict[Level, list[str]] = field(default_factory=lambda: {"day": [], "month": []})
    months: list[str] = field(default_factory=list)
    days: list[str] = field(default_factory=list)
    not_from_cube: set[HospitalDay] = field(default_factory=set)

    @classmethod
    def of(cls, listing: Listing, question: Question, period: _Period) -> _Plan:
        """The smallest files that have what is asked for."""
        plan = cls()
        chosen = question.codes.get("hospital")
        for month, whole in period.months_of_it():
            months = {of for of in listing.months if of.day == month and (chosen is None or of.hospital in chosen)}
            days = {of for of in listing.open_in(month) if chosen is None or of.hospital in chosen}
            level: Level = "month" if whole and question.unit == "month" and not period.days else "day"
            summed = month in listing.cubes and len(question.columns) <= MOST[level]
            if summed and not listing.open_in(month) and not question.of_hospitals:
                plan.fleet[level].append(fleet_file(month))
                continue
            if summed:
                plan.cube[level].append(cube_file(month))
                changed = {of.hospital for of in days}
                months = {of for of in months if of.hospital in changed}
                plan.not_from_cube |= {HospitalDay(hospital, month) for hospital in changed}
            plan.months += [month_file(of.hospital, month) for of in months]
            plan.days += [day_file(of) for of in days if period.first <= of.day <= period.last]
        return plan


def _sums(engine: Engine, listing: Listing, question: Question, period: _Period) -> dict[Key, Sums]:
    """Measures by the attributes asked by."""
    plan = _Plan.of(listing, question, period)
    parts = list(_parts(engine, listing, plan, question, period))
    if not parts:
        return {}
    keys = [_key(attribute.column, attribute.level, attribute.part) for attribute in question.by]
    joined = {attribute.column for attribute in question.by if attribute.level != "code"}
    joins = " ".join(f"left join dim_{name} on dim_{name}.code = f.{name}" for name in sorted(joined))
    grouped = f"group by {', '.join(str(at) for at in range(1, len(keys) + 1))}" if keys else ""
    measures = ", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in _ALL)
    union = " union all ".join(query for query, _ in parts)
    query = f"select {', '.join([*keys, measures])} from ({union}) as f {joins} {grouped}"  # noqa: S608 - names of ours
    rows = engine.run(query, [value for _, values in parts for value in values])
    sums = {row[: len(keys)]: dict(zip(_ALL, row[len(keys) :], strict=True)) for row in rows}
    return {key: of for key, of in sums.items() if any(of.values())}


def _key(column: str, level: str, part: str) -> str:
    """The expression of an attribute over the parts and the tables of dimensions."""
    if part:
        return part
    if level == "code":
        return f"f.{column}"
    if level == "card_group":
        return "coalesce(dim_card_type.card_group, 'other')"
    return f"nullif(dim_{column}.{level}, '')"


def _parts(
    engine: Engine, listing: Listing, plan: _Plan, question: Question, period: _Period
) -> Iterator[tuple[str, list[Any]]]:
    """Queries with the columns hospital, day, those asked for, and all measures; and what is bound in each."""
    wanted = question.columns
    asked = {attribute.column for attribute in question.by}
    by_hospital = "hospital" in asked
    # What is only filtered by is not told apart any more.
    columns = [name for name in wanted if name in asked]
    day = (
        f"(day + to_months({period.months}) + to_days({period.days}))::DATE" if period.months or period.days else "day"
    )
    if "day" not in asked:
        day = "null::DATE"
    selected = ", ".join([*(["hospital"] if by_hospital else []), f"{day} as day", *columns])
    groups = ", ".join(str(at) for at in range(1, len(columns) + 2 + by_hospital))
    conditions, values = _conditions(question)
    between = "day between ? and ?"
    sums = ", ".join(f"sum({name}) as {name}" for name in _ALL)
    engine.insert("elsewhere", [("hospital", "VARCHAR"), ("month", "DATE")], plan.not_from_cube)
    for kind, files in (("fleet", plan.fleet), ("cube", plan.cube)):
        for level, names in files.items():
            if names:
                where = ["level = ?", "grain = ?", between, *conditions]
                if kind == "cube" and plan.not_from_cube:
                    where.append("(hospital, date_trunc('month', day)::DATE) not in (from elsewhere)")
                query = f"select {selected}, {sums} from {READ} where {' and '.join(where)} group by {groups}"  # noqa: S608
                bound = [engine.addresses(names), level, grain_name(wanted), period.first, period.last, *values]
                yield query, bound
    sums = ", ".join(f"{measure.of_uses} as {measure.name}" for measure in MEASURES)
    engine.insert("own", [("hospital", "VARCHAR"), ("day", "DATE")], sorted(listing.days))
    for names, without in ((plan.months, ["(hospital, day) not in (from own)"]), (plan.days, [])):
        if names:
            where = [between, *conditions, *without]
            query = f"select {selected}, {sums} from {READ} where {' and '.join(where)} group by {groups}"  # noqa: S608
            yield query, [engine.addresses(names), period.first, period.last, *values]


def _conditions(question: Question) -> tuple[list[str], list[Any]]:
    """Conditions over columns of the facts, with what is bound in them."""
    conditions: list[str] = []
    values: list[Any] = []
    for column, chosen in question.codes.items():
        either = f"{column}::VARCHAR in (select unnest(?::VARCHAR[]))"
        conditions.append(f"({either} or {column} is null)" if None in chosen else either)
        values.append(sorted(code for code in chosen if code is not None))
    return conditions, values
