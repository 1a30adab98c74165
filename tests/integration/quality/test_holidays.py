"""The gate and the alerts around the National Day: real events, real ledgers, nobody called for a reduced clinic."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import planted
from card_usage.alerts.detection import detect
from card_usage.alerts.situation import Situation
from card_usage.ledger.database import Ledger
from card_usage.quality.check import check
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import Verdict
from card_usage.staging.coverage import record_window
from card_usage.windows import DAY, day_window
from planted import HOSPITAL

HOME = planted.hospital(gate={"warn_unmapped_share": 1.0, "warn_share_shift": 1.0, "warn_health_card_drop": 1.0})
NATIONAL = date(2026, 10, 1)
SHARE = {"workday": 400, "weekend": 160, "holiday": 120}


def lived(ledger: Ledger, day: date, events: int | None = None, status: str = "delivered") -> None:
    """A day with as many events as such a day has, or so many."""
    count = SHARE[HOME.calendar.kind(day)] if events is None else events
    with ledger.write() as connection:
        planted.plant(connection, {status: count}, day=day, seed=day.toordinal())
        for feed in HOME.his.feeds:
            of = {"start": day_window(day).start, "end": day_window(day).end, "status": "closed"}
            record_window(
                connection, hospital=HOSPITAL, feed=feed, source_rows=count // 5, now=morning_after(day), **of
            )


def morning_after(day: date) -> datetime:
    """09:00 at the hospital."""
    return datetime.combine(day + DAY, time(1), tzinfo=UTC)


def history_of(ledger: Ledger, day: date) -> None:
    for of in HOME.calendar.comparable(day):
        for one in of:
            lived(ledger, one)


def judged(ledger: Ledger, day: date) -> Verdict:
    return check(ledger, HOME, day_window(day), now=morning_after(day))


def alarmed(ledger: Ledger, day: date) -> list[str]:
    now = morning_after(day)
    with ledger.read() as connection:
        conditions = detect(Situation(connection, HOME, now=now))
    return [condition.cause for condition in conditions if condition.cause == "volume_drop"]


def test_a_reduced_clinic_on_a_holiday_passes_and_nobody_is_told(ledger: Ledger) -> None:
    history_of(ledger, NATIONAL)
    lived(ledger, NATIONAL, status="ready")
    assert (judged(ledger, NATIONAL).level, alarmed(ledger, NATIONAL)) == ("pass", [])


def test_a_holiday_on_which_next_to_nothing_came_is_told_by_the_gate_and_by_an_alert(ledger: Ledger) -> None:
    history_of(ledger, NATIONAL)
    lived(ledger, NATIONAL, 4, status="ready")
    found = judged(ledger, NATIONAL)
    assert {"volume_drop"} <= {reason.code for reason in found.reasons}
    assert "以往同类日期（120 笔）" in reason_text(
        next(reason for reason in found.reasons if reason.code == "volume_drop"), "zh"
    )
    assert alarmed(ledger, NATIONAL) == ["volume_drop"]


def test_a_sunday_worked_in_exchange_is_not_held_for_having_more_than_other_sundays(ledger: Ledger) -> None:
    sunday = date(2026, 9, 20)
    history_of(ledger, sunday)
    for week in range(1, 5):
        lived(ledger, sunday - timedelta(weeks=week))
    lived(ledger, sunday, status="ready")
    assert (judged(ledger, sunday).level, alarmed(ledger, sunday)) == ("pass", [])


def test_a_workday_after_the_holidays_with_half_of_what_it_has_is_told(ledger: Ledger) -> None:
    thursday = date(2026, 10, 8)
    history_of(ledger, thursday)
    lived(ledger, NATIONAL)
    lived(ledger, thursday, 190, status="ready")
    assert {reason.code for reason in judged(ledger, thursday).reasons} == {"volume_drop"}
    assert alarmed(ledger, thursday) == ["volume_drop"]
