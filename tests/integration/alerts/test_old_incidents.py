"""An incident is over when its cause is mended, not when it has grown old."""

from __future__ import annotations

from datetime import date, timedelta

import planted
import pytest
from card_usage.alerts.sweep import Team, sweep
from card_usage.config.hospital import Alerts, Hospital, Route
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, feed_window, finding, incident, reconciliation, report_file
from card_usage.quality import verdict_store
from card_usage.quality.verdicts import Reason, Verdict
from card_usage.windows import DAY, day_window, local
from planted import HOSPITAL, NOW
from sqlalchemy import delete, insert, select, update

TODAY = local(NOW).date()
YESTERDAY = TODAY - DAY
TOLD = TODAY - 3 * DAY
FEEDS = tuple(planted.hospital().his.feeds)
TEAM = Team(channels=("team",))
BY_AGE = {
    "unmapped_code",
    "missing_field",
    "patient_in_column",
    "platform_refuses",
    "unconfirmed",
    "gate_held",
    "reconciliation_remainder",
    "provisional_window",
    "replica_late",
    "report_late",
}
"""Causes that are looked for in days of the past only as far as some reach."""


def hospital(**retention: int | None) -> Hospital:
    changed = planted.hospital(retention=retention) if retention else planted.hospital()
    routes = (Route(channel="people", least="info", at_night="all", digest=False),)
    return changed.model_copy(update={"alerts": Alerts(routes=routes)})


def staged(ledger: Ledger, feed: str, day: date, status: str = "closed") -> None:
    of = day_window(day)
    row = {"hospital": HOSPITAL, "feed": feed, "start": of.start, "end": of.end, "status": status}
    with ledger.write() as connection:
        connection.execute(insert(feed_window).values(row | {"source_rows": 100, "staged_at": NOW - DAY}))


def stuck(ledger: Ledger, number: int, status: str, reason: str | None = None, *, day: date = TOLD) -> None:
    unique = f"{number:032x}"
    row = {"hospital": HOSPITAL, "key": unique, "request_id": unique.upper(), "source_id": f"S{number}"}
    row |= {"feed": FEEDS[0], "day": day, "status": status, "digest": unique, "staged_at": NOW - 3 * DAY}
    row |= {"reason": reason, "sealed": b"sealed", "key_id": "t"}
    with ledger.write() as connection:
        key = connection.execute(insert(event).values(row)).inserted_primary_key
        assert key is not None
        if reason is not None:
            name, _, kind = reason.partition(".")
            table = name if kind == "code" else None
            found = {"event_id": key[0], "position": 0, "rule": reason, "field": name, "severity": "critical"}
            connection.execute(insert(finding).values(found | {"code": "901", "code_table": table}))


@pytest.fixture
def troubled(ledger: Ledger) -> Ledger:
    """A ledger in which all of them are present."""
    for feed in FEEDS:
        staged(ledger, feed, YESTERDAY)
    # Other troubles explain a report that is late: it comes before them, and a late replica last.
    sweep(ledger, hospital(), TEAM, now=NOW)
    staged(ledger, FEEDS[1], TODAY - 2 * DAY, "provisional")
    stuck(ledger, 1, "quarantined", "department.code")
    for number in range(25):
        stuck(ledger, 100 + number, "quarantined", "name.required")
    stuck(ledger, 2, "quarantined", "department.patient")
    stuck(ledger, 3, "rejected")
    stuck(ledger, 4, "unconfirmed")
    reason = Reason(code="quarantined_share", level="hold", count=40, of=100, limit=0.3)
    with ledger.write() as connection:
        verdict = Verdict(hospital=HOSPITAL, window=str(YESTERDAY), level="hold", reasons=(reason,), events=9)
        verdict_store.save(connection, verdict, day_window(YESTERDAY), now=NOW - DAY)
        row = {"hospital": HOSPITAL, "feed": FEEDS[0], "day": YESTERDAY, "counts": "{}", "remainder": 3}
        connection.execute(insert(reconciliation).values(row | {"provisional": False, "at": NOW - timedelta(hours=2)}))
    for days in (0, 2):
        sweep(ledger, hospital(), TEAM, now=NOW + days * DAY)
    assert open_causes(ledger) >= BY_AGE
    return ledger


def open_causes(ledger: Ledger) -> set[str]:
    with ledger.read() as connection:
        return set(connection.scalars(select(incident.c.cause).where(incident.c.closed_at.is_(None))))


def swept(ledger: Ledger, days: int, of: Hospital | None = None) -> set[str]:
    """What is open after so many days, and long enough afterwards for anything to be closed."""
    for hours in (0, 25):
        sweep(ledger, of or hospital(), TEAM, now=NOW + days * DAY + timedelta(hours=hours))
    return open_causes(ledger)


@pytest.mark.parametrize("days", [8, 40, 100, 400])
def test_what_is_not_mended_stays_open_however_old_it_grows(troubled: Ledger, days: int) -> None:
    assert swept(troubled, days) >= BY_AGE


def test_what_is_mended_is_over_at_any_age(troubled: Ledger) -> None:
    assert swept(troubled, 200) >= BY_AGE
    later = NOW + 200 * DAY
    with troubled.write() as connection:
        connection.execute(update(event).values(status="delivered", reason=None, settled_at=later))
        connection.execute(update(reconciliation).values(remainder=0))
        connection.execute(update(feed_window).where(feed_window.c.status == "provisional").values(status="closed"))
        for stored in verdict_store.verdicts_in_force(connection, HOSPITAL, day_window(YESTERDAY)):
            verdict_store.decide(connection, stored.id, "rejected", by="somebody", now=later)
        day = TODAY - 10 * DAY
        while day <= TODAY + 203 * DAY:
            values = {"hospital": HOSPITAL, "day": day, "kind": "html", "path": f"{day}.html", "at": later}
            connection.execute(insert(report_file).values(values))
            day += DAY
    for feed in FEEDS:
        staged(troubled, feed, TODAY + 201 * DAY)
    assert swept(troubled, 201) & BY_AGE == set()


def test_what_retention_has_left_nothing_of_to_mend_is_no_trouble_any_more(troubled: Ledger) -> None:
    with troubled.write() as connection:
        connection.execute(update(event).values(sealed=None))
    of_events = {"unmapped_code", "missing_field", "patient_in_column", "platform_refuses"}
    assert swept(troubled, 60) >= of_events, "young enough to be read from the HIS again"
    left = swept(troubled, 200)
    assert left & of_events == set()
    assert left >= BY_AGE - of_events


def test_a_report_that_was_removed_for_its_age_is_not_missed(ledger: Ledger) -> None:
    for feed in FEEDS:
        staged(ledger, feed, YESTERDAY)
    sweep(ledger, hospital(), TEAM, now=NOW)
    assert "report_late" in open_causes(ledger)
    kept = hospital(reports_days=30)
    with ledger.write() as connection:
        for n in range(31):
            values = {"hospital": HOSPITAL, "day": TODAY + (69 + n) * DAY, "kind": "html", "path": f"{n}.html"}
            connection.execute(insert(report_file).values(values | {"at": NOW}))
        connection.execute(delete(feed_window).where(feed_window.c.feed != FEEDS[0]))
    assert "report_late" not in swept(ledger, 98, kept)
