"""Quarantine: codes without an alias, required fields that are often missing, patient data in other columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, select

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import MOST_NAMED, Situation, speaks_of_quarantine
from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.schema import event, finding
from card_usage.standard.rules import MISPLACED

LEAST_MISSING: Final = 20
"""Events without a field, of one feed and day, below which a share is not judged."""
_PATIENT_RULES: Final = tuple(found.rule for found in MISPLACED.values())
CHECKED_WITHIN: Final = timedelta(minutes=30)
"""After its staging a window is checked; until then nobody knows whether the gate will speak of it."""


class _UnmappedCode(NamedTuple):
    """Quarantined events of a day with one local code (None: blank) that has no alias."""

    table: str
    code: str | None
    local_name: str | None
    day: date
    events: int
    since: datetime

    @property
    def named(self) -> tuple[str, str]:
        """Code and name."""
        return self.code or "", self.local_name or ""


def _unmapped_code(situation: Situation) -> Iterator[Condition]:
    """One condition a table. Days of which the gate speaks, or is about to, are left out: it is one cause."""
    unmapped = _unmapped_codes(situation)
    told = {
        day for stored in situation.undecided_verdicts if speaks_of_quarantine(stored) for day in stored.window.days
    }
    told |= _about_to_be_told(situation, unmapped)
    by_table: dict[str, list[_UnmappedCode]] = {}
    for part in unmapped:
        if part.day not in told:
            by_table.setdefault(part.table, []).append(part)
    for table, parts in sorted(by_table.items()):
        codes: Counter[tuple[str, str]] = Counter()
        for part in parts:
            codes[part.named] += part.events
        ordered = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
        yield Condition(
            cause="unmapped_code",
            detail=table,
            severity="warning",
            count=codes.total(),
            since=min(part.since for part in parts),
            parts=tuple(dict.fromkeys(code for (code, _), _ in ordered)),
            facts={
                "table": table,
                "codes": len({code for code, _ in codes}),
                "named": "\n".join(f"{code}\t{name}\t{events}" for (code, name), events in ordered[:MOST_NAMED]),
                "run_day": str(max(part.day for part in parts)),
            },
            sample=situation.sample(
                and_(situation.quarantined("unmapped_code"), event.c.reason == f"{table}.code"), newest_first=True
            ),
        )


def _unmapped_codes(situation: Situation) -> list[_UnmappedCode]:
    of_code = and_(finding.c.event_id == event.c.id, finding.c.rule == event.c.reason)
    name = case((finding.c.code_table == "department", event.c.department_name))
    groups: tuple[ColumnElement[Any], ...] = (finding.c.code_table, finding.c.code, name, event.c.day)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .select_from(event.join(finding, of_code))
        .where(situation.quarantined("unmapped_code"), event.c.reason.in_(CODE_RULES))
        .group_by(*groups)
    )
    return [_UnmappedCode._make(row) for row in situation.connection.execute(query)]


def _about_to_be_told(situation: Situation, unmapped: Sequence[_UnmappedCode]) -> frozenset[date]:
    """Days just staged that have so many that the gate will withhold them; it checks them any minute."""
    fresh: Counter[date] = Counter()
    for part in unmapped:
        if part.since > situation.now - CHECKED_WITHIN:
            fresh[part.day] += part.events
    rows: Counter[date] = Counter()
    for volume in situation.volumes(fresh.keys()):
        rows[volume.day] += volume.rows
    limit = situation.hospital.gate.hold_quarantined_share
    return frozenset(day for day, events in fresh.items() if events >= limit * rows[day] > 0)


class _Missing(NamedTuple):
    """Quarantined events of one feed and day that lack a required field, by the rule that they break."""

    rule: str
    feed: str
    day: date
    events: int
    since: datetime


def _missing_field(situation: Situation) -> Iterator[Condition]:
    enough = [missing for missing in _missing_fields(situation) if missing.events >= LEAST_MISSING]
    # One cause, one message: what the gate withheld a day for, its own message says.
    told = situation.days_told_by_gate({missing.day for missing in enough})
    checked_by = situation.now - CHECKED_WITHIN
    enough = [missing for missing in enough if missing.day not in told and missing.since <= checked_by]
    volumes = situation.volumes({missing.day for missing in enough})
    rows = {(volume.feed, volume.day): volume.rows for volume in volumes}
    by_rule: dict[str, list[tuple[_Missing, float]]] = {}
    for missing in enough:
        share = missing.events / max(missing.events, rows.get((missing.feed, missing.day), 0))
        if share >= situation.hospital.alerts.missing_share:
            by_rule.setdefault(missing.rule, []).append((missing, share))
    for rule, places in by_rule.items():
        worst = max(share for _, share in places)
        feeds = sorted({missing.feed for missing, _ in places})
        yield Condition(
            cause="missing_field",
            detail=rule,
            severity="critical" if worst >= 0.5 else "warning",
            count=sum(missing.events for missing, _ in places),
            since=min(missing.since for missing, _ in places),
            parts=tuple(feeds),
            facts={
                "rule": rule,
                "feeds": ",".join(feeds),
                "share": f"{100 * worst:.0f}%",
                "days": listed_days(sorted({missing.day for missing, _ in places}, reverse=True)),
            },
            sample=situation.sample(
                and_(situation.quarantined("missing_field"), event.c.reason == rule), newest_first=True
            ),
        )


def _missing_fields(situation: Situation) -> list[_Missing]:
    groups = (event.c.reason, event.c.feed, event.c.day)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .where(situation.quarantined("missing_field"), event.c.reason.like("%.required"))
        .group_by(*groups)
        .order_by(*groups)
    )
    return [_Missing._make(row) for row in situation.connection.execute(query)]


def _patient_in_column(situation: Situation) -> Iterator[Condition]:
    """One condition a hospital: which feeds and columns, and how many records; never what they say."""
    groups = (event.c.reason, event.c.feed)
    of_patients = and_(situation.quarantined("patient_in_column"), event.c.reason.in_(_PATIENT_RULES))
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .where(of_patients)
        .group_by(*groups)
        .order_by(*groups)
    )
    places = [(rule, feed, events, since) for rule, feed, events, since in situation.connection.execute(query)]
    if not places:
        return
    columns = dict.fromkeys(rule.partition(".")[0] for rule, _, _, _ in places)
    yield Condition(
        cause="patient_in_column",
        severity="critical",
        count=sum(events for _, _, events, _ in places),
        since=min(since for _, _, _, since in places),
        parts=tuple(f"{feed}.{rule.partition('.')[0]}" for rule, feed, _, _ in places),
        facts={"feeds": ",".join(sorted({feed for _, feed, _, _ in places})), "columns": ",".join(columns)},
        sample=situation.sample(of_patients, newest_first=True),
    )


DETECTORS = (_unmapped_code, _missing_field, _patient_in_column)
