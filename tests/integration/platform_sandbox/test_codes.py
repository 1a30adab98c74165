"""Every result code that a report can be answered with, provoked over real HTTP; the others: test_every_code.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import platform_sandbox
import pytest
from platform_caller import BY_ID_CARD, REPORT_PATH, Caller, Clock, result
from platform_sandbox import App, Config, RunningSandbox, codes

Provocation = Callable[[Caller, RunningSandbox], int]


def _post(body: bytes) -> Provocation:
    return lambda isv, _: result(isv.post(REPORT_PATH, body))


def _report(**changes: Any) -> Provocation:
    return lambda isv, _: isv.report(**changes)


def _repeated(isv: Caller, _: RunningSandbox) -> int:
    assert isv.report("1") == 0
    return isv.report("1")


def _past_limit(limit: str) -> Provocation:
    def provoke(_: Caller, __: RunningSandbox) -> int:
        config = Config(clock=Clock(), **{limit: 2}, not_live=frozenset({"10086"}))
        with platform_sandbox.serve(config) as strict, Caller(strict.url) as isv:
            isv.get_token()
            assert isv.report() == 0
            return max(isv.report() for _ in range(2))

    return provoke


def _expired(_: Caller, __: RunningSandbox) -> int:
    clock = Clock()
    with platform_sandbox.serve(Config(clock=clock)) as old, Caller(old.url) as isv:
        isv.get_token()
        clock.move(hours=3)
        return isv.report()


def _busy(code: int) -> Provocation:
    def provoke(isv: Caller, sandbox: RunningSandbox) -> int:
        isv.get_token()
        sandbox.faults(busy=1.0)
        return code if code in {isv.report() for _ in range(100)} else 0

    return provoke


PROVOKED: dict[int, Provocation] = {
    0: _report(),
    10002: _post(b'{"commonIn": {"requestId": "1"}}'),
    10003: _post(b'{"req": {"a": "1"}}'),
    10013: _report(name=""),
    10014: _report(idCardNumber=""),
    10018: _report(cardType="11"),
    10034: _past_limit("quota"),
    10037: _report(request_id="x" * 513),
    10042: _report(scene=""),
    10051: _report(time="2026"),
    10054: _repeated,
    20001: _post(b"{"),
    20002: _report(common={"timestamp": ""}),
    20004: _post(b" " * 1_100_000),
    21001: _report(common={"appToken": ""}),
    21002: lambda isv, _: isv.get_token(appId="x")["commonOut"]["resultCode"],
    21003: _expired,
    21004: _report(common={"appToken": "x"}),
    21005: _report(common={"hospitalId": "20000"}),
    21006: lambda isv, _: result(isv.post(REPORT_PATH, isv.report_body(BY_ID_CARD, sign="x"))),
    21007: _past_limit("rate_limit"),
    **{code: _busy(code) for code in codes.BUSY},
}


@pytest.mark.parametrize("code", PROVOKED)
def test_every_result_code_of_a_report_can_be_provoked(code: int) -> None:
    apps = (
        App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086",)),
        App(app_id="other-app", app_secret="other-secret", hospitals=("20000",)),
    )
    with platform_sandbox.serve(Config(apps=apps)) as sandbox, Caller(sandbox.url) as caller:
        assert PROVOKED[code](caller, sandbox) == code
