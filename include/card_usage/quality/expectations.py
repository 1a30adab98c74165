"""Expectations: what a window's events must satisfy, derived from declarations and validated by SQL.

An `Expectation` is independent of the library that validates it: events that are due must satisfy the rules, and the
measures of the window's profile must be within this hospital's limits (`card_usage.quality.baseline`).
`card_usage.quality.gx` translates it for Great Expectations. Promise: the queries that Great Expectations gets have no
column that identifies a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, func, literal, select

from card_usage.config.hospital import Hospital
from card_usage.events import CODE_TABLES, PATIENT_FIELDS
from card_usage.ledger.schema import event, window_profile
from card_usage.quality.profiles import CODE_KINDS, inside
from card_usage.standard.rules import RULES, Rule
from card_usage.windows import Window

Level = Literal["pass", "info", "warn", "hold", "stop"]
Severity = Literal["critical", "warning", "info"]
ReasonCode = Literal[
    "rule_broken",
    "quarantined_share",
    "unmapped_share",
    "no_rows",
    "volume_drop",
    "volume_rise",
    "share_shift",
    "health_card_share",
    "value_gone",
    "value_new",
    "doubled",
    "repeated",
    "future",
    "midnight",
    "quiet",
    "provisional",
]
Kind = Literal["present", "one_of", "between"]

SEVERITY: Final[Mapping[Level, Severity]] = {"info": "info", "warn": "warning", "hold": "critical", "stop": "critical"}
"""The severity of a level in Great Expectations and in alerts."""

DUE: Final = ("ready", "held", "in_flight", "unknown")
"""States of events that are to be delivered, or are being delivered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """One expectation, of events or of what the window's profile measured (`card_usage.quality.profiles`).

    present    events in `states` (and `when`: column, values): `column` is not null
    one_of     the same: `column` is null or one of `values`
    between    the profile's `measure`: `column` ("amount" or "share") is from `low` to `high`, both inside

    `limit` is what the hospital allows and `usual` what its history has, both for the text that people read.
    """

    reason: ReasonCode
    level: Level
    kind: Kind
    column: str
    values: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    when: tuple[str, tuple[str, ...]] | None = None
    rule: str | None = None
    measure: tuple[str, str] = ("", "")
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    usual: float | None = None


def rule_expectations(hospital: Hospital, codes: Mapping[str, Iterable[str]]) -> tuple[Expectation, ...]:
    """Every critical rule that needs no patient field, as an expectation. `codes`: the standard ones by table."""
    return tuple(expectation for rule in RULES if (expectation := _of_rule(rule, hospital, codes)) is not None)


def _of_rule(rule: Rule, hospital: Hospital, codes: Mapping[str, Iterable[str]]) -> Expectation | None:
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
    return Expectation(
        reason="rule_broken",
        level="stop",
        kind=kind,
        column=column,
        values=values,
        states=DUE,
        when=when,
        rule=rule.id,
    )


def event_query(hospital_id: str, window: Window) -> Select[Any]:
    """The query that GX validates: the window's events without any column that identifies a patient.

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


def measure_query(hospital_id: str, window: Window) -> Select[Any]:
    """The window's profile as it was saved: measure ("volume:payment"), amount, and share.

    Codes are a share of their kind, everything else one of all events.
    """
    of = window_profile.c
    same = (of.hospital == hospital_id, of.start == window.start, of.end == window.end)
    all_events = select(of.amount).where(*same, of.measure == "volume", of["of"] == "").scalar_subquery()
    of_kind = func.sum(of.amount).over(partition_by=of.measure)
    whole = case((of.measure.in_(CODE_KINDS), of_kind), else_=all_events)
    return select(
        (of.measure + literal(":") + of["of"]).label("measure"),
        of.amount,
        (cast(of.amount, Float) / cast(func.nullif(whole, 0), Float)).label("share"),
    ).where(*same)


def violating(expectation: Expectation, hospital_id: str, window: Window) -> ColumnElement[bool]:
    """The events that do not meet an expectation of events; for finding out which feeds it concerns."""
    columns = event_query(hospital_id, window).selected_columns
    column: Any = columns[expectation.column]
    broken = column.is_(None) if expectation.kind == "present" else column.not_in(expectation.values)
    parts = [inside(hospital_id, window), event.c.status.in_(expectation.states), broken]
    if expectation.when:
        field, values = expectation.when
        parts.append(event.c[field].in_(values))
    return and_(*parts)
