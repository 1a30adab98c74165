"""Ledger rows planted by hand: any mix of states, marks and causes, as staging and delivery would have left them.

Each planted event carries secrets (an ID number, a name, a QR text, a source id) in its sealed part and key columns, in
plain bytes: whatever reads the ledger for people must not let one through.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from card_usage.config.hospital import Hospital, load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.macs import CALL, CONTENT, made
from card_usage.ledger.schema import attempt, event, finding
from sqlalchemy import Connection, func, insert, select

HOSPITAL = "demo_hospital"
DAY = date(2026, 3, 4)
NOW = datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
"""09:30 of the next morning, local time."""

SECRETS = ("11010119491001808X", "金丝雀患者", "CANARY" + "0f" * 29 + ":1", "CANARYSOURCE")
FEEDS = {
    "registration": ("0101012", "0101011", "0101015"),
    "payment": ("0101051", "0101055"),
    "dispensing": ("010103",),
    "examination": ("0101081",),
    "laboratory": ("0101082",),
}
CAUSES = ("department.code", "channel.code", "department.required", "name.required", "id_number.checksum")
LOCAL = (("21010", "睡眠医学门诊"), ("21020", '多学科<b>&"联合"</b>门诊'), (None, "疼痛门诊"))
BY_HOUR = (1, 1, 1, 1, 1, 1, 2, 7, 14, 13, 10, 5, 2, 4, 9, 8, 6, 4, 3, 3, 2, 2, 1, 1)
SENT = ("delivered", "rejected", "unconfirmed", "unknown")


def hospital(**changes: dict[str, Any]) -> Hospital:
    """The demo hospital, with keys of its tables changed: hospital(gate={"warn_quarantined_share": 0.5})."""
    found = load_hospital(SHIPPED / "hospitals", HOSPITAL)
    parts = {name: getattr(found, name).model_copy(update=values) for name, values in changes.items()}
    return found.model_copy(update=parts)


@dataclass
class Planted:
    """What was planted, counted while it was: by (feed, state), by (feed, rule), and marks by (feed, kind).

    `refunds`: refunded records by feed that the HIS still has.
    """

    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    marks: Counter[tuple[str, str]] = field(default_factory=Counter)
    refunds: Counter[str] = field(default_factory=Counter)
    valid: int = 0

    def staged(self, feed: str) -> int:
        """Events of a feed."""
        return sum(events for (of, _), events in self.states.items() if of == feed)


def plant(
    connection: Connection,
    states: dict[str, int],
    *,
    seed: int = 1,
    day: date = DAY,
    marks: float = 0.0,
    feeds: tuple[str, ...] = tuple(FEEDS),
    **columns: Any,
) -> Planted:
    """So many events of each state, spread over feeds and hours. `marks`: share that is refunded, changed or vanished.

    `columns` override what every event would have.
    """
    draw = random.Random(seed)
    planted = Planted()
    next_id = (connection.scalar(select(func.max(event.c.id))) or 0) + 1
    events: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for status in [state for state, times in states.items() for _ in range(times)]:
        row = _event(draw, next_id + len(events), day, status, feeds) | columns
        if status == "voided":
            row["voided_at"] = NOW
        if draw.random() < marks and status not in ("quarantined", "ready", "held"):
            for name in ("voided_at", "changed_at", "vanished_at"):
                if draw.random() < 0.5:
                    row[name] = NOW
        if status == "quarantined":
            findings += _findings(draw, row)
            planted.causes[row["feed"], row["reason"]] += 1
        if status in SENT:
            attempts.append(_attempt(row))
        for name in ("voided_at", "changed_at", "vanished_at"):
            planted.marks[row["feed"], name] += row[name] is not None
            planted.marks[row["feed"], f"{status} {name}"] += row[name] is not None
        planted.refunds[row["feed"]] += row["voided_at"] is not None and row["vanished_at"] is None
        planted.states[row["feed"], status] += 1
        planted.valid += row["voided_at"] is None
        events.append(row)
    # As the product writes them, on a connection that has a key.
    of_event = {row["id"]: row for row in events}
    for row in events:
        row["mac"] = made(connection, "event", *(row[name] for name in CONTENT))
    for row in attempts:
        row["mac"] = made(connection, "call", of_event[row["event_id"]]["key"], *(row.get(name) for name in CALL))
    for table, rows in ((event, events), (finding, findings), (attempt, attempts)):
        if rows:
            connection.execute(insert(table), rows)
    return planted


def plant_call(connection: Connection, event_id: int, key: str, **values: Any) -> None:
    """A call of an event, as a deliverer would have written it."""
    sealed = made(connection, "call", key, *(values.get(name) for name in CALL))
    connection.execute(insert(attempt).values(event_id=event_id, deliverer=1, mac=sealed, **values))


def _event(draw: random.Random, event_id: int, day: date, status: str, feeds: tuple[str, ...]) -> dict[str, Any]:
    feed = draw.choice(feeds)
    hour = draw.choices(range(24), BY_HOUR)[0]
    at = datetime.combine(day, time(hour)) + timedelta(seconds=draw.randrange(3600))
    return {
        "id": event_id,
        "key": f"{event_id:032x}",
        "hospital": HOSPITAL,
        "feed": feed,
        "source_id": f"{SECRETS[3]}{event_id}",
        "day": day,
        "occurred_at": at,
        "scene": draw.choice(FEEDS[feed]),
        "department": draw.choice(("0301", "0304", "0403", "1200")),
        "department_name": "内科门诊",
        "card_type": draw.choices(("11", "01", "09", "10"), (33, 24, 28, 15))[0],
        "channel": draw.choice(("0100", "0200", "0401", "0402")),
        "cost_type": "0100",
        "status": status,
        "reason": None,
        "digest": f"{event_id:032d}",
        "request_id": f"{event_id:032X}",
        "staged_at": NOW,
        "result_code": {"delivered": 0, "rejected": 10016}.get(status),
        "key_id": "t",
        "sealed": "|".join(SECRETS).encode(),
        "voided_at": None,
        "changed_at": None,
        "vanished_at": None,
    }


def _findings(draw: random.Random, row: dict[str, Any]) -> list[dict[str, Any]]:
    rule = draw.choice(CAUSES)
    row["reason"] = rule
    name, _, kind = rule.partition(".")
    code = None
    if kind == "code":
        code, local_name = draw.choice(LOCAL)
        row[name] = None
        if name == "department":
            row["department_name"] = local_name
        else:
            code = f"Q{draw.randrange(3)}"
    common = {"event_id": row["id"], "severity": "critical"}
    first = {"position": 1, "rule": rule, "field": name, "code_table": name if kind == "code" else None, "code": code}
    # One that does not count stands before it, and another critical one behind it: neither is the cause.
    before = {"position": 0, "rule": "cost_type.code", "field": "cost_type", "code_table": "cost_type", "code": "9"}
    behind = {"position": 2, "rule": "qr_code_text.length", "field": "qr_code_text", "code_table": None, "code": None}
    return [common | before | {"severity": "info"}, common | first, common | behind]


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    answer = {"delivered": "accepted", "rejected": "refused", "unconfirmed": "repeated"}.get(row["status"], "no_answer")
    return {
        "event_id": row["id"],
        "request_id": row["request_id"],
        "deliverer": 1,
        "at": NOW,
        "answer": answer,
        "http_status": 200,
        "result_code": row["result_code"],
        "status": row["status"],
    }
