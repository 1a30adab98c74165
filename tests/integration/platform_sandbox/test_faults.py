"""The sandbox's bad days, as a real client meets them, and what the platform had done by then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import platform_sandbox
import pytest
from cases import every_case
from platform_caller import Caller, result
from platform_sandbox import Config, Faults, RunningSandbox, codes
from platform_sandbox.faults import SHARES, Dice, FaultError

LOST = (httpx.NetworkError, httpx.RemoteProtocolError)


@pytest.fixture
def caller(sandbox: RunningSandbox) -> Iterator[Caller]:
    with Caller(sandbox.url) as calling:
        calling.get_token()
        yield calling


def struck(sandbox: RunningSandbox) -> object:
    return sandbox.counts()["faults"]


def test_drop_before_closes_the_connection_and_nothing_was_done(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(drop_before=1.0)
    with pytest.raises(LOST):
        caller.send("R1")
    sandbox.calm()
    assert sandbox.accepted() == []
    assert struck(sandbox) == {"drop_before": 1}
    assert caller.report("R1") == 0


def test_drop_after_closes_the_connection_and_the_event_was_accepted(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(drop_after=1.0)
    with pytest.raises(LOST):
        caller.send("R1")
    sandbox.calm()
    assert [record.request_id for record in sandbox.accepted()] == ["R1"]
    assert caller.report("R1") == 10054


def test_drop_after_does_not_accept_what_is_wrong(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(drop_after=1.0)
    with pytest.raises(LOST):
        caller.send("R1", name="")
    assert sandbox.accepted() == []


@pytest.mark.parametrize(("fault", "status"), [("http_500", 500), ("html", 200)])
def test_a_page_instead_of_an_answer_means_that_nothing_was_done(
    sandbox: RunningSandbox, caller: Caller, fault: str, status: int
) -> None:
    sandbox.faults(**{fault: 1.0})
    response = caller.send("R1")
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert response.text.startswith("<html>")
    sandbox.calm()
    assert sandbox.accepted() == []
    assert caller.report("R1") == 0


@pytest.mark.parametrize(("fault", "status"), [("gateway_403", 403), ("gateway_429", 429), ("gateway_503", 503)])
def test_a_gateway_answers_by_a_mere_status_though_the_event_was_accepted(
    sandbox: RunningSandbox, caller: Caller, fault: str, status: int
) -> None:
    sandbox.faults(**{fault: 1.0})
    assert caller.send("R1").status_code == status
    assert caller.send("R2", name="").status_code == status
    sandbox.calm()
    assert [record.request_id for record in sandbox.accepted()] == ["R1"]
    assert caller.report("R1") == 10054
    assert caller.report("R2") == 0


@pytest.mark.parametrize(("repeat", "again"), [("accepted", 0), ("seen", 10054), ("gate", 10054)])
def test_what_is_lost_before_it_is_accepted_was_seen_all_the_same(repeat: str, again: int) -> None:
    with platform_sandbox.serve(Config(repeat=repeat)) as sandbox, Caller(sandbox.url) as caller:
        sandbox.faults(lost=1.0)
        with pytest.raises(LOST):
            caller.send("R1")
        sandbox.faults(lost=0.0, lost_503=1.0)
        assert caller.send("R2").status_code == 503
        sandbox.calm()
        assert sandbox.accepted() == []
        assert struck(sandbox) == {"lost": 1, "lost_503": 1}
        assert [caller.report("R1"), caller.report("R2")] == [again, again]


def test_a_truncated_answer_is_no_json_though_the_event_was_accepted(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(truncated=1.0)
    response = caller.send("R1")
    assert response.status_code == 200
    assert response.text.startswith('{"commonOut"')
    with pytest.raises(ValueError, match=r"."):
        response.json()
    assert len(sandbox.accepted()) == 1


def test_a_wrong_request_id_is_echoed_though_the_event_was_accepted(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(wrong_request_id=1.0)
    common = caller.send("R1").json()["commonOut"]
    assert common["resultCode"] == 0
    assert common["requestId"] not in ("R1", "")
    assert [record.request_id for record in sandbox.accepted()] == ["R1"]


def test_busy_gives_every_code_of_its_kind_and_accepts_nothing(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(busy=1.0)
    assert {caller.report() for _ in range(100)} == set(codes.BUSY)
    assert sandbox.accepted() == []


def test_refuse_is_10042_and_accepts_nothing(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(refuse=1.0)
    assert caller.report("R1") == 10042
    sandbox.calm()
    assert caller.report("R1") == 0


def test_a_slow_answer_comes_after_the_client_gave_up_and_the_event_was_accepted(
    sandbox: RunningSandbox, caller: Caller
) -> None:
    sandbox.faults(slow=1.0, slow_ms=30_000)
    caller.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        caller.send("R1")
    sandbox.calm()
    assert caller.report("R1") == 10054


def test_latency_and_jitter_delay_every_answer(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(latency_ms=60)
    begin = time.perf_counter()
    assert caller.report() == 0
    assert caller.get_token()["commonOut"]["resultCode"] == 0
    assert 0.12 <= time.perf_counter() - begin < 1
    dice = Dice(Faults(latency_ms=20, jitter_ms=10), seed=1)
    delays = [dice.delay() for _ in range(200)]
    assert 0.020 <= min(delays) < 0.022
    assert 0.028 < max(delays) <= 0.030


def test_calls_wait_side_by_side(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(latency_ms=150)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(caller.report())) for _ in range(8)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [0] * 8
    assert time.perf_counter() - begin < 0.6


def test_an_outage_is_503_for_everything_but_the_administration(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(outage=True)
    assert caller.send("R1").status_code == 503
    assert caller.http.get("/sandbox/health").json()["outage"] is True
    sandbox.faults(outage=False)
    assert caller.report("R1") == 0


def test_somebody_else_takes_the_token_after_every_so_many_calls(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(evict_every=3)
    assert [caller.report() for _ in range(5)] == [0, 0, 0, 21004, 21004]
    caller.get_token()
    assert [caller.report() for _ in range(4)] == [0, 0, 0, 21004]
    counts = sandbox.counts()
    assert (counts["tokens_issued"], counts["tokens_evicted"]) == (2, 2)


def test_a_token_can_be_taken_by_hand(sandbox: RunningSandbox, caller: Caller) -> None:
    assert caller.http.post("/sandbox/evict").json() == {"evicted": 1}
    assert caller.report() == 21004
    caller.get_token()
    assert caller.http.post("/sandbox/evict", json={"app_id": "demo-app-id"}).json() == {"evicted": 1}
    assert caller.report() == 21004
    assert caller.http.post("/sandbox/evict", json={"app_id": "nobody"}).status_code == 400
    assert sandbox.counts()["tokens_evicted"] == 2


def test_token_calls_are_spared_unless_asked_for(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(http_500=1.0)
    assert caller.get_token()["commonOut"]["resultCode"] == 0
    sandbox.faults(http_500=0, busy=1.0, on_token=True)
    token = caller.token
    assert caller.get_token()["commonOut"]["resultCode"] in codes.BUSY
    assert caller.token == token


def test_a_lost_token_answer_leaves_the_old_token_dead(sandbox: RunningSandbox, caller: Caller) -> None:
    sandbox.faults(drop_after=1.0, on_token=True)
    with pytest.raises(LOST):
        caller.get_token()
    sandbox.calm()
    assert caller.report() == 21004


# Choosing them


def test_shares_are_kept_and_a_seed_repeats_itself() -> None:
    faults = Faults(drop_before=0.1, busy=0.2, slow=0.05)
    first, again, other = (
        [dice.strike() for _ in range(20_000)] for dice in (Dice(faults, 5), Dice(faults, 5), Dice(faults, 6))
    )
    assert first == again != other
    shares = {fault: first.count(fault) / len(first) for fault in ("drop_before", "busy", "slow", None)}
    assert shares == pytest.approx({"drop_before": 0.1, "busy": 0.2, "slow": 0.05, None: 0.65}, abs=0.01)


def test_the_same_seed_strikes_the_same_calls_over_http() -> None:
    def answers() -> list[int]:
        config = Config(seed=7, faults=Faults(busy=0.3, refuse=0.3))
        with platform_sandbox.serve(config) as running, Caller(running.url) as isv:
            return [isv.report() for _ in range(40)]

    first = answers()
    assert first == answers()
    assert {0, 10042} < set(first)


def test_faults_are_set_read_and_cleared_at_run_time(sandbox: RunningSandbox, caller: Caller) -> None:
    http = caller.http
    assert http.post("/sandbox/faults", json={"busy": 0.25, "latency_ms": 5}).json()["busy"] == 0.25
    changed = http.post("/sandbox/faults", json={"refuse": 0.5}).json()
    assert (changed["busy"], changed["refuse"], changed["latency_ms"]) == (0.25, 0.5, 5)
    assert http.get("/sandbox/faults").json() == changed == sandbox.faults().as_dict()
    assert http.delete("/sandbox/faults").json() == Faults().as_dict()
    assert http.put("/sandbox/faults").status_code == 405
    assert http.get("/sandbox/nothing").status_code == 404
    assert http.post("/sandbox/faults", content=b"[1]").status_code == 400


WRONG: list[tuple[dict[str, Any], str]] = [
    *(({share: value}, share) for share in SHARES for value in (-0.1, 1.1)),
    ({"busy": "0.1"}, "busy"),
    ({"busy": True}, "busy"),
    ({"busy": float("nan")}, "busy"),
    ({"busy": None}, "busy"),
    ({"busy": 0.6, "slow": 0.6}, "1.2"),
    ({"latency_ms": -1}, "latency_ms"),
    ({"jitter_ms": 1e9}, "jitter_ms"),
    ({"slow_ms": -1}, "slow_ms"),
    ({"evict_every": -1}, "evict_every"),
    ({"evict_every": 1.5}, "evict_every"),
    ({"outage": 1}, "outage"),
    ({"on_token": "yes"}, "on_token"),
    ({"bussy": 0.1}, "bussy"),
]


def test_an_impossible_fault_is_named_and_changes_nothing() -> None:
    with every_case() as case:
        for changes, named in WRONG:
            with case(changes, named), pytest.raises(FaultError, match=named):
                Faults().changed(changes)


def test_an_impossible_fault_is_400_over_http_and_changes_nothing(sandbox: RunningSandbox, caller: Caller) -> None:
    response = caller.http.post("/sandbox/faults", json={"busy": 0.7, "slow": 0.7})
    assert (response.status_code, response.json()) == (
        400,
        {"error": "the shares of the faults add up to 1.4, at most 1"},
    )
    assert sandbox.faults() == Faults()
    with pytest.raises(FaultError, match="busy"):
        sandbox.faults(busy=2)
    assert result(caller.send()) == 0


def test_a_sandbox_stops_at_once_even_with_slow_answers_under_way() -> None:
    lost: list[Exception] = []

    def wait_for_an_answer(url: str) -> None:
        try:
            with Caller(url) as isv:
                isv.send()
        except LOST as loss:
            lost.append(loss)

    with platform_sandbox.serve(Config(faults=Faults(slow=1.0))) as running:
        waiting = threading.Thread(target=wait_for_an_answer, args=(running.url,))
        waiting.start()
        for _ in range(500):
            if running.accepted():
                break
            time.sleep(0.01)
        begin = time.perf_counter()
    took = time.perf_counter() - begin
    waiting.join()
    assert len(lost) == 1
    assert took < 0.2
