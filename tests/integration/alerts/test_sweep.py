"""Sweeps over a real ledger: one cause, one message, with one figure, and what a message brings with it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import ledgers
import planted
import pytest
from card_usage.alerts.sweep import Team, sweep, sweep_all
from card_usage.code_mapping.workbench import gaps_workbook
from card_usage.config.hospital import Alerts, Hospital, Route
from card_usage.config.settings import Settings
from card_usage.files.shipped import SHIPPED
from card_usage.ledger import holds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, feed_window, finding, outbox, reconciliation, window_profile
from card_usage.notifications.attachments import from_json
from card_usage.quality import verdict_store
from card_usage.quality.verdicts import Reason, Verdict
from card_usage.windows import DAY, day_window, instant, local
from openpyxl import load_workbook
from planted import HOSPITAL, NOW
from sqlalchemy import insert, select, update

YESTERDAY = local(NOW).date() - DAY
FEEDS = tuple(planted.hospital().his.feeds)
TEAM = Team(channels=("team",), airflow="https://airflow.example")
EARLIER = NOW - timedelta(hours=2)


def hospital(**alerts: object) -> Hospital:
    routes = (Route(channel="people", least="info", at_night="all", digest=False),)
    return planted.hospital().model_copy(update={"alerts": Alerts(routes=routes, **alerts)})


def window_row(feed: str, day: date, rows: int) -> dict[str, object]:
    of = day_window(day)
    ends = {"start": of.start, "end": of.end, "status": "closed", "source_rows": rows}
    return {"hospital": HOSPITAL, "feed": feed, "staged_at": EARLIER, **ends}


def quarantined(ledger: Ledger, rule: str, codes: Sequence[str | None], *, staged_at: datetime = EARLIER) -> None:
    name, _, kind = rule.partition(".")
    with ledger.write() as connection:
        connection.execute(insert(feed_window), [window_row(feed, YESTERDAY, 100) for feed in FEEDS])
        for number, code in enumerate(codes, 1):
            unique = f"{number:032x}"
            row = {"hospital": HOSPITAL, "key": unique, "request_id": unique.upper(), "source_id": f"S{number}"}
            row |= {"feed": FEEDS[0], "day": YESTERDAY, "status": "quarantined", "digest": unique}
            row |= {"staged_at": staged_at, "reason": rule, "department_name": code and f"科室{code}"}
            key = connection.execute(insert(event).values(row)).inserted_primary_key
            assert key is not None
            found = {"event_id": key[0], "position": 0, "rule": rule, "field": name, "severity": "critical"}
            found |= {"code": code, "code_table": name if kind == "code" else None}
            connection.execute(insert(finding).values(found))


def held(ledger: Ledger, reason: Reason, events: int) -> None:
    verdict = Verdict(hospital=HOSPITAL, window=str(YESTERDAY), level="hold", reasons=(reason,), events=events)
    with ledger.write() as connection:
        verdict_store.save(connection, verdict, day_window(YESTERDAY), now=EARLIER)


def messages(ledger: Ledger, topic: str | None = None) -> list[dict[str, str]]:
    with ledger.read() as connection:
        rows = [dict(row) for row in connection.execute(select(outbox).order_by(outbox.c.id)).mappings()]
    rows = [row for row in rows if row["topic"] != "report_late"]
    return [row for row in rows if topic in (None, row["topic"])]


def test_an_empty_id_column_is_one_message_that_names_the_rule_and_leads_to_the_form(ledger: Ledger) -> None:
    quarantined(ledger, "id_number.required", [None] * 60)
    held(ledger, Reason(code="quarantined_share", level="hold", count=60, of=100, limit=0.3), 100)
    sweep(ledger, hospital(), TEAM, now=NOW)
    (message,) = messages(ledger)
    assert message["topic"] == "gate_held"
    assert "60 笔不满足" in message["text"]
    form = f"https://airflow.example/dags/report_card_usage__{HOSPITAL}/required_actions?response_received=false"
    assert f"]({form})" in message["text"]
    fields = json.loads(message["fields"])
    assert (fields["cause"], fields["severity"], fields["hospital"]) == ("gate_held", "warning", HOSPITAL)
    assert fields["count"] == 100
    # Decided: it is over, and what the message said is not said again as another cause.
    with ledger.write() as connection:
        (stored,) = verdict_store.verdicts_in_force(connection, HOSPITAL, day_window(YESTERDAY))
        verdict_store.decide(connection, stored.id, "clean", by="somebody", now=NOW)
    sweep(ledger, hospital(), TEAM, now=NOW + timedelta(hours=2))
    topics = [(row["topic"], row["subject"].partition("]")[0]) for row in messages(ledger)]
    assert topics[1:] == [("gate_held", "[已恢复")]


def test_missing_fields_are_not_told_before_the_gate_has_looked(ledger: Ledger) -> None:
    quarantined(ledger, "id_number.required", [None] * 60, staged_at=NOW - timedelta(minutes=5))
    sweep(ledger, hospital(), TEAM, now=NOW)
    assert messages(ledger) == []
    sweep(ledger, hospital(), TEAM, now=NOW + timedelta(minutes=30))
    (message,) = messages(ledger)
    assert message["topic"] == "missing_field"


def test_the_volume_message_has_the_figures_of_the_gate(ledger: Ledger) -> None:
    days = [YESTERDAY - DAY * 7 * week for week in range(6)]
    with ledger.write() as connection:
        rows = [window_row(feed, day, 90 if day == YESTERDAY else 260) for feed in FEEDS for day in days]
        connection.execute(insert(feed_window), rows)
        for day in days:
            of = day_window(day)
            values = {"hospital": HOSPITAL, "start": of.start, "end": of.end, "measure": "volume"}
            amount = 80 if day == YESTERDAY else 250
            connection.execute(insert(window_profile), [values | {"of": feed, "amount": amount} for feed in FEEDS])
    sweep(ledger, hospital(), TEAM, now=NOW)
    (message,) = messages(ledger, "volume_drop")
    assert f"只采到 {80 * len(FEEDS)} 笔，以往同类日期约 {250 * len(FEEDS):,} 笔" in message["text"]


@pytest.mark.parametrize(("hours", "says"), [(27, "已晚 3 小时"), (71, "已晚 47 小时"), (24 + 550, "已晚 22 天")])
def test_many_hours_are_said_as_days(embedded: Ledger, hours: int, says: str) -> None:
    midnight = datetime.combine(YESTERDAY, time())
    with embedded.write() as connection:
        connection.execute(insert(feed_window), [window_row(feed, YESTERDAY - DAY, 100) for feed in FEEDS])
    sweep(embedded, hospital(), TEAM, now=instant(midnight + timedelta(hours=hours)))
    (message,) = messages(embedded, "replica_late")
    assert says in message["text"]


def settings_of(ledger: Ledger, home: Path, hospitals: Path) -> Settings:
    return Settings(
        ledger_url=str(ledger.engine.url),
        keyring=ledgers.KEYRING,
        hospitals=hospitals,
        aliases=home / "code_aliases",
        reports=home / "reports",
    )


def test_the_message_about_missing_codes_lists_them_and_brings_the_workbook(ledger: Ledger, tmp_path: Path) -> None:
    codes = [f"9{number:03}" for number in range(15)]
    quarantined(ledger, "department.code", codes)
    made = gaps_workbook(settings_of(ledger, tmp_path, SHIPPED / "hospitals"))
    sweep(ledger, hospital(), TEAM, now=NOW, gaps_workbook=made)
    (message,) = messages(ledger, "unmapped_code")
    assert all(f"{code} 科室{code}：1 笔" in message["text"] for code in codes)
    (workbook,) = from_json(message["attachments"])
    assert not isinstance(workbook, str)
    assert workbook.name.startswith(HOSPITAL)
    cells = [row[1].value for row in load_workbook(io.BytesIO(workbook.content))["待对照"].iter_rows(min_row=5)]
    assert sorted(cells) == codes
    fields = json.loads(message["fields"])
    assert (fields["cause"], fields["severity"], fields["count"]) == ("unmapped_code", "warning", 15)
    assert fields["incidents"][0]["parts"] == codes
    # Over: said so, without the workbook.
    with ledger.write() as connection:
        connection.execute(update(event).values(status="delivered", reason=None, settled_at=NOW))
    sweep(ledger, hospital(), TEAM, now=NOW + timedelta(hours=1), gaps_workbook=made)
    over = messages(ledger, "unmapped_code")[1]
    assert over["subject"].startswith("[已恢复]")
    assert json.loads(over["attachments"]) == []
    assert json.loads(over["fields"])["state"] == "closed"


def test_the_team_hears_that_a_hospitals_file_can_be_read_again(ledger: Ledger, tmp_path: Path) -> None:
    """The file names the hospital's own channels; while it could not be read, only the team could be told."""
    hospitals = tmp_path / "hospitals"
    hospitals.mkdir()
    path = hospitals / f"{HOSPITAL}.toml"
    sound = (SHIPPED / "hospitals" / f"{HOSPITAL}.toml").read_text(encoding="utf-8")
    sound = sound.split("[[alerts.routes]]")[0] + '\n[[alerts.routes]]\nchannel = "people"\n'
    path.write_text("id = ", encoding="utf-8")
    sweep_all(ledger, hospitals, TEAM, now=NOW)
    path.write_text(sound, encoding="utf-8")
    for hours in (2, 4):
        sweep_all(ledger, hospitals, TEAM, now=NOW + timedelta(hours=hours))
    told = [(row["channel"], row["subject"].partition("]")[0]) for row in messages(ledger, "misconfiguration")]
    assert told == [("team", "[严重"), ("team", "[已恢复")]


