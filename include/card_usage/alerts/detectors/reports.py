"""Reports: daily reports that are not there in time, and reconciliations that do not add up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import RECENT, Situation
from card_usage.ledger.schema import reconciliation, report_file
from card_usage.windows import DAY, instant, local


def _report_late(situation: Situation) -> Iterator[Condition]:
    if situation.first_day is None:
        return
    report_by = situation.hospital.alerts.report_by
    last = situation.today - (DAY if local(situation.now).time() >= report_by else 2 * DAY)
    week = 6 * DAY + (situation.today - last)
    first = max(situation.first_day, situation.first_seen(week, "report_late"))
    if (kept := situation.hospital.retention.reports_days) is not None:
        first = max(first, situation.today - kept * DAY)  # older ones may have been removed
    last = min(last, situation.hospital.end or last)
    days = [first + DAY * n for n in range((last - first).days + 1)]
    reported = _reported_days(situation, first)
    missing = sorted((day for day in days if day not in reported), reverse=True)
    if missing:
        due = datetime.combine(missing[-1] + DAY, report_by)
        yield Condition(
            cause="report_late",
            severity="warning",
            count=len(missing),
            since=instant(due),
            parts=tuple(map(str, missing)),
            facts={"days": listed_days(missing), "by": f"{report_by:%H:%M}"},
        )


def _reported_days(situation: Situation, first: date) -> frozenset[date]:
    query = select(report_file.c.day).where(
        report_file.c.hospital == situation.hospital.id,
        report_file.c.kind == "html",
        report_file.c.day >= first,
    )
    return frozenset(situation.connection.scalars(query))


class _Remainder(NamedTuple):
    """Records of a feed and day that no class explains."""

    day: date
    events: int
    at: datetime


def _reconciliation_remainder(situation: Situation) -> Iterator[Condition]:
    of = reconciliation.c
    query = (
        select(of.day, of.remainder, of.at)
        .where(
            of.hospital == situation.hospital.id,
            of.day >= situation.first_seen(RECENT, "reconciliation_remainder"),
            of.remainder != 0,
            of.provisional.is_(False),
        )
        .order_by(of.day, of.feed)
    )
    remainders = [_Remainder._make(row) for row in situation.connection.execute(query)]
    if remainders:
        days = sorted({remainder.day for remainder in remainders}, reverse=True)
        yield Condition(
            cause="reconciliation_remainder",
            severity="critical",
            count=sum(abs(remainder.events) for remainder in remainders),
            since=min(remainder.at for remainder in remainders),
            parts=tuple(map(str, days)),
            facts={"days": listed_days(days)},
        )


DETECTORS = (_report_late, _reconciliation_remainder)
