"""A week of a hospital with every kind of trouble, swept every ten minutes, told over real SMTP and HTTP.

What must open, get worse and close, and when, is written down beside each trouble; the sweep must find exactly that.
Messages go over the wire to a mail server, a robot and a webhook; one of them is down for a whole day.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import planted
import pytest
from card_usage.alerts import incident_store
from card_usage.alerts.notices import LIMIT
from card_usage.alerts.sweep import DIGEST, Team, sweep, sweep_fleet
from card_usage.config.connections import Connection
from card_usage.config.hospital import Alerts, Hospital
from card_usage.ledger import holds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, failed_run, feed_window, finding, outbox, reconciliation, report_file
from card_usage.notifications.dispatch import dispatch
from card_usage.quality import verdict_store
from card_usage.quality.verdicts import Reason, Verdict
from card_usage.staging.coverage import record_window
from card_usage.windows import DAY, day_window, instant, local
from receivers import Mailbox, Webhook, webhook
from sqlalchemy import delete, func, insert, select, update

MONDAY = date(2026, 3, 2)
EVERY = timedelta(minutes=10)
H = planted.HOSPITAL
REPORT_DAG = f"report_card_usage__{H}"
USUAL = 200

Happening = tuple[str, str, str, str]
"""When (weekday and local time), what happened, cause, detail."""


def at(text: str) -> datetime:
    """'Tue 10:00' of the week as an instant."""
    name, clock = text.split()
    day = MONDAY + DAY * ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].index(name)
    return instant(datetime.combine(day, time.fromisoformat(clock)))


def said(moment: datetime) -> str:
    return f"{local(moment):%a %H:%M}"


@dataclass
class Week:
    """The hospital's ledger, what is done to it and when, and what a sweep must make of it."""

    ledger: Ledger
    hospital: Hospital
    acts: list[tuple[datetime, Callable[[Week, datetime], None]]] = field(default_factory=list)
    expected: set[Happening] = field(default_factory=set)
    ids: int = 0

    def on(self, when: str, act: Callable[[Week, datetime], None]) -> None:
        self.acts.append((at(when), act))

    def must(self, when: str, happened: str, cause: str, detail: str = "") -> None:
        self.expected.add((when, happened, cause, detail))

    # -- what is done to the ledger ------------------------------------------------------------------------------

    def events(self, count: int, status: str, day: date, now: datetime, *, feed: str, **columns: Any) -> None:
        draw = random.Random(self.ids)
        rows, findings = [], []
        for _ in range(count):
            self.ids += 1
            row = planted._event(draw, self.ids, day, status, (feed,))
            row |= {"staged_at": now, "settled_at": now if status in ("delivered", "rejected") else None}
            row |= {name: value for name, value in columns.items() if name != "code"}
            rows.append(row)
            if status == "quarantined":
                rule = str(row["reason"])
                name, _, kind = rule.partition(".")
                table = name if kind == "code" else None
                findings.append(
                    {"event_id": self.ids, "position": 0, "rule": rule, "field": name, "severity": "critical"}
                    | {"code_table": table, "code": columns.get("code")}
                )
        with self.ledger.write() as connection:
            connection.execute(insert(event), rows)
            if findings:
                connection.execute(insert(finding), findings)

    def settle(self, now: datetime, *where: Any) -> None:
        """Events of these go to the platform after all."""
        with self.ledger.write() as connection:
            connection.execute(
                update(event)
                .where(event.c.hospital == H, *where)
                .values(status="delivered", settled_at=now, reason=None)
            )

    def stage(self, day: date, now: datetime, rows: dict[str, int] | None = None, status: str = "closed") -> None:
        with self.ledger.write() as connection:
            for feed in planted.FEEDS:
                of = day_window(day)
                n = (rows or {}).get(feed, USUAL)
                record_window(
                    connection,
                    hospital=H,
                    feed=feed,
                    start=of.start,
                    end=of.end,
                    status=status,
                    source_rows=n,
                    now=now,
                )

    def report(self, day: date, now: datetime) -> None:
        with self.ledger.write() as connection:
            values = {"hospital": H, "day": day, "kind": "html", "path": f"{H}/{day}.html", "at": now}
            connection.execute(insert(report_file).values(values))


