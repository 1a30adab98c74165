"""Quarantine: codes without an alias, and required fields that are often missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, select

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import QUARANTINED, Situation
from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.schema import event, finding

LEAST_MISSING: Final = 20
"""Events without a field, of one feed and day, below which a share is not judged."""
CHECKED_WITHIN: Final = timedelta(minutes=30)
"""After its staging a window is checked; until then nobody knows whether the gate will speak of it."""
_NAMED: Final = 20


class _UnmappedCode(NamedTuple):
    """Quarantined events with one local code (None: blank) that has no alias."""

    table: str
    code: str | None
    local_name: str | None
    events: int
    since: datetime


def _unmapped_code(situation: Situation) -> Iterator[Condition]:
    by_table: dict[str, list[_UnmappedCode]] = {}
    for unmapped in _unmapped_codes(situation):
        by_table.setdefault(unmapped.table, []).append(unmapped)
    for table, codes in by_table.items():
        named = (
            f"{unmapped.code or ''}\t{unmapped.local_name or ''}\t{unmapped.events}" for unmapped in codes[:_NAMED]
        )
        yield Condition(
            cause="unmapped_code",
            detail=table,
            severity="warning",
            count=sum(unmapped.events for unmapped in codes),
            since=min(unmapped.since for unmapped in codes),
            parts=tuple(dict.fromkeys(unmapped.code or "" for unmapped in codes)),
            facts={"table": table, "codes": len({unmapped.code for unmapped in codes}), "named": "\n".join(named)},
            sample=situation.sample(and_(QUARANTINED, event.c.reason == f"{table}.code"), newest_first=True),
        )


def _unmapped_codes(situation: Situation) -> list[_UnmappedCode]:
    """The ones with the most events first."""
    of_code = and_(finding.c.event_id == event.c.id, finding.c.rule == event.c.reason)
    name = case((finding.c.code_table == "department", event.c.department_name))
    groups: tuple[ColumnElement[str | None], ...] = (finding.c.code_table, finding.c.code, name)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .select_from(event.join(finding, of_code))
        .where(situation.is_quarantined, event.c.reason.in_(CODE_RULES))
        .group_by(*groups)
    )
    codes = [_UnmappedCode._make(row) for row in situation.connection.execute(query)]
    return sorted(codes, key=lambda row: (-row.events, row.table, row.code or "", row.local_name or ""))


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
            sample=situation.sample(and_(QUARANTINED, event.c.reason == rule), newest_first=True),
        )


def _missing_fields(situation: Situation) -> list[_Missing]:
    groups = (event.c.reason, event.c.feed, event.c.day)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .where(situation.is_quarantined, event.c.reason.like("%.required"))
        .group_by(*groups)
        .order_by(*groups)
    )
    return [_Missing._make(row) for row in situation.connection.execute(query)]


DETECTORS = (_unmapped_code, _missing_field)
