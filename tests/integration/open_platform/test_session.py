"""A session shares the ledger's token and quota with everybody else who calls under this appId."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import platform_sandbox
import pytest
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.errors import CallRefused, RequestRefused
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.open_platform.blocking import blocking
from card_usage.open_platform.session import opened
from card_usage.platform.outcome import Answer
from card_usage.standard.code_tables import load_tables
from messages import REQUESTS
from platform_sandbox import Config, Faults

TABLES = load_tables()
USE = REQUESTS["reportHISData"]


@pytest.fixture
def sandbox() -> Iterator[platform_sandbox.RunningSandbox]:
    with platform_sandbox.serve(Config(not_live=frozenset({"10086"}), quota=5)) as running:
        yield running


@pytest.fixture
def hospital() -> Hospital:
    hospital = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    limits = {"live": False, "daily_quota": 5, "hospital_id": "10086", "call_timeout_seconds": 2}
    return hospital.model_copy(update={"platform": hospital.platform.model_copy(update=limits)})


def connection(url: str, secret: str = "demo-app-secret") -> Connection:  # noqa: S107 - the sandbox's
    return Connection(conn_id="platform", conn_type="http", host=url, login="demo-app-id", password=secret)


def test_sessions_one_after_the_other_take_the_same_token(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    for _ in range(2):
        with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
            answered = platform.call(USE)
            assert answered.reply.answer is Answer.ACCEPTED
            assert (answered.meaning, answered.result().none) == ("请求成功", "")
    assert sandbox.counts()["tokens_issued"] == 1


def test_a_token_that_was_lost_is_renewed_once(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
        platform.call(USE).result()
        sandbox.evict()
        platform.call(replace(USE, time="2026-03-02 09:15:00")).result()
    assert sandbox.counts()["accepted"] == 2
    assert sandbox.counts()["tokens_issued"] == 2


def test_a_call_beyond_the_quota_is_not_made(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
        uses = [platform.call(replace(USE, time=f"2026-03-02 10:00:{second:02}")) for second in range(6)]
    assert [use.reply.answer for use in uses] == [Answer.ACCEPTED] * 5 + [Answer.QUOTA]
    assert uses[5].meaning == "own count"
    assert sandbox.counts()["by_interface"] == {"getAppToken": 1, "reportHISData": 5}
    with pytest.raises(CallRefused, match="own count"):
        uses[5].result()


def test_a_wrong_request_never_leaves(embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox):
    with (
        blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform,
        pytest.raises(RequestRefused, match=r"reportHISData: nothing was sent, 1 parameters are wrong: scene"),
    ):
        platform.call(replace(USE, scene="挂号"))
    assert sandbox.counts()["calls"] == 0


def test_nobody_fetches_a_token_past_the_shared_one(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    with (
        blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform,
        pytest.raises(RequestRefused, match="one for all who share the appId"),
    ):
        platform.call(REQUESTS["getAppToken"])


def test_a_wrong_secret_is_said_and_not_raised(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    wrong = connection(sandbox.url, secret="wrong")
    with blocking(embedded, hospital, connection=wrong, tables=TABLES) as platform:
        answered = platform.call(USE)
    assert (answered.reply.answer, answered.reply.result_code) == (Answer.MISCONFIGURED, 21006)
    assert answered.meaning == "签名错误"


def test_a_use_whose_answer_was_lost_is_sent_again_under_the_same_id_only(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    async def run() -> None:
        async with opened(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
            sandbox.faults(drop_after=1.0)
            lost = await platform.call(USE)
            assert lost.reply.answer is Answer.NO_ANSWER
            sandbox.calm()
            again = await platform.call(USE, request_id=lost.request_id, tries=2)
            assert (again.reply.answer, again.rsp) == (Answer.REPEATED, None)

    asyncio.run(run())
    assert sandbox.counts()["doubled"] == 0


def test_a_request_id_of_a_callers_own_may_have_small_letters(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
        answers = [platform.call(USE, request_id="a1b2-c3").reply.answer for _ in range(2)]
    assert answers == [Answer.ACCEPTED, Answer.REPEATED]


def test_a_request_id_of_a_callers_own_is_never_replaced(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
        platform.call(USE)
        sandbox.evict()
        answered = platform.call(USE, request_id="A1")
    assert answered.request_id == "A1"
    assert "A1" in [record.request_id for record in sandbox.accepted()]


def test_tries_repeat_a_call_that_was_not_answered(
    embedded: Ledger, hospital: Hospital, sandbox: platform_sandbox.RunningSandbox
):
    sandbox.faults(**Faults(lost=0.6).as_dict())
    with blocking(embedded, hospital, connection=connection(sandbox.url), tables=TABLES) as platform:
        platform.call(USE, tries=5)
    assert sandbox.counts()["doubled"] == 0
