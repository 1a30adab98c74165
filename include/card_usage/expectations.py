"""Expectations: what a window's events must satisfy, derived from the declared rules and judged by Great Expectations.

`demands` says it in our own words, `failures` has Great Expectations (GX) find what does not hold, by SQL in the
ledger's own database. Promises: GX sees no column that says who a patient is and a connection that cannot write; it
tells nobody of its use, leaves no files and prints nothing. Importing it takes seconds, so only `failures` does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import time
from importlib import import_module
from typing import Any, Final, Literal
from urllib.parse import quote

from sqlalchemy import Select, and_, case, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from card_usage.errors import CheckBroken
from card_usage.events import CODE_TABLES, PATIENT_FIELDS
from card_usage.hospitals import Hospital
from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import STATES, event
from card_usage.rules import RULES, Rule
from card_usage.windows import Window

Level = Literal["pass", "warn", "hold", "stop"]
Concern = Literal["rule_broken", "quarantined_share", "unmapped_share", "no_rows"]
Kind = Literal["present", "one_of", "none_of", "holds_all"]

DUE: Final = ("ready", "held", "in_flight", "unknown")
"""States of events that leave, or are leaving."""

STANDING: Final = tuple(state for state in STATES if state != "voided")

FEW: Final = 20
"""A share of fewer events than this holds nothing: three bad ones of five at night are no bad day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """One expectation: of the events in `states` (and `when`: column, values), `column` is as `kind` says.

    present    not null                        one_of     null or one of `values`
    none_of    none of `values`, but for a share of `allowed`
    holds_all  each of `values` occurs at least once
    """

    concern: Concern
    level: Level
    kind: Kind
    column: str
    values: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    when: tuple[str, tuple[str, ...]] | None = None
    allowed: float = 0.0
    rule: str | None = None


def demands(
    hospital: Hospital, codes: Mapping[str, Iterable[str]], *, events: int, expected_feeds: Iterable[str] = ()
) -> tuple[Demand, ...]:
    """What a window must satisfy: every critical rule that needs no patient field, and this hospital's limits.

    `codes`: standard codes by table. `events`: how many stand in the window. `expected_feeds`: those with a history.
    """
    gate = hospital.gate
    shares: list[tuple[Concern, Level, str, tuple[str, ...], float]] = [
        ("quarantined_share", "warn", "status", ("quarantined",), gate.warn_quarantined_share),
        ("unmapped_share", "warn", "cause", CODE_RULES, gate.warn_unmapped_share),
    ]
    if events >= FEW:
        shares.append(("quarantined_share", "hold", "status", ("quarantined",), gate.hold_quarantined_share))
    found = [demand for rule in RULES if (demand := _of_rule(rule, hospital, codes)) is not None]
    found += [
        Demand(
            concern=concern,
            level=level,
            kind="none_of",
            column=column,
            values=values,
            states=STANDING,
            allowed=allowed,
        )
        for concern, level, column, values, allowed in shares
    ]
    if feeds := tuple(expected_feeds):
        found.append(Demand(concern="no_rows", level="warn", kind="holds_all", column="feed", values=feeds))
    return tuple(found)


def _of_rule(rule: Rule, hospital: Hospital, codes: Mapping[str, Iterable[str]]) -> Demand | None:
    """A rule as an expectation of what is due; None where only a person's data, or what the HIS wrote, could tell."""
    settings = hospital.platform
    if rule.severity != "critical" or rule.field in PATIENT_FIELDS or settings.profile not in rule.profiles:
        return None
    when = (rule.when.field, tuple(sorted(rule.when.values))) if rule.when else None
    column, values = rule.field, tuple[str, ...]()
    kind: Kind
    match rule.kind:
        case "required":
            kind = "present"
            if rule.field == "department" and settings.department_format == "his_name":
                column = "department_name"
        case "code":
            kind, values = "one_of", tuple(codes[rule.field])
        case "window":
            kind, column, values = "one_of", "in_window", ("yes",)
        case _:
            return None  # what could not be read was never stored: the rule that requires the field finds it
    return Demand(
        concern="rule_broken",
        level="stop",
        kind=kind,
        column=column,
        values=values,
        states=DUE,
        when=when,
        rule=rule.id,
    )


def inside(hospital_id: str, window: Window) -> ColumnElement[bool]:
    """The hospital's events of the window. Those without a time belong to every part of their day."""
    parts = [event.c.hospital == hospital_id, event.c.day.between(window.days[0], window.days[-1])]
    if window.start.time() != time() or window.end.time() != time():
        timed = and_(event.c.occurred_at >= window.start, event.c.occurred_at < window.end)
        parts.append(or_(event.c.occurred_at.is_(None), timed))
    return and_(*parts)


