"""The outbox and its channels over real wires: mail by SMTP, robots and webhooks by HTTP, on loopback."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from card_usage.alerts.detection import detect_in_fleet
from card_usage.config.connections import Connection
from card_usage.errors import BadConnection, ChannelRefused, MissingSetting
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import outbox as outbox_table
from card_usage.notifications import outbox
from card_usage.notifications.attachments import File
from card_usage.notifications.channel_kinds import KINDS
from card_usage.notifications.channels import send
from card_usage.notifications.chat_robots import cut
from card_usage.notifications.dispatch import dispatch
from hypothesis import given
from hypothesis import strategies as st
from receivers import Mailbox, Webhook
from sqlalchemy import select

NOW = datetime(2026, 3, 5, 1, 0, tzinfo=UTC)
KEY = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"


def mail(box: Mailbox, **extra: Any) -> Connection:
    extra = {"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"} | extra
    return Connection(conn_id="mail", conn_type="smtp", host="127.0.0.1", port=box.port, extra=extra)


def robot(kind: str, hook: Webhook, password: str = KEY, **extra: Any) -> Connection:
    return Connection(conn_id=kind, conn_type="http", host=hook.url, password=password, extra={"kind": kind} | extra)


# -- one message ------------------------------------------------------------------------------------------------------


def test_a_mail_carries_html_its_text_and_attachments(box: Mailbox, tmp_path: Path) -> None:
    report = tmp_path / "日报.html"
    report.write_text("<p>report</p>", encoding="utf-8")
    people = ["it@hospital.example", "head@hospital.example"]
    send(mail(box, to=people), "科室未对照", "**12 笔**", "<b>12 笔</b>", [str(report)])
    assert {message["to"] for message in box.mails} == set(people)
    message = box.mails[0]
    assert message["subject"] == "科室未对照"
    assert message["from"].addresses[0].addr_spec == "alerts@isv.example"
    html, plain = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert "<b>12 笔</b>" in html.get_content()
    assert plain is not None
    assert "12 笔" in plain.get_content()
    assert [part.get_filename() for part in message.walk() if part.get_filename()] == ["日报.html"]


def test_a_mail_without_html_is_plain_text(box: Mailbox) -> None:
    send(mail(box), "subject", "line one\nline <two>")
    assert box.mails[0].get_content_type() == "text/plain"
    assert "line <two>" in box.mails[0].get_content()


def test_wecom_gets_markdown_under_its_key(hook: Webhook) -> None:
    address = f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}"
    for password in (KEY, address):
        send(robot("wecom", hook, password), "科室未对照", "> 12 笔")
    assert [path for path, _ in hook.posts] == [f"/cgi-bin/webhook/send?key={KEY}"] * 2
    assert hook.posts[0][1] == {"msgtype": "markdown", "markdown": {"content": "**科室未对照**\n> 12 笔"}}


def test_dingtalk_gets_signed_markdown(hook: Webhook) -> None:
    send(robot("dingtalk", hook, "a1b2c3", secret="SEC0123"), "标题", "第一行\n第二行")
    ((path, payload),) = hook.posts
    assert path.startswith("/robot/send?access_token=a1b2c3&timestamp=")
    assert "&sign=" in path
    assert payload["msgtype"] == "markdown"
    assert payload["markdown"]["title"] == "标题"
    assert "第一行  \n第二行" in payload["markdown"]["text"]


def test_feishu_gets_a_card(hook: Webhook) -> None:
    address = "https://open.feishu.cn/open-apis/bot/v2/hook/0a-1b"
    send(robot("feishu", hook, address, secret="s"), "标题", "**12 笔**")
    ((path, payload),) = hook.posts
    assert path == "/open-apis/bot/v2/hook/0a-1b"
    assert payload["card"]["header"]["title"]["content"] == "标题"
    assert payload["card"]["elements"][0]["content"] == "**12 笔**"
    assert payload["sign"]


def test_a_webhook_gets_json_at_its_path(hook: Webhook) -> None:
    connection = Connection(conn_id="hook", conn_type="http", host=hook.url, schema="alerts/in")
    send(connection, "标题", "正文")
    ((path, payload),) = hook.posts
    assert path.partition("?")[0] == "/alerts/in"
    assert (payload["title"], payload["message"]) == ("标题", "正文")


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
def test_a_refusal_in_an_answer_of_200_is_a_refusal(kind: str, hook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answer = {"errcode": 45009, "errmsg": "api freq out of limit", "code": 11232, "msg": "frequency limited"}
    password = "a1b2c3" if kind == "dingtalk" else KEY
    with pytest.raises(ChannelRefused, match=r"45009|11232") as refused:
        send(robot(kind, hook, password), "t", "b")
    assert password not in str(refused.value)
    assert password not in caplog.text


def test_a_channel_that_is_down_says_so_plainly_and_keeps_its_address(
    hook: Webhook, box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = 404
    with pytest.raises(ChannelRefused, match="404"):
        send(Connection(conn_id="hook", conn_type="http", host=hook.url, schema="sEcReT"), "t", "b")
    box.refuse = True
    with pytest.raises(ChannelRefused, match="mail"):
        send(mail(box), "t", "b")
    hook.down = True
    with pytest.raises(ChannelRefused, match="RemoteProtocolError"):
        send(robot("wecom", hook), "t", "b")
    assert "sEcReT" not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "connection",
    [
        Connection(conn_id="x", conn_type="mssql", host="db"),
        Connection(conn_id="x", conn_type="wecom", password="no key!"),
        Connection(conn_id="x", conn_type="dingtalk"),
        Connection(conn_id="x", conn_type="smtp", host="mail.example"),
        Connection(conn_id="x", conn_type="apprise", password="nonsense"),
    ],
)
def test_what_is_no_channel_is_said_without_its_password(connection: Connection) -> None:
    with pytest.raises(BadConnection, match="connection 'x'") as bad:
        send(connection, "t", "b")
    assert not connection.password or connection.password not in str(bad.value)


@given(st.text(st.sampled_from("科a\n室"), max_size=400), st.integers(20, 300))
def test_a_text_is_cut_to_bytes_and_never_within_a_character(text: str, most: int) -> None:
    short = cut(text, most)
    assert len(short.encode()) <= most
    assert short == text if len(text.encode()) <= most else short.endswith("……")


PEOPLE = ["it@hospital.example", "left@hospital.example", "head@hospital.example"]


def test_one_dead_mailbox_of_three_is_named_and_the_others_have_the_mail_once(ledger: Ledger, box: Mailbox) -> None:
    box.dead["left@hospital.example"] = "550 5.1.1 no such user"
    fill(ledger, "mail", "mail")
    connection_of = {"mail": mail(box, to=PEOPLE)}.__getitem__
    for minute in range(0, 180, 5):
        posted = dispatch(ledger, connection_of, now=NOW + timedelta(minutes=minute))
        if not minute:
            assert (posted.sent, posted.failed, posted.down) == (2, 0, {})
            assert posted.dead == {"mail": "left@hospital.example: 550 5.1.1 no such user"}
    assert [message["to"] for message in box.mails] == [PEOPLE[0], PEOPLE[2]] * 2
    assert set(statuses(ledger)) == {"sent"}
    with ledger.read() as connection:
        (state,) = outbox.channel_states(connection)
        (condition,) = [one for one in detect_in_fleet(connection, NOW) if one.cause == "mailbox_refused"]
    assert (state.down_since, state.problem) == (None, "left@hospital.example: 550 5.1.1 no such user")
    assert (condition.count, condition.parts) == (1, ("left@hospital.example",))
    # The address is corrected: the next mail ends it.
    fill(ledger, "mail")
    dispatch(ledger, {"mail": mail(box, to=PEOPLE[:1])}.__getitem__, now=NOW + timedelta(hours=4))
    with ledger.read() as connection:
        assert not [one for one in detect_in_fleet(connection, NOW) if one.cause == "mailbox_refused"]


def test_a_mailbox_that_is_busy_gets_the_mail_later_and_no_other_again(ledger: Ledger, box: Mailbox) -> None:
    box.dead["left@hospital.example"] = "450 4.2.1 try again later"
    fill(ledger, "mail")
    connection_of = {"mail": mail(box, to=PEOPLE)}.__getitem__
    for minute in (0, 1, 2, 3):
        assert dispatch(ledger, connection_of, now=NOW + timedelta(minutes=minute)).down == {}
    assert statuses(ledger) == ["waiting"]
    box.dead.clear()
    dispatch(ledger, connection_of, now=NOW + timedelta(minutes=60))
    assert [message["to"] for message in box.mails] == [PEOPLE[0], PEOPLE[2], PEOPLE[1]]
    assert statuses(ledger) == ["sent"]


def test_every_mailbox_dead_is_a_refusal_that_names_them(box: Mailbox) -> None:
    box.dead = dict.fromkeys(PEOPLE, "550 no such user")
    with pytest.raises(ChannelRefused, match=r"no mailbox took it: it@hospital\.example: 550 no such user; left@"):
        send(mail(box, to=PEOPLE), "t", "b")


@pytest.mark.parametrize(
    ("sender", "login", "says"),
    [
        ("", True, r"login refused: 535 .*授权码"),
        ("501 mail from address must be same as authorization user", False, r"sender refused: 501 mail from .*`from`"),
        ("530 authentication required", False, r"login refused: 530 .*授权码"),
        ("553 sender rejected", False, r"sender refused: 553"),
    ],
)
def test_a_refused_login_or_sender_is_said_to_be_one(box: Mailbox, sender: str, login: bool, says: str) -> None:
    box.sender = sender
    connection = mail(box)
    if login:
        connection = replace(connection, login="alerts@isv.example", password="wrong-sEcReT")
    with pytest.raises(ChannelRefused, match=says) as refused:
        send(connection, "t", "b")
    assert "reached" not in str(refused.value)
    assert "sEcReT" not in str(refused.value)


def test_a_right_login_is_taken_and_a_server_that_is_not_there_cannot_be_reached(box: Mailbox) -> None:
    send(replace(mail(box), login="alerts@isv.example", password="right"), "t", "b")
    assert len(box.mails) == 1
    with pytest.raises(ChannelRefused, match=r"the server cannot be reached \(Connection refused\)"):
        send(replace(mail(box), port=1), "t", "b")


def test_a_refusal_with_a_status_of_its_own_keeps_code_and_text(hook: Webhook) -> None:
    hook.status, hook.answer = 400, {"code": 19024, "msg": "Key Words Not Found"}
    with pytest.raises(ChannelRefused, match=r"HTTP 400, code 19024: Key Words Not Found"):
        send(robot("feishu", hook), "t", "b")


def test_a_webhook_gets_the_fields_and_a_file_that_stands_in_the_ledger(ledger: Ledger, hook: Webhook) -> None:
    fields = {"severity": "critical", "count": 12, "incidents": [{"cause": "unmapped_code", "count": 12}]}
    with ledger.write() as connection:
        outbox.enqueue(
            connection,
            "hook",
            "t",
            "b",
            None,
            [File("codes.xlsx", b"\x00PK")],
            fields=fields,
            now=NOW,
            hospital="demo",
            topic="unmapped_code",
        )
    webhook = Connection(conn_id="hook", conn_type="webhook", host=hook.url)
    assert dispatch(ledger, {"hook": webhook}.__getitem__, now=NOW).sent == 1
    ((_, payload),) = hook.posts
    assert payload["hospital"] == "demo"
    assert payload["cause"] == "unmapped_code"
    assert {name: payload[name] for name in fields} == fields
    assert [(one["filename"], base64.b64decode(one["base64"])) for one in payload["attachments"]] == [
        ("codes.xlsx", b"\x00PK")
    ]


# -- the outbox -------------------------------------------------------------------------------------------------------


def statuses(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.scalars(select(outbox_table.c.status).order_by(outbox_table.c.id)))


def fill(ledger: Ledger, *names: str, now: datetime = NOW) -> None:
    with ledger.write() as connection:
        for number, name in enumerate(names):
            outbox.enqueue(connection, name, f"{name} {number}", "text", now=now)


def test_a_channel_that_is_down_for_a_day_loses_nothing_and_delays_no_other(
    ledger: Ledger, hook: Webhook, box: Mailbox
) -> None:
    connections = {"mail": mail(box), "wecom": robot("wecom", hook)}
    hook.down = True
    at = NOW
    for hour in range(24):
        fill(ledger, "wecom", "mail", now=at)
        posted = dispatch(ledger, connections.__getitem__, now=at)
        assert posted.sent == 1, "mail goes at once"
        assert len(box.mails) == hour + 1
        at += timedelta(hours=1)
    assert statuses(ledger).count("waiting") == 24
    with ledger.read() as connection:
        (_, state) = outbox.channel_states(connection)
    assert (state.name, state.waiting, state.down_since) == ("wecom", 24, NOW)
    hook.down = False
    for _ in range(3):
        at += timedelta(minutes=30)
        dispatch(ledger, connections.__getitem__, now=at)
    assert [payload["markdown"]["content"].split("**")[1] for _, payload in hook.posts] == ["wecom 0"] * 24
    assert set(statuses(ledger)) == {"sent"}
    with ledger.read() as connection:
        assert [one.down_since for one in outbox.channel_states(connection)] == [None, None]


def test_messages_arrive_in_order_after_an_outage(ledger: Ledger, hook: Webhook) -> None:
    fill(ledger, *["wecom"] * 9)
    connection_of = {"wecom": robot("wecom", hook)}.__getitem__
    hook.down = True
    for minute in (0, 1, 3, 7, 15):
        assert dispatch(ledger, connection_of, now=NOW + timedelta(minutes=minute)).sent == 0
    hook.down = False
    dispatch(ledger, connection_of, now=NOW + timedelta(minutes=60))
    said = [payload["markdown"]["content"].split("**")[1] for _, payload in hook.posts]
    assert said == [f"wecom {number}" for number in range(9)]


def test_a_message_that_no_channel_takes_does_not_block_the_others(ledger: Ledger, box: Mailbox) -> None:
    with ledger.write() as connection:
        outbox.enqueue(connection, "mail", "poison", "text", attachments=["/no/such/file"], now=NOW)
        outbox.enqueue(connection, "mail", "well", "text", now=NOW)
    posted = dispatch(ledger, {"mail": mail(box)}.__getitem__, now=NOW)
    assert (posted.sent, posted.failed, posted.down) == (1, 1, {})
    assert [message["subject"] for message in box.mails] == ["well"]


def test_a_resting_channel_is_left_alone_longer_each_time(ledger: Ledger, hook: Webhook) -> None:
    fill(ledger, "wecom")
    connection_of = {"wecom": robot("wecom", hook)}.__getitem__
    hook.status = 500
    for minute in range(64):
        dispatch(ledger, connection_of, now=NOW + timedelta(minutes=minute))
    # At minutes 0, 1, 3, 7, 15, 31 and 61.
    assert len(hook.raw) == 7


def test_what_waits_too_long_expires_and_is_counted(ledger: Ledger, hook: Webhook) -> None:
    fill(ledger, "wecom")
    hook.status = 500
    connection_of = {"wecom": robot("wecom", hook)}.__getitem__
    assert dispatch(ledger, connection_of, now=NOW).expired == 0
    assert dispatch(ledger, connection_of, now=NOW + outbox.LIFE).expired == 1
    assert statuses(ledger) == ["expired"]
    dispatch(ledger, connection_of, now=NOW + outbox.KEEP + timedelta(days=1))
    assert statuses(ledger) == []


def test_a_channel_without_a_connection_is_down_and_keeps_its_messages(ledger: Ledger) -> None:
    def nothing(conn_id: str) -> Connection:
        raise MissingSetting(setting=f"AIRFLOW_CONN_{conn_id.upper()}", purpose="alerts")

    fill(ledger, "gone")
    assert list(dispatch(ledger, nothing, now=NOW).down) == ["gone"]
    assert statuses(ledger) == ["waiting"]


def test_two_senders_do_not_send_on_one_channel_at_a_time(ledger: Ledger) -> None:
    fill(ledger, "wecom")
    with ledger.write() as connection:
        assert outbox.lease(connection, "wecom", NOW)
        assert not outbox.lease(connection, "wecom", NOW + timedelta(minutes=9))
        assert outbox.due_channels(connection, NOW) == []
        # The first one died: its lease ends.
        assert outbox.lease(connection, "wecom", NOW + outbox.LEASE)


# -- kinds ------------------------------------------------------------------------------------------------------------


def test_a_kind_of_channel_is_added_by_its_declaration_and_perhaps_a_robot() -> None:
    folders = [SHIPPED / "card_usage", SHIPPED.parent / "plugins"]
    sources = {path: path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")}
    for kind in KINDS:
        if kind != "apprise":  # the library's own name
            naming = [path.name for path, source in sources.items() if f'"{kind}"' in source]
            assert naming == ["channel_kinds.py"], kind
