"""The ledger's figures, scraped over HTTP as Prometheus does it: equal to the ledger, cheap, and about nobody."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import ledgers
import planted
import psycopg
import pytest
import yaml
from card_usage.ledger.database import Ledger
from card_usage.ledger.grants import FIGURES, allow_metrics
from card_usage.ledger.schema import attempt, event, feed_window, hold, metadata, quota_day, token, verdict, verified
from card_usage.metrics import exporter
from card_usage.metrics.exporter import AT_MOST_EVERY, LedgerCollector, exposition
from card_usage.windows import instant, local
from planted import DAY, HOSPITAL, NOW
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, insert, select
from sqlalchemy.engine import make_url

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """What a scrape says: (name, labels) -> value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def planted_ledger(ledger: Ledger) -> None:
    states = {"ready": 5, "held": 1, "unknown": 2, "quarantined": 7, "rejected": 3, "unconfirmed": 2, "delivered": 20}
    day = datetime.combine(DAY, datetime.min.time())
    with ledger.write() as connection:
        planted.plant(connection, states)
        row = {"hospital": HOSPITAL, "feed": "payment"}
        connection.execute(insert(verified).values(**row, since=day, through=day + timedelta(days=1), at=NOW))
        tomorrow = {"start": day + timedelta(days=1), "end": day + timedelta(days=2)}
        connection.execute(insert(feed_window).values(**row, **tomorrow, status="provisional"))
        for hours, (level, decision) in enumerate((("stop", None), ("pass", None), ("hold", "released")), start=1):
            window = {"start": day, "end": day + timedelta(hours=hours)}
            connection.execute(
                insert(verdict).values(
                    hospital=HOSPITAL, **window, verdict=level, reasons="[]", at=NOW, decision=decision
                )
            )
        connection.execute(
            insert(hold).values(hospital=HOSPITAL, kind="pause", reason="r", set_by="somebody", set_at=NOW)
        )
        today = local(NOW).date()
        connection.execute(
            insert(quota_day).values(hospital=HOSPITAL, interface="reportHISData", day=today, used=42, exhausted_at=NOW)
        )
        connection.execute(insert(token).values(app_id="app", serial=9))


def collected(collector: LedgerCollector) -> Samples:
    registry = CollectorRegistry()
    registry.register(collector)
    return samples(generate_latest(registry).decode())


def test_every_figure_is_the_ledgers(ledger: Ledger, ledger_url: str) -> None:
    planted_ledger(ledger)
    found = collected(LedgerCollector(ledger_url, present=lambda: NOW))
    with ledger.read() as connection:
        since = connection.scalar(select(func.min(event.c.staged_at)).where(event.c.status.in_(("ready", "unknown"))))
        lanes = dict(
            connection.execute(
                select(event.c.lane, func.count())
                .where(event.c.status.in_(("ready", "held", "unknown")))
                .group_by(event.c.lane)
            ).all()
        )
    assert value(found, "card_usage_ledger_up") == 1
    assert value(found, "card_usage_open_events", hospital=HOSPITAL, lane="live") == lanes[0]
    assert since is not None
    age = value(found, "card_usage_oldest_due_event_age_seconds", hospital=HOSPITAL, lane="live")
    assert age is not None
    assert age <= (NOW - since).total_seconds()
    assert value(found, "card_usage_quarantined_events", hospital=HOSPITAL) == 7
    assert value(found, "card_usage_undecided_events", hospital=HOSPITAL, status="rejected") == 3
    assert value(found, "card_usage_undecided_events", hospital=HOSPITAL, status="unconfirmed") == 2
    assert value(found, "card_usage_undecided_windows", hospital=HOSPITAL, verdict="stop") == 1
    assert value(found, "card_usage_undecided_windows", hospital=HOSPITAL, verdict="hold") is None
    assert value(found, "card_usage_hold", hospital=HOSPITAL, kind="pause") == 1
    end = instant(datetime.combine(DAY, datetime.min.time()) + timedelta(days=1)).timestamp()
    labels = {"hospital": HOSPITAL, "feed": "payment"}
    assert value(found, "card_usage_verified_through_timestamp_seconds", **labels) == end
    assert value(found, "card_usage_staged_through_timestamp_seconds", **labels) == end + 86400
    quota = {"hospital": HOSPITAL, "interface": "reportHISData"}
    assert value(found, "card_usage_quota_used_calls", **quota) == 42
    assert value(found, "card_usage_quota_used_up", **quota) == 1
    assert value(found, "card_usage_token_refreshes_total", app_id="app") == 9