def usual_days(week: Week, *, late_stage: date, late_report: date) -> None:
    """Six weeks of history, then each night: the day before is staged at 00:20, its report is there at 00:40."""
    for back in range(1, 43):
        day = MONDAY - back * DAY
        week.stage(day, instant(datetime.combine(day + DAY, time(0, 20))))
        if back > 1:
            week.report(day, instant(datetime.combine(day + DAY, time(0, 40))))
    for n in range(7):
        day = MONDAY + DAY * (n - 1)
        name = f"{day + DAY:%a}"
        staged, reported = ("12:00", "12:20") if day == late_stage else ("00:20", "00:40")
        if day == late_report:
            reported = "11:00"
        week.on(f"{name} {staged}", lambda w, now, day=day: w.stage(day, now))
        week.on(f"{name} {reported}", lambda w, now, day=day: w.report(day, now))


def unmapped_codes(week: Week) -> None:
    day = MONDAY
    new = {"feed": "registration", "reason": "department.code", "department": None, "department_name": "睡眠医学门诊"}
    week.on("Tue 00:20", lambda w, now: w.events(12, "quarantined", day, now, code="21010", **new))
    week.on("Wed 00:20", lambda w, now: w.events(12, "quarantined", day + DAY, now, code="21010", **new))
    week.on("Wed 10:00", lambda w, now: w.settle(now, event.c.reason == "department.code"))
    week.must("Tue 00:20", "opened", "unmapped_code", "department")
    week.must("Wed 00:20", "worse", "unmapped_code", "department")
    week.must("Wed 10:00", "closed", "unmapped_code", "department")


def a_column_that_is_empty_since_an_upgrade(week: Week) -> None:
    rule = "id_number.required"
    day = MONDAY + DAY
    week.on("Wed 00:20", lambda w, now: w.events(120, "quarantined", day, now, feed="payment", reason=rule))
    # Some of every day's are always missing: no trouble.
    week.on("Thu 00:20", lambda w, now: w.events(6, "quarantined", day + DAY, now, feed="payment", reason=rule))
    week.on("Wed 11:00", lambda w, now: w.settle(now, event.c.reason == rule))
    week.must("Wed 00:50", "opened", "missing_field", rule)
    week.must("Wed 11:00", "closed", "missing_field", rule)


