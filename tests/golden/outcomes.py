"""What an answer means after any history of answers, and what an HTTP answer proves."""

from __future__ import annotations

import json
from itertools import combinations_with_replacement
from typing import Any

from card_usage.platform.outcome import Answer, Memory, Outcome, result_classes, settle
from card_usage.platform.reader import read_reply

from golden.written import Listing

_ID = "A" * 32


def _after(history: tuple[Answer, ...]) -> dict[str, str]:
    """What each answer then means: where ids are known to be remembered on acceptance, and where it differs else."""
    meanings = {}
    for answer in Answer:
        proving, unknown, on_sight = (
            _named(settle(history, answer, memory))
            for memory in (Memory.ON_ACCEPTANCE, Memory.UNKNOWN, Memory.ON_SIGHT)
        )
        assert unknown == on_sight
        meanings[answer.value] = proving if proving == unknown else f"{proving}; else {unknown}"
    return meanings


def _named(outcome: Outcome) -> str:
    return f"{outcome.status}, {outcome.step.value}{', new id' if outcome.new_id else ''}"


def _read(status: int, body: bytes) -> str:
    reply, _ = read_reply(status, body, _ID)
    return f"{reply.answer.value}, code {reply.result_code}, http {reply.http_status}, {reply.detail!r}"


def _envelope(code: Any, request_id: str = _ID, rsp: Any = None) -> bytes:
    common = {"requestId": request_id, "resultCode": code, "errMsg": ""}
    return json.dumps({"commonOut": common, "rsp": rsp or {}}).encode()


def compute() -> dict[str, Any]:
    """By topic, what is decided."""
    histories = {n: list(combinations_with_replacement(Answer, n)) for n in range(4)}
    bodies = {
        "accepted": _envelope(0),
        "accepted without an id": _envelope(0, ""),
        "accepted for another": _envelope(0, "B" * 32),
        "token, without an id": _envelope(21004, ""),
        "busy": _envelope(-1),
        "accepted, and refused behind it": _envelope(0, rsp={"resultCode": -1}),
        "accepted, and so behind it": _envelope(0, rsp={"resultCode": "0"}),
        "a code that is text": _envelope("10034"),
        "a code that nobody knows": _envelope(424242),
        "no JSON": b"<html>",
        "nothing": b"",
    }
    statuses = (200, 204, 301, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504)
    return {
        "outcomes": {
            "after no answer": _after(()),
            "after one answer": {history[0].value: _after(history) for history in histories[1]},
            **{
                f"after {n} answers": Listing(
                    [{"history": [one.value for one in history], **_after(history)} for history in histories[n]]
                )
                for n in (2, 3)
            },
            "classes of result codes": {str(code): answer.value for code, answer in result_classes().items()},
            "http 200": {name: _read(200, body) for name, body in bodies.items()},
            "http with an acceptance": {str(status): _read(status, _envelope(0)) for status in statuses},
        }
    }