def test_a_role_with_the_rights_of_the_exporter_reads_its_figures_and_no_other_column(
    postgres_ledger: Ledger, postgres_ledger_url: str
) -> None:
    planted_ledger(postgres_ledger)
    role, password = f"figures_{secrets.token_hex(4)}", secrets.token_hex(8)
    url = make_url(postgres_ledger_url).set(username=role, password=password).render_as_string(hide_password=False)
    with psycopg.connect(postgres_ledger_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        try:
            allow_metrics(postgres_ledger_url, role)
            allow_metrics(postgres_ledger_url, role)
            found = collected(LedgerCollector(url, present=lambda: NOW))
            assert value(found, "card_usage_quarantined_events", hospital=HOSPITAL) == 7
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as attacker:
                for table in metadata.sorted_tables:
                    for column in table.columns:
                        if column.name in FIGURES.get(table.name, ()):
                            continue
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            attacker.execute(f'SELECT "{column.name}" FROM {table.name} LIMIT 1')
                    for change in (f"DELETE FROM {table.name}", f"INSERT INTO {table.name} DEFAULT VALUES"):
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            attacker.execute(change)
        finally:
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_counters_count_what_comes_and_each_once_though_rows_appear_behind_those_that_were_seen(
    ledger: Ledger, ledger_url: str
) -> None:
    with ledger.write() as connection:
        planted.plant(connection, {"delivered": 10})
        event_id = connection.scalar(select(func.min(event.c.id)))
        last = connection.scalar(select(func.max(attempt.c.id))) or 0
    now = NOW
    collector = LedgerCollector(ledger_url, present=lambda: now)
    labels = {"hospital": HOSPITAL, "answer": "accepted", "status": "delivered"}

    def called(number: int) -> None:
        row = {"id": number, "event_id": event_id, "request_id": "r", "at": now, "answer": "accepted"}
        with ledger.write() as connection:
            connection.execute(insert(attempt).values(**row, status="delivered"))

    assert value(collected(collector), "card_usage_calls_total", **labels) is None
    told = []
    for number in (last + 3, last + 2, last + 4, last + 1):  # as transactions commit, not as ids are given
        called(number)
        now += AT_MOST_EVERY
        told.append(value(collected(collector), "card_usage_calls_total", **labels))
    assert told == [1, 2, 3, 4]
    now += timedelta(hours=1)
    assert value(collected(collector), "card_usage_calls_total", **labels) == 4
    called(last + 5)
    now += AT_MOST_EVERY
    assert value(collected(collector), "card_usage_calls_total", **labels) == 5


def test_however_many_scrape_the_ledger_is_read_once_in_five_seconds(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = exporter.viewed
    monkeypatch.setattr(exporter, "viewed", lambda url: opened.append(url) or real(url))
    now = NOW
    collector = LedgerCollector(ledger_url, present=lambda: now)
    for _ in range(20):
        collected(collector)
    assert len(opened) == 1
    now += AT_MOST_EVERY
    collected(collector)
    now -= timedelta(hours=1)  # a clock that was set back stops nothing
    collected(collector)
    assert len(opened) == 3


def test_a_scrape_reads_no_row_of_what_is_settled(embedded: Ledger, tmp_path: Path) -> None:
    with embedded.write() as connection:
        planted.plant(connection, {"delivered": 5, "ready": 1})
    plans: list[str] = []
    with embedded.read() as connection:

        def planned(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            if statement.startswith("SELECT") and "event" in statement:
                raw = conn.connection.driver_connection
                plans.extend(f"{row[3]}" for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

        sqlalchemy_event.listen(connection, "before_cursor_execute", planned)
        for gauge in exporter.GAUGES:
            list(gauge.read(connection, NOW))
    scans = [plan for plan in plans if re.search(r"SCAN event\b(?! USING)", plan)]
    assert plans
    assert scans == []


def test_a_ledger_that_cannot_be_read_is_a_figure_and_not_a_failed_scrape(tmp_path: Path) -> None:
    found = samples(exposition(f"sqlite:///{tmp_path}/nothing.db"))
    assert found == {("card_usage_ledger_up", frozenset()): 0}


@contextmanager
def served(url: str) -> Iterator[str]:
    """The command as it is started beside a Prometheus; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CARD_USAGE_LEDGER_URL": url}
    environment.pop("CARD_USAGE_KEY", None)
    command = [sys.executable, "-m", "card_usage", "metrics", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = f"http://127.0.0.1:{port}/metrics"
        until = monotonic() + 60
        while True:
            try:
                httpx.get(address, trust_env=False)
                break
            except httpx.TransportError:
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert monotonic() < until
                sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "ended\n")


def test_the_command_answers_scrapes_without_a_key_and_ends_when_it_is_told(ledger: Ledger, ledger_url: str) -> None:
    planted_ledger(ledger)
    with served(ledger_url) as address:
        answer = httpx.get(address, trust_env=False)
        assert answer.headers["content-type"].startswith("text/plain")
        assert value(samples(answer.text), "card_usage_quarantined_events", hospital=HOSPITAL) == 7
        with socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))):
            again = httpx.get(address, trust_env=False)  # somebody who connects and says nothing holds up nobody
        assert again.status_code == 200


@pytest.mark.parametrize("listen", ["9464", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", ":9464"])
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    command = [sys.executable, "-m", "card_usage", "metrics", "--listen", listen]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "is not ADDRESS:PORT, such as 127.0.0.1:9464" in ended.stderr


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "card_usage", "metrics", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        environment = {**os.environ, "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(tmp_path, "l")}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert re.fullmatch(r"card_usage: .*cannot be listened on \(Address already in use\).*--listen.*\n", ended.stderr)


def test_no_figure_has_a_label_that_could_name_a_patient() -> None:
    labels = {label for gauge in exporter.GAUGES for label in gauge.labels}
    labels |= {*exporter._CALLS.labels, *exporter._STAGED.labels, *exporter._TOKENS.labels}
    assert labels == {
        *("hospital", "lane", "status", "verdict", "kind", "cause", "severity", "feed", "interface", "answer"),
        "app_id",
    }


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the rules and dashboards, with where it stands."""
    for group in yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in sorted(MONITORING.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]


def test_rules_and_dashboards_ask_for_figures_and_labels_that_there_are() -> None:
    counters = (exporter._CALLS, exporter._STAGED, exporter._TOKENS)
    known = {gauge.name: set(gauge.labels) for gauge in exporter.GAUGES} | {"card_usage_ledger_up": set()}
    known |= {f"{count.name}_total": set(count.labels) for count in counters}
    asked = set()
    for where, expression in expressions():
        for name, selector in re.findall(r"\b(card_usage_\w+)(?:\{([^}]*)\})?", expression):
            assert name in known, where
            assert {*re.findall(r"(\w+)\s*[=!]", selector or "")} <= known[name], where
            asked.add(name)
    assert known.keys() <= asked, "a figure that no dashboard shows"
