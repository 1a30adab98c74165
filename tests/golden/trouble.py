"""Every kind of trouble, planted in a ledger, and what channels hear of it in both languages as it comes and goes."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from card_usage.alerts.sweep import Team
from card_usage.ledger.schema import metadata
from card_usage.words.catalogue import LANGUAGES, Language
from sqlalchemy import create_engine, delete, insert

from golden.day import messages
from golden.stage import Stage, at

_DAY = date(2026, 3, 3)
_NOW = at(4, 10)
_EARLY = at(4, 2)
_FILE = """\
id = "{id}"
name = "{id}医院"
name_en = "Hospital {id}"
[his]
connection = "no_his"
shape = "winning"
feeds = ["registration", "payment"]
[platform]
connection = "no_platform"
hospital_id = "{id}"
[[alerts.routes]]
channel = "chinese"
least = "info"
language = "zh"
[[alerts.routes]]
channel = "english"
least = "info"
language = "en"
"""
Row = tuple[str, dict[str, Any]]


def _event(hospital: str, number: int, status: str, **columns: Any) -> Row:
    unique = f"{sum(hospital.encode()):06x}{len(hospital):02x}{number:024x}"
    row = {"hospital": hospital, "key": unique, "request_id": unique.upper(), "source_id": f"S{number}"}
    row |= {"feed": "registration", "day": _DAY, "status": status, "digest": unique, "staged_at": _EARLY}
    return "event", row | columns


def _window(hospital: str, feed: str, day: date, rows: int, status: str = "closed") -> Row:
    start = datetime.combine(day, time())
    ends = {"start": start, "end": start + timedelta(days=1), "status": status, "source_rows": rows}
    return "feed_window", {"hospital": hospital, "feed": feed, "staged_at": _EARLY, **ends}


def _hold(hospital: str, kind: str, reason: str, code: int | None = None) -> list[Row]:
    values = {"kind": kind, "reason": reason, "result_code": code, "set_by": "deliverer", "set_at": _EARLY}
    return [
        ("hold", {"hospital": hospital, **values}),
        *(_event(hospital, number, "ready", staged_at=_NOW) for number in range(3)),
    ]


def _unending(hospital: str, events: int) -> list[Row]:
    """Events that get the same answer again and again."""
    rows = []
    for number in range(events):
        rows.append(_event(hospital, number, "ready", attempts=12))
        answered = {"request_id": f"{number:032X}", "at": _EARLY, "answer": "throttled", "result_code": 10029}
        rows.append(("attempt", {"event_id": None, "http_status": 200, "status": "ready", **answered}))
    return rows


def _quarantined(hospital: str, rule: str, codes: list[str | None], size: int) -> list[Row]:
    """So many events a code; the worst of two sizes when trouble grows."""
    name = rule.partition(".")[0]
    rows = [_window(hospital, feed, _DAY, 200) for feed in ("registration", "payment")]
    for number in range(len(codes) * size):
        code = codes[number % len(codes)]
        rows.append(_event(hospital, number, "quarantined", reason=rule, department_name=code and f"科室{code}"))
        table = name if rule.endswith(".code") else None
        found = {"position": 0, "rule": rule, "field": name, "severity": "critical", "code_table": table, "code": code}
        rows.append(("finding", {"event_id": None, **found}))
    return rows


def _planted(times: int) -> dict[str, list[Row]]:
    """By hospital, its trouble; with `times` 2 twice as much of it."""
    many = 30 * times
    gate = '{"events": %d, "reasons": [{"code": "quarantined_share", "level": "hold", "count": %d, "of": 100, '
    gate += '"limit": 0.3, "feeds": ["payment"]}]}'
    start = datetime.combine(_DAY, time())
    return {
        "misconfigured": _hold("misconfigured", "misconfigured", "the platform answers 21002", 21002),
        "barred": _hold("barred", "misconfigured", "the platform answers http 403"),
        "contested": _hold("contested", "contested", "appToken replaced 3 times"),
        "quota": _hold("quota", "quota", "10034"),
        "failing": [
            (
                "failed_run",
                {"dag_id": "report_card_usage__failing", "run_id": f"scheduled__{n}", "hospital": "failing"}
                | {"task_id": "stage", "reason": "failed", "at": _EARLY},
            )
            for n in range(2 * times)
        ],
        "withheld": [
            (
                "verdict",
                {"hospital": "withheld", "start": start, "end": start + timedelta(days=1), "verdict": "hold"}
                | {"reasons": gate % (100 * times, 40), "at": _EARLY},
            )
        ],
        "behind_replica": [_window("behind_replica", "payment", _DAY - timedelta(days=2 * times), 50)],
        "provisional": [_window("provisional", "payment", date(2026, 3, 2), 50, "provisional")],
        "unmapped": _quarantined("unmapped", "department.code", ["21010", "21020", None][: times + 1], 4),
        "unmapped_channel": _quarantined("unmapped_channel", "channel.code", [f"Q{n}" for n in range(9 + times)], 1),
        "lacking": _quarantined("lacking", "id_number.required", [None], many),
        "misplaced": [
            *_quarantined("misplaced", "department.patient", [None], 20 * times),
            _event("misplaced", 99, "quarantined", reason="source_id.patient"),
        ],
        "fewer": [
            *(
                _window("fewer", feed, _DAY - timedelta(days=7 * n), 200)
                for feed in ("registration", "payment")
                for n in range(1, 6)
            ),
            _window("fewer", "payment", _DAY, 60 // times),
            _window("fewer", "registration", _DAY, 190),
        ],
        "timeless": [
            (
                "untimed",
                {"hospital": "timeless", "feed": "payment", "rows": 3 * times, "keys": '["K-1", "K-9"]'}
                | {"since": _EARLY, "at": _EARLY},
            )
        ],
        "refused": [_event("refused", n, "rejected", result_code=10016, settled_at=_EARLY) for n in range(12 * times)],
        "doubtful": [_event("doubtful", n, "unconfirmed", result_code=10054) for n in range(2 * times)],
        "unending": _unending("unending", 5 * times),
        "slow": [_event("slow", n, "ready", staged_at=at(3, 20)) for n in range(5 * times)],
        "unreported": [
            _window("unreported", feed, date(2026, 3, 3 - n), 40)
            for feed in ("registration", "payment")
            for n in range(2)
        ],
        "unexplained": [
            (
                "reconciliation",
                {"hospital": "unexplained", "feed": "payment", "day": _DAY, "counts": "{}"}
                | {"remainder": -3 * times, "provisional": False, "clean": False, "at": _EARLY},
            )
        ],
        "unwritten": [
            (
                "warehouse_day",
                {"hospital": "unwritten", "day": _DAY - timedelta(days=n), "version": 1}
                | {"failed_at": _EARLY, "reason": "PermissionError"},
            )
            for n in range(times)
        ],
    }


def _put(stage: Stage, rows: list[Row]) -> None:
    """Put rows in, in place of what was there; a finding or an attempt is of the event before it."""
    engine = create_engine(f"sqlite:///{stage.home}/ledger.db")
    with engine.begin() as connection:
        for name in ("finding", "attempt", "event", "feed_window", "hold", "failed_run", "verdict", "reconciliation"):
            connection.execute(delete(metadata.tables[name]))
        for name in ("untimed", "warehouse_day"):
            connection.execute(delete(metadata.tables[name]))
        event_id = None
        for name, row in rows:
            values = row | ({"event_id": event_id} if name in ("finding", "attempt") else {})
            key = connection.execute(insert(metadata.tables[name]).values(values)).inserted_primary_key
            event_id = key[0] if name == "event" and key else event_id
    engine.dispose()


def _fleet(home: Path, language: Language) -> dict[str, Any]:
    """What concerns no one hospital, and goes to the team alone: a DAG of all that failed, a channel that is down,
    a mailbox that refuses."""
    stage = Stage(home=home, now=_NOW)
    stage.run("ledger", "migrate")
    run = {"dag_id": "reconcile_card_usage", "run_id": "manual__1", "hospital": "*", "task_id": "count"}
    refusal = {"name": "mail", "problem": "left@hospital.example: 550 5.1.1 no such user", "last_sent_at": _EARLY}
    failed: list[Row] = [("failed_run", run | {"reason": "failed", "at": _EARLY})]
    team = Team(channels=("team",), airflow="https://airflow.example", language=language)
    with patch.object(Team, "of", lambda _: team):
        for hours in (0, 2, 4):
            stage.now = _NOW + timedelta(hours=hours)
            _put(stage, [*failed, ("channel", refusal)] if hours == 4 else failed)
            stage.run("alerts", "send")
    return messages(stage)


def play(home: Path) -> dict[str, Any]:
    """By topic, what was told."""
    stage = Stage(home=home, now=_NOW)
    said: dict[str, Any] = {"the ledger is made": stage.run("ledger", "migrate")}
    for hospital in _planted(1):
        stage.write_hospital(hospital, _FILE.format(id=hospital))
    stage.write_hospital("unreadable", 'id = "unreadable"\npassword = "secret"\n')
    looks = (
        ("opened", 1, _NOW),
        ("the same again", 1, _NOW + timedelta(minutes=5)),
        ("worse", 2, _NOW + timedelta(hours=2)),
        ("away", 0, _NOW + timedelta(hours=3)),
        ("still away", 0, _NOW + timedelta(hours=5)),
        ("back", 1, _NOW + timedelta(hours=6)),
        ("the morning after", 1, at(5, 7, 40)),
        ("away for good", 0, at(5, 9)),
        ("over", 0, at(6, 12)),
    )
    for title, times, now in looks:
        stage.now = now
        _put(stage, [row for rows in _planted(times).values() for row in rows] if times else [])
        said[title] = stage.run("alerts", "send")
        if title in ("opened", "worse", "over"):
            said[f"{title}, incidents"] = stage.run("incidents", "--days", "2")
            said[f"{title}, incidents in Chinese"] = stage.run("incidents", "--days", "2", "--zh")
    fleets = {f"to a team that reads {one}": _fleet(home.with_name(f"fleet_{one}"), one) for one in LANGUAGES}
    return {"incidents": said, "alerts": messages(stage), "alerts_of_the_fleet": fleets}