def half_the_volume(week: Week) -> None:
    day = MONDAY + 2 * DAY
    week.on("Thu 00:20", lambda w, now: w.stage(day, now, {"payment": USUAL // 2 - 1, "dispensing": USUAL * 7 // 10}))
    week.on("Thu 09:00", lambda w, now: w.stage(day, now))
    week.must("Thu 00:20", "opened", "volume_drop")
    week.must("Thu 09:00", "closed", "volume_drop")


def a_replica_that_stopped(week: Week) -> None:
    """The night of Friday is staged at noon (see `usual_days`); that its report is late is no news."""
    week.must("Fri 03:00", "opened", "replica_late")
    week.must("Fri 06:00", "worse", "replica_late")
    week.must("Fri 12:30", "closed", "replica_late")


def refusals(week: Week) -> None:
    day = MONDAY + 4 * DAY
    week.on("Sat 00:40", lambda w, now: w.events(30, "rejected", day, now, feed="laboratory", result_code=10016))
    week.on("Sat 14:00", lambda w, now: w.settle(now, event.c.status == "rejected"))
    week.must("Sat 00:40", "opened", "platform_refuses", "10016")
    week.must("Sat 14:00", "closed", "platform_refuses", "10016")


def hold(kind: str, until: str, reason: str, code: int | None = None) -> Callable[[Week, datetime], None]:
    def place(week: Week, now: datetime) -> None:
        with week.ledger.write() as connection:
            ends = at(until) if until else None
            holds.place(
                connection,
                hospital=H,
                kind=kind,
                reason=reason,
                by="deliverer",
                now=now,
                until=ends,
                result_code=code,
            )

    return place


def a_token_fought_over(week: Week) -> None:
    """It comes and goes: one incident."""
    week.on("Mon 15:00", hold("contested", "Mon 16:00", "appToken replaced 3 times"))
    week.on("Mon 16:30", hold("contested", "Mon 17:30", "appToken replaced 4 times"))
    week.must("Mon 15:00", "opened", "token_contested")
    week.must("Mon 18:30", "closed", "token_contested")


def a_quota_used_up_two_days_running(week: Week) -> None:
    waiting = {"feed": "dispensing", "due_at": at("Wed 00:00")}
    week.on("Tue 10:00", hold("quota", "Wed 00:00", "the platform's calls of today are used up (10034)"))
    week.on("Tue 10:00", lambda w, now: w.events(15, "held", MONDAY, now, **waiting))
    week.on("Wed 00:10", lambda w, now: w.settle(now, event.c.status == "held"))
    week.on("Wed 09:00", hold("quota", "Thu 00:00", "the platform's calls of today are used up (10034)"))
    week.must("Tue 10:00", "opened", "quota_exhausted")
    week.must("Fri 02:00", "closed", "quota_exhausted")


def wrong_credentials(week: Week) -> None:
    def mend(w: Week, now: datetime) -> None:
        with w.ledger.write() as connection:
            holds.lift(connection, hospital=H)
        w.settle(now, event.c.status == "ready")

    week.on("Thu 13:00", hold("misconfigured", "", "the platform answers 21002", 21002))
    week.on("Thu 13:00", lambda w, now: w.events(20, "ready", MONDAY + 2 * DAY, now, feed="payment"))
    # For longer than an event may wait: that delivery is behind is no news beside it.
    week.on("Thu 19:00", mend)
    week.must("Thu 13:00", "opened", "misconfiguration", "platform")
    week.must("Thu 19:00", "closed", "misconfiguration", "platform")


def deliveries_that_wait(week: Week) -> None:
    week.on("Sun 08:00", lambda w, now: w.events(50, "ready", MONDAY + 5 * DAY, now, feed="payment"))
    week.on("Sun 16:00", lambda w, now: w.settle(now, event.c.status == "ready"))
    week.must("Sun 12:10", "opened", "delivery_behind")
    week.must("Sun 16:30", "closed", "delivery_behind")


def a_gate_that_holds(week: Week) -> None:
    window = day_window(MONDAY + 4 * DAY)

    def judge(w: Week, now: datetime) -> None:
        reason = Reason(code="quarantined_share", level="hold", count=400, of=1000, limit=0.3)
        verdict = Verdict(hospital=H, window=str(window), level="hold", reasons=(reason,), events=1000)
        with w.ledger.write() as connection:
            verdict_store.save(connection, verdict, window, now=now)

    def release(w: Week, now: datetime) -> None:
        with w.ledger.write() as connection:
            (stored,) = verdict_store.verdicts_in_force(connection, H, window)
            assert verdict_store.decide(connection, stored.id, "released", by="zhang", now=now)

    week.on("Sat 00:30", judge)
    week.on("Sat 09:30", release)
    week.must("Sat 00:30", "opened", "gate_held")
    week.must("Sat 09:30", "closed", "gate_held")


def a_run_that_fails(week: Week) -> None:
    def fail(w: Week, now: datetime) -> None:
        for task_id in ("stage", "check"):  # two tasks, one run
            with w.ledger.write() as connection:
                incident_store.run_failed(
                    connection,
                    hospital=H,
                    dag_id=REPORT_DAG,
                    run_id="scheduled__2026-03-01",
                    task_id=task_id,
                    reason="task_failure",
                    now=now,
                )

    def succeed(w: Week, now: datetime) -> None:
        with w.ledger.write() as connection:
            incident_store.run_succeeded(connection, dag_id=REPORT_DAG, run_id="scheduled__2026-03-02")

    week.on("Mon 20:00", fail)
    week.on("Tue 00:50", succeed)
    week.must("Mon 20:00", "opened", "dag_failed", REPORT_DAG)
    week.must("Tue 00:50", "closed", "dag_failed", REPORT_DAG)


def a_report_that_is_late(week: Week) -> None:
    """Saturday's comes at 11:00 (see `usual_days`)."""
    week.must("Sun 09:00", "opened", "report_late")
    week.must("Sun 11:00", "closed", "report_late")


def a_remainder(week: Week) -> None:
    def count(remainder: int) -> Callable[[Week, datetime], None]:
        def write(w: Week, now: datetime) -> None:
            with w.ledger.write() as connection:
                connection.execute(delete(reconciliation))
                row = {"hospital": H, "feed": "payment", "day": MONDAY + DAY, "counts": "{}", "provisional": False}
                connection.execute(insert(reconciliation).values(**row, remainder=remainder, at=now))

        return write

    week.on("Wed 07:00", count(3))
    week.on("Wed 08:00", count(0))
    week.must("Wed 07:00", "opened", "reconciliation_remainder")
    week.must("Wed 08:00", "closed", "reconciliation_remainder")


def a_window_that_stays_provisional(week: Week) -> None:
    day = datetime.combine(MONDAY + 2 * DAY, time())

    def become(status: str) -> Callable[[Week, datetime], None]:
        def write(w: Week, now: datetime) -> None:
            mine = update(feed_window).where(feed_window.c.start == day, feed_window.c.feed == "examination")
            with w.ledger.write() as connection:
                connection.execute(mine.values(status=status))

        return write

    week.on("Sun 10:00", become("provisional"))
    week.on("Sun 13:00", become("closed"))
    week.must("Sun 10:00", "opened", "provisional_window")
    week.must("Sun 13:30", "closed", "provisional_window")


TROUBLES = (
    *(unmapped_codes, a_column_that_is_empty_since_an_upgrade, half_the_volume, a_replica_that_stopped, refusals),
    *(a_token_fought_over, a_quota_used_up_two_days_running, wrong_credentials, deliveries_that_wait),
    *(a_gate_that_holds, a_run_that_fails, a_report_that_is_late, a_remainder, a_window_that_stays_provisional),
)


def happenings(ledger: Ledger, seen: dict[int, tuple[int, bool, int]], now: datetime) -> list[Happening]:
    """What the ledger's incidents show that they did not show before."""
    found = []
    with ledger.read() as connection:
        listed = incident_store.listed(connection, None, at("Mon 00:00"))
    for one in listed:
        assert one.id is not None
        before = seen.get(one.id)
        state = (one.version, one.is_open, one.returns)
        if before is None:
            happened = "opened"
        elif before[0] == one.version:
            continue
        elif before[1] and not one.is_open:
            happened = "closed"
        else:
            happened = "worse" if before[2] == one.returns else "returned"
        seen[one.id] = state
        found.append((said(now), happened, one.cause, one.detail))
    return found


@pytest.fixture
def chat() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_week_with_every_trouble_gives_exactly_what_it_must(
    ledger: Ledger,
    box: Mailbox,
    chat: Webhook,
    hook: Webhook,
    capsys: pytest.CaptureFixture[str],
) -> None:
    routes = [{"channel": "chat"}, {"channel": "mail", "least": "info", "at_night": "nothing"}]
    hook_route = {"channel": "hook", "least": "info", "at_night": "all", "digest": False, "language": "en"}
    alerts = Alerts.model_validate({"routes": [*routes, hook_route]})
    hospital = planted.hospital().model_copy(update={"alerts": alerts})
    to = {"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"}
    connections = {
        "chat": Connection(conn_id="chat", conn_type="wecom", host=chat.url, password="key-1"),
        "hook": Connection(conn_id="hook", conn_type="http", host=hook.url),
        "mail": Connection(conn_id="mail", conn_type="smtp", host="127.0.0.1", port=box.port, extra=to),
    }
    week = Week(ledger, hospital)
    usual_days(week, late_stage=MONDAY + 3 * DAY, late_report=MONDAY + 5 * DAY)
    for trouble in TROUBLES:
        trouble(week)
    week.acts.sort(key=lambda pair: pair[0])
    found: list[Happening] = []
    seen: dict[int, tuple[int, bool, int]] = {}
    now, down, acts = at("Mon 00:00"), (at("Wed 00:00"), at("Thu 00:00")), iter(week.acts)
    following = next(acts, None)
    messages = 0
    while now <= at("Sun 23:50"):
        while following is not None and following[0] <= now:
            following[1](week, now)
            following = next(acts, None)
        hook.down = down[0] <= now < down[1]
        messages += sweep(ledger, hospital, Team(airflow="http://airflow.example"), now=now).messages
        found += happenings(ledger, seen, now)
        if local(now).minute == 0:
            assert sweep(ledger, hospital, Team(), now=now).messages == 0, "looking twice tells nothing twice"
        dispatch(ledger, connections.__getitem__, now=now)
        now += EVERY
    with ledger.read() as connection:
        rows = connection.execute(select(outbox).order_by(outbox.c.id)).all()
        left = connection.scalar(select(func.count()).select_from(failed_run))

    hits = week.expected & set(found)
    precision, recall = len(hits) / len(found), len(hits) / len(week.expected)
    with capsys.disabled():
        print(
            f"\n{ledger.dialect}: {len(TROUBLES)} kinds of trouble in a week, {len(week.expected)} openings, updates, "
            f"closings expected, {len(found)} found: precision {precision:.3f}, recall {recall:.3f}; "
            f"{messages} messages"
        )
    assert sorted(found) == sorted(week.expected)
    assert left == 0

    # Nothing is lost, also on the channel that was down for a day, and nothing is sent twice.
    assert {row.status for row in rows} == {"sent"}
    assert messages == len(rows) == len(box.mails) + len(chat.posts) + len(hook.posts)
    waited = [row for row in rows if row.channel == "hook" and down[0] <= row.created_at < down[1]]
    assert len(waited) >= 5
    assert all(row.ended_at >= down[1] for row in waited)
    assert [payload["title"] for _, payload in hook.posts] == [row.subject for row in rows if row.channel == "hook"]
    # The others were not delayed by it.
    assert all(row.ended_at == row.created_at for row in rows if row.channel != "hook")

    # No storm: at most one message a channel, cause and hour.
    by_topic = defaultdict(list)
    for row in rows:
        by_topic[row.channel, row.topic].append(row.created_at)
    assert all(after - before >= LIMIT for made in by_topic.values() for before, after in pairwise(made))

    # At night only what is critical wakes the chat; the mail sleeps.
    for row in rows:
        if alerts.is_quiet(local(row.created_at).time()):
            assert row.channel != "mail"
            assert row.channel == "hook" or row.subject.startswith(("[严重]", "[已恢复]"))
    assert {row.topic for row in rows if row.channel == "mail"} >= {DIGEST, "delivery_behind"}

    # Nothing about a patient in any of them, on the wire.
    wire = b"".join(box.raw + chat.raw + hook.raw) + "".join(mail.as_string() for mail in box.mails).encode()
    texts = "".join(row.text + row.subject + (row.html or "") for row in rows).encode()
    for secret in planted.SECRETS:
        assert secret.encode() not in wire + texts
        assert secret.encode("unicode_escape") not in wire


def test_the_team_hears_of_a_channel_that_is_down_on_another_one(
    embedded: Ledger, chat: Webhook, hook: Webhook
) -> None:
    team = Team(channels=("hook", "chat"))
    connections = {
        "chat": Connection(conn_id="chat", conn_type="wecom", host=chat.url, password="key-1"),
        "hook": Connection(conn_id="hook", conn_type="http", host=hook.url),
    }
    hook.down = True
    broken = {"no_such": "hospitals/no_such.toml, key 'cadence': Field required; correct it there"}
    now = at("Mon 08:00")
    for _ in range(20):
        sweep_fleet(embedded, team, broken, now=now)
        dispatch(embedded, connections.__getitem__, now=now)
        now += EVERY
    told = [payload["markdown"]["content"] for _, payload in chat.posts]
    assert len(told) == 3, "the broken file, the channel, and the channel again with twice as many waiting"
    assert "医院配置文件读不出来" in told[0]
    assert "hook" in told[1]
    hook.down = False
    for _ in range(12):
        sweep_fleet(embedded, team, {}, now=now)
        dispatch(embedded, connections.__getitem__, now=now)
        now += EVERY
    assert any("告警通道已恢复" in payload["markdown"]["content"] for _, payload in chat.posts)
