"""Strange answers by the million: what the reader makes of each is compared with a slow reading of its own.

python -m tests.fuzz_answers --answers 1000000 --seed 1

A share are answers as the document has them; the others have one or more places replaced by a value that a loose
reader takes for a number, or bytes cut, doubled or exchanged. Every answer goes through read_reply, and through the
reading of a token; every hundredth also through the coding of its content, and a Date header through read_date.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import zlib
from collections import Counter
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from card_usage.platform.client import Grant, _read_grant
from card_usage.platform.outcome import Answer, classify
from card_usage.platform.reader import ANSWER_BYTES, LARGEST_INTEGER, Unreadable, decoded, read_date, read_reply

REQUEST_ID = "0F" * 16
_CODES = (0, 0, 0, 10054, 10034, 21004, 21007, -1, -2, -110086, 424242)
_STRANGE: tuple[Any, ...] = (
    *(False, True, None, 0.0, -0.0, 0.5, -0.9, 1e20, float("inf"), float("-inf"), float("nan")),
    *("0", "-0", "00", " 0", "0 ", "+0", "0.0", "", "-", "²", "٠", "０", "1_0", "0x0", "Infinity", "null", "false"),
    *(2**31, -(2**31), 2**31 - 1, 2**63, 10**30, "4294967296", "9" * 5000, [], [0], {}, {"code": 0}, "\ud800", "\x00"),
)
_DATES = (
    *("Mon, 02 Mar 2026 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +1400", "", "0"),
    *("Mon, 02 Mar 99999999999999999999 00:00:00 GMT", "Mon, 02 Mar 2026 00:00:00 +9999999999", "Mon, 30 Feb 2026"),
    *("Sunday, 06-Nov-94 08:49:37 GMT", "Mon, 02 Mar 2026 25:61:61 GMT", "\x00, ² Mar 2026 00:00:00 -0000"),
)


def _envelope(random: Random) -> dict[str, Any]:
    code: Any = random.choice(_CODES)
    envelope: dict[str, Any] = {
        "commonOut": {"requestId": REQUEST_ID, "resultCode": code, "errMsg": ""},
        "rsp": {"appToken": "T" * 32, "expiresIn": 7200},
    }
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        place, name = random.choice(
            [("commonOut", "resultCode")] * 4
            + [
                ("commonOut", "requestId"),
                ("rsp", "appToken"),
                ("rsp", "expiresIn"),
                ("rsp", "resultCode"),
                ("", "commonOut"),
                ("", "rsp"),
            ]
        )
        within = envelope.get(place) if place else envelope
        if isinstance(within, dict):
            if random.random() < 0.1:
                within.pop(name, None)
            else:
                strange = random.random() < 0.5 or name != "resultCode"
                within[name] = deepcopy(random.choice(_STRANGE)) if strange else random.choice(_CODES)
    return envelope


def _body(random: Random) -> bytes:
    draw = random.random()
    if draw < 0.002:
        depth = random.choice((500, 5_000, 60_000))
        nested = "[" * depth + ("]" * depth if random.random() < 0.5 else "")
        return f'{{"commonOut":{{"resultCode":0,"requestId":"{REQUEST_ID}","errMsg":{nested}}}}}'.encode()
    body = json.dumps(_envelope(random), ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if draw < 0.1:  # damage
        at, length = random.randrange(len(body) + 1), random.randrange(8)
        body = body[:at] + random.choice((b"", random.randbytes(length), body[at : at + length] * 2)) + body[at:]
        body = body[: random.randrange(len(body) + 1)] if random.random() < 0.3 else body
    return body


def _expected(body: bytes) -> tuple[Answer, int | None]:
    """Another reading of an answer under HTTP 200: by text and exact types."""
    nothing = Answer.NO_ANSWER, None
    try:
        common = json.loads(body)["commonOut"]
        code, echoed = _whole(common["resultCode"]), common.get("requestId")
        rsp = json.loads(body).get("rsp")
        inner = rsp.get("resultCode") if type(rsp) is dict and code == 0 else None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
        return nothing
    inner = None if inner is None else _whole(inner)
    if inner == "none" or code == "none" or type(echoed) not in {str, type(None)}:
        return nothing
    answer = classify(code)
    if inner:
        code, answer = inner, classify(inner)
        if answer in {Answer.TOKEN, Answer.QUOTA, Answer.THROTTLED, Answer.MISCONFIGURED}:
            answer = Answer.UNLISTED
    if (echoed or "").upper() == REQUEST_ID or (not echoed and answer not in {Answer.ACCEPTED, Answer.REPEATED}):
        return answer, code
    return nothing


def _whole(value: Any) -> Any:
    """A whole number of 32 bits, or 'none'."""
    if type(value) is str:
        digits = value.removeprefix("-")
        if not digits or len(digits) > 10 or set(digits) - set("0123456789"):
            return "none"
        value = int(value)
    return value if type(value) is int and abs(value) <= LARGEST_INTEGER else "none"


def fuzz(answers: int, seed: int) -> Counter[str]:
    """Read so many strange answers; how many came out as what. Raises AssertionError, or what the reader raises."""
    random, outcomes = Random(seed), Counter[str]()
    for number in range(answers):
        body = _body(random)
        reply, rsp = read_reply(200, body, REQUEST_ID)
        assert (reply.answer, reply.result_code) == _expected(body), (number, body)
        assert len(reply.detail) <= 64, (number, body)
        outcomes[reply.answer.value] += 1
        grant = _read_grant(rsp, reply)
        if isinstance(grant, Grant):
            grant.token.encode()
            assert type(grant.expires_in) is int, (number, body)
            assert datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=grant.expires_in)
            outcomes["a token"] += 1
        else:
            assert len(grant.detail) <= 64, (number, body)
        if number % 100 == 0:
            _try_coding(random, body)
            _try_date(random)
    return outcomes


def _try_coding(random: Random, body: bytes) -> None:
    content = random.choice((gzip.compress, zlib.compress, bytes))(body * random.choice((1, 1, 1000)))
    if random.random() < 0.5:
        content = content[: random.randrange(len(content) + 1)]
    with suppress(Unreadable):
        assert len(decoded(content, random.choice(("gzip", "deflate", "br", " GZIP ")))) <= ANSWER_BYTES


def _try_date(random: Random) -> None:
    header = list(random.choice(_DATES))
    for _ in range(random.randrange(4)):
        header.insert(random.randrange(len(header) + 1), random.choice("0129 ,:+-GMT²\x00\ud800"))
    moment = read_date("".join(header))
    assert moment is None or moment + timedelta(days=2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_answers", description=__doc__)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.perf_counter()
    outcomes = fuzz(args.answers, args.seed)
    print(f"{args.answers:,} answers read in {time.perf_counter() - began:.0f} s, none raised, none was misread")
    for outcome, count in outcomes.most_common():
        print(f"  {outcome:<14} {count:>9,}")


if __name__ == "__main__":
    main()
