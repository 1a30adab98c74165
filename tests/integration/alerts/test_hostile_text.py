"""Names that a HIS gives its departments are text in every chat, form and file, whatever they look like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from card_usage.alerts.incidents import Incident
from card_usage.alerts.message import Message, Notice, Origin, digest, message
from card_usage.config.connections import Connection
from card_usage.notifications.channels import send
from receivers import Mailbox, Webhook

NOW = datetime(2026, 3, 5, 1, 0, tzinfo=UTC)
NAMES = (
    "[点击领取补贴](https://evil.example/a)",
    "<at id=all></at>",
    "<@all>",
    "![x](https://evil.example/p.png)",
    "**假的** `rm` <font color=warning>x</font>",
    "www.evil.example",
    "\x1b]8;;https://evil.example\x07x",
)
MARKUP = ("](", "<at", "<@", "<font", "![", "evil.example", "://evil", "`rm`", "**假的**", "\x1b", "\x07")
ORIGIN = Origin(hospital="demo", name="示范医院", name_en="Demo", airflow="https://airflow.internal")


def incident() -> Incident:
    named = "\n".join(f"X{n}\t{name}\t{n}" for n, name in enumerate(NAMES))
    return Incident(
        id=1,
        hospital="demo",
        cause="unmapped_code",
        detail="department",
        severity="warning",
        count=9,
        stated=0,
        parts=(),
        facts={"table": "department", "codes": len(NAMES), "named": named},
        sample=("event-key",),
        since=NOW,
        opened_at=NOW,
    )


@pytest.mark.parametrize(
    "written",
    [
        lambda: message(ORIGIN, [Notice("opened", incident())], "zh", NOW),
        lambda: digest(ORIGIN, [incident()], "en", NOW),
    ],
    ids=["message", "digest"],
)
@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu", "webhook"])
def test_no_name_is_markup_in_a_chat(kind: str, written: Callable[[], Message], hook: Webhook) -> None:
    made = written()
    password = "a1b2c3" if kind == "dingtalk" else "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"
    extra = {"kind": kind} if kind != "webhook" else {}
    connection = Connection(
        conn_id=kind, conn_type="http", host=hook.url, password=password if extra else "", extra=extra
    )
    send(connection, made.subject, made.text)
    ((_, payload),) = hook.posts
    said = str(payload)
    assert "点击领取补贴" in said
    # The one link is ours.
    assert "](https://airflow.internal/" in said
    assert not [mark for mark in MARKUP if mark in said.replace("](https://airflow.internal", "")]


def test_no_name_is_markup_in_a_mail(box: Mailbox) -> None:
    made = message(ORIGIN, [Notice("opened", incident())], "zh", NOW)
    connection = Connection(
        conn_id="mail",
        conn_type="smtp",
        host="127.0.0.1",
        port=box.port,
        extra={"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"},
    )
    send(connection, made.subject, made.text, made.html)
    html = box.mails[0].get_body(("html",))
    assert html is not None
    shown = html.get_content()
    assert "点击领取补贴" in shown
    assert not [mark for mark in ("<at", "<@", "<font", "<img", 'href="https://evil') if mark in shown]


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\u2028"])
def test_a_subject_with_an_end_of_line_forges_no_header(box: Mailbox, break_: str) -> None:
    connection = Connection(
        conn_id="mail",
        conn_type="smtp",
        host="127.0.0.1",
        port=box.port,
        extra={"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"},
    )
    send(connection, f"a{break_}Bcc: thief@evil.example{break_}{break_}b", "text")
    assert box.tried == ["it@hospital.example"]
    assert box.mails[0]["bcc"] is None
    assert box.mails[0].get_content().strip() == "text"