def test_codes_for_which_the_gate_withholds_a_day_are_one_message_that_lists_them_and_leads_to_the_form(
    ledger: Ledger, tmp_path: Path
) -> None:
    codes = [f"9{number:03}" for number in range(60 * len(FEEDS))]
    quarantined(ledger, "department.code", codes, staged_at=NOW - timedelta(minutes=5))
    made = gaps_workbook(settings_of(ledger, tmp_path, SHIPPED / "hospitals"))
    # Staged and about to be checked: so many of the day will be the gate's to tell.
    sweep(ledger, hospital(), TEAM, now=NOW, gaps_workbook=made)
    assert messages(ledger) == []
    held(ledger, Reason(code="quarantined_share", level="hold", count=60, of=100, limit=0.3), 100)
    sweep(ledger, hospital(), TEAM, now=NOW + timedelta(minutes=5), gaps_workbook=made)
    (message,) = messages(ledger)
    assert message["topic"] == "gate_held"
    assert "9000 科室9000：1 笔" in message["text"]
    assert f"等 {len(codes) - 20} 项" in message["text"]
    assert "/required_actions?response_received=false)" in message["text"]
    (workbook,) = from_json(message["attachments"])
    assert not isinstance(workbook, str)
    # Somebody decided; the codes are still not mapped, and that stays an incident until they are.
    with ledger.write() as connection:
        (stored,) = verdict_store.verdicts_in_force(connection, HOSPITAL, day_window(YESTERDAY))
        verdict_store.decide(connection, stored.id, "rejected", by="somebody", now=NOW)
    sweep(ledger, hospital(), TEAM, now=NOW + timedelta(hours=2), gaps_workbook=made)
    topics = [(row["topic"], row["subject"].partition("]")[0]) for row in messages(ledger)]
    assert sorted(topics[1:]) == [("gate_held", "[已恢复"), ("unmapped_code", "[警告")]