def batch(hospital_id: str, window: Window) -> Select[Any]:
    """What GX gets to see: the window's events without any column that says who the patient is.

    `cause` is the rule that quarantined an event, or empty; `in_window` is yes, no, or null without a time.
    """
    at = event.c.occurred_at
    in_window = case((at.is_(None), None), (and_(at >= window.start, at < window.end), "yes"), else_="no")
    return select(
        event.c.feed,
        event.c.status,
        at,
        *(event.c[table] for table in CODE_TABLES),
        event.c.department_name,
        func.coalesce(event.c.reason, literal("")).label("cause"),
        in_window.label("in_window"),
    ).where(inside(hospital_id, window))


def failures(
    ledger: Ledger, hospital: Hospital, window: Window, wanted: tuple[Demand, ...]
) -> Iterator[tuple[Demand, int, int]]:
    """Demands that do not hold, each with its unexpected events and the events looked at. Raises CheckBroken.

    First only yes or no is asked, of everything; counts are asked for where the answer is no: they cost as much again.
    """
    query = batch(hospital.id, window).compile(dialect=ledger.engine.dialect, compile_kwargs={"literal_binds": True})
    with _quiet(), _asset(ledger, str(query)) as asset:
        answers = _validate(asset, wanted, "BOOLEAN_ONLY", hospital, window)
        broken = tuple(demand for demand, answer in zip(wanted, answers, strict=True) if not answer.success)
        details = _validate(asset, broken, "SUMMARY", hospital, window) if broken else []
    for demand, answer in zip(broken, details, strict=True):
        result = answer.result
        yield demand, int(result.get("unexpected_count") or 0), int(result.get("element_count") or 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """GX logs what it meets; whatever matters of that is in its answers."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _asset(ledger: Ledger, query: str) -> Iterator[Any]:
    """The query as a GX batch definition over a read-only connection of its own, in a context that lives in memory."""
    base: Any = import_module("great_expectations.data_context.types.base")
    config = base.DataContextConfig(
        # Without this it makes a directory for pages that nobody asked for.
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    context = import_module("great_expectations").get_context(mode="ephemeral", project_config=config)
    sources: Any = context.data_sources
    url = ledger.engine.url
    kwargs: dict[str, Any] = {"hide_parameters": True}
    if ledger.dialect == "postgresql":
        kwargs["connect_args"] = {"options": "-c default_transaction_read_only=on", "connect_timeout": 10}
        source = sources.add_postgres(
            "ledger",
            connection_string=url.render_as_string(hide_password=False),
            create_temp_table=False,
            kwargs=kwargs,
        )
    else:
        source = sources.add_sqlite(
            "ledger",
            connection_string=f"sqlite:///file:{quote(str(url.database))}?mode=ro&uri=true",
            create_temp_table=False,
            kwargs=kwargs,
        )
    try:
        yield source.add_query_asset("window", query).add_batch_definition_whole_table("window")
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _validate(
    asset: Any, wanted: tuple[Demand, ...], result_format: str, hospital: Hospital, window: Window
) -> list[Any]:
    """GX's answers in the order of `wanted`."""
    suite = import_module("great_expectations").ExpectationSuite(name="window")
    for position, demand in enumerate(wanted):
        suite.add_expectation(_expectation(demand, position))
    found: dict[int, Any] = {}
    for answer in asset.get_batch().validate(suite, result_format=result_format).results:
        config = answer.expectation_config
        if answer.exception_info and _raised(answer.exception_info):
            raise CheckBroken(hospital=hospital.id, window=str(window), expectation=config.type, reason="it raised")
        found[config.meta["position"]] = answer
    return [found[position] for position in range(len(wanted))]


def _raised(information: Mapping[str, Any]) -> bool:
    """GX tells of an exception either flat or by metric."""
    if "raised_exception" in information:
        return bool(information["raised_exception"])
    return any(isinstance(one, Mapping) and one.get("raised_exception") for one in information.values())


def _expectation(demand: Demand, position: int) -> Any:
    from great_expectations.expectations.row_conditions import Column

    gx: Any = import_module("great_expectations.expectations")
    common: dict[str, Any] = {"column": demand.column, "meta": {"position": position}}
    common["severity"] = "warning" if demand.level == "warn" else "critical"
    if demand.kind == "holds_all":
        return gx.ExpectColumnDistinctValuesToContainSet(value_set=list(demand.values), **common)
    condition: Any = Column("status").is_in(demand.states)
    if demand.when:
        field, values = demand.when
        condition = condition & Column(field).is_in(values)
    common["row_condition"] = condition
    match demand.kind:
        case "present":
            return gx.ExpectColumnValuesToNotBeNull(**common)
        case "one_of":
            return gx.ExpectColumnValuesToBeInSet(value_set=list(demand.values), **common)
        case "none_of":
            mostly = round(1 - demand.allowed, 9)
            return gx.ExpectColumnValuesToNotBeInSet(value_set=list(demand.values), mostly=mostly, **common)
