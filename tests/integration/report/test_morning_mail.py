"""The morning mail over a real SMTP server: one a day and channel, as text and as HTML, late rather than lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import planted
from card_usage.config.connections import Connection
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.notifications.dispatch import dispatch
from card_usage.reconciliation.balance import SourceCount
from card_usage.reconciliation.reconcile import reconcile_day
from card_usage.report.morning_mail import LIFE, send_morning
from card_usage.report.publish import publish_fleet
from planted import DAY, FEEDS, SECRETS
from receivers import mailbox

NOW = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
LINK = "https://airflow.example/card-usage/files/_fleet/2026-03-04/card-usage-fleet-2026-03-04.html"
HOME = planted.hospital()


def fleet(ledger: Ledger, folder: Path) -> dict[str, Any]:
    with ledger.write() as connection:
        made = planted.plant(connection, {"delivered": 90, "quarantined": 8})
    source = {feed: SourceCount(made.staged(feed), made.marks[feed, "voided_at"]) for feed in FEEDS}
    reconcile_day(ledger, HOME, DAY, source, now=NOW)
    _, figures = publish_fleet(ledger, [HOME], DAY, Store(folder), broken={}, language="zh", now=NOW)
    return figures


def test_each_channel_gets_one_mail_a_day_and_gets_it_late_if_it_was_down(ledger: Ledger, tmp_path: Path) -> None:
    figures = fleet(ledger, tmp_path / "r")
    with mailbox() as box:
        extra = {"to": "team@isv.example", "from": "alerts@isv.example", "tls": "none"}
        channel = Connection(conn_id="mail", conn_type="smtp", host="127.0.0.1", port=box.port, extra=extra)
        for told in (["mail"], []):
            with ledger.write() as connection:
                assert send_morning(connection, figures, ["mail", "mail"], link=LINK, now=NOW) == told
        box.refuse = True
        assert dispatch(ledger, {"mail": channel}.__getitem__, now=NOW).failed == 1
        box.refuse = False
        assert dispatch(ledger, {"mail": channel}.__getitem__, now=NOW + timedelta(hours=1)).sent == 1
        assert dispatch(ledger, {"mail": channel}.__getitem__, now=NOW + timedelta(hours=2)).sent == 0
    (sent,) = box.mails
    assert "晨报" in sent["subject"]
    text = sent.get_body(("plain",)).get_content()
    html = sent.get_body(("html",)).get_content()
    for body in (text, html):
        assert figures["verdict"]["text"] in body
        assert LINK in body
        assert figures["actions"][0]["to_do"] in body
    assert not [secret for secret in SECRETS if secret in text + html]


def test_yesterdays_news_is_not_sent_beside_todays(ledger: Ledger, tmp_path: Path) -> None:
    figures = fleet(ledger, tmp_path / "r")
    with ledger.write() as connection:
        send_morning(connection, figures, ["mail"], link=LINK, now=NOW)
    posted = dispatch(ledger, {}.__getitem__, now=NOW + LIFE)
    assert (posted.sent, posted.expired) == (0, 1)