def test_a_trouble_that_ends_within_the_hour_is_told_as_over_by_the_end_of_it(ledger: Ledger) -> None:
    quarantined(ledger, "department.code", ["901"])
    for minutes in range(0, 125, 5):
        if minutes == 20:
            with ledger.write() as connection:
                connection.execute(update(event).values(status="delivered", reason=None, settled_at=NOW))
        sweep(ledger, hospital(), TEAM, now=NOW + timedelta(minutes=minutes))
    told = [
        (row["subject"].partition("]")[0], row["created_at"] - NOW)  # type: ignore[operator]
        for row in messages(ledger, "unmapped_code")
    ]
    assert told == [("[警告", timedelta(0)), ("[已恢复", timedelta(hours=1))]


def test_every_message_of_a_hospital_that_is_about_a_day_leads_to_that_days_runs(ledger: Ledger) -> None:
    """Local days, as the filter of Airflow's list of runs takes them."""
    dag = f"https://airflow.example/dags/report_card_usage__{HOSPITAL}"
    quarantined(ledger, "department.code", ["901"])
    late = NOW - timedelta(hours=9)
    with ledger.write() as connection:
        connection.execute(
            insert(reconciliation).values(
                hospital=HOSPITAL, feed=FEEDS[0], day=YESTERDAY, counts="{}", remainder=3, provisional=False, at=NOW
            )
        )
        for number, status in enumerate(("ready", "rejected", "unconfirmed"), 100):
            row = {
                "hospital": HOSPITAL,
                "key": f"{number:032x}",
                "request_id": f"{number:032X}",
                "source_id": f"{number}",
            }
            row |= {"feed": FEEDS[0], "day": YESTERDAY, "status": status, "digest": f"{number:032x}", "staged_at": late}
            connection.execute(insert(event).values(row))
        holds.place(connection, hospital=HOSPITAL, kind="misconfigured", reason="no", by="deliverer", now=NOW)
        provisional = update(feed_window).where(feed_window.c.feed == FEEDS[1])
        connection.execute(
            provisional.values(
                status="provisional", start=day_window(YESTERDAY - DAY).start, end=day_window(YESTERDAY - DAY).end
            )
        )
    swept_at = NOW + timedelta(minutes=5)
    sweep(ledger, hospital(behind_hours=4), TEAM, now=swept_at)
    links = {row["topic"]: re.findall(r"\]\((.*?)\)", row["text"]) for row in messages(ledger)}

    def runs_of(day: date) -> str:
        before = f"logical_date_gte={day - DAY}T16:00:00Z"
        return f"{dag}/runs?{before}&logical_date_lte={day}T15:59:59Z"

    assert {"unmapped_code", "platform_refuses", "unconfirmed", "misconfiguration"} < links.keys()
    for topic, found in links.items():
        assert set(found) == {runs_of(YESTERDAY - DAY if topic == "provisional_window" else YESTERDAY)}, topic
