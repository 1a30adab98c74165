"""Gaps: local codes without an alias, with the quarantined events that wait for one.

Promises: one grouped query over the index of quarantined events; local codes, names and counts, nothing about patients.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, String, and_, case, cast, func, null, select, text

from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.schema import event, finding


class Gap(NamedTuple):
    """A local code or name of a table without a standard code: quarantined events, their first and last day, feeds.

    `name`: the HIS's own name beside the code (departments only; None: it gives none).
    """

    table: str
    code: str
    name: str | None
    events: int
    first: date
    last: date
    feeds: tuple[str, ...]


def gaps(connection: Connection, hospital_id: str, first: date, last: date) -> list[Gap]:
    """All gaps of these days, the one with the most events first. An event with two gaps counts for both."""
    name = case((finding.c.code_table == "department", event.c.department_name), else_=cast(null(), String))
    groups = (finding.c.code_table, finding.c.code, name, event.c.feed)
    query = (
        select(*groups, func.count(), func.min(event.c.day), func.max(event.c.day))
        .select_from(event.join(finding, finding.c.event_id == event.c.id))
        .where(
            and_(
                event.c.hospital == hospital_id,
                event.c.day.between(first, last),
                # Written out, not bound: only so does either database see that the partial index fits.
                text("event.status = 'quarantined'"),
                finding.c.rule.in_(CODE_RULES),
                finding.c.severity == "critical",
                finding.c.code.is_not(None),
            )
        )
        .group_by(*groups)
    )
    by_code: dict[tuple[str, str, str | None], Gap] = {}
    for table, code, local_name, feed, events, since, until in connection.execute(query):
        key = (table, code, local_name)
        other_feeds = by_code.get(key)
        if other_feeds is None:
            by_code[key] = Gap(table, code, local_name, events, since, until, (feed,))
        else:
            days = (min(other_feeds.first, since), max(other_feeds.last, until))
            feeds = tuple(sorted({*other_feeds.feeds, feed}))
            by_code[key] = Gap(table, code, local_name, other_feeds.events + events, *days, feeds)
    return sorted(by_code.values(), key=lambda gap: (-gap.events, gap.table, gap.code, gap.name or ""))
