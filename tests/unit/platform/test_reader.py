"""The reader: strict types and bounds at the door; nothing that comes raises."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from card_usage.platform.client import Grant, _read_grant
from card_usage.platform.outcome import Answer, Reply
from card_usage.platform.reader import ANSWER_BYTES, Unreadable, decoded, read_date, read_reply
from fuzz_answers import fuzz

REQUEST_ID = "A" * 32
ACCEPTED = Reply(Answer.ACCEPTED, 0, 200)


def read(result_code: str) -> Reply:
    """The reply to an answer with this JSON as its result code."""
    body = f'{{"commonOut":{{"requestId":"{REQUEST_ID}","resultCode":{result_code}}},"rsp":{{}}}}'
    return read_reply(200, body.encode(), REQUEST_ID)[0]


@pytest.mark.parametrize(("text", "code"), [("0", 0), ('"0"', 0), ("10054", 10054), ('"-10017"', -10017), ("-1", -1)])
def test_a_code_is_a_whole_number_or_its_digits_as_text(text: str, code: int) -> None:
    assert read(text).result_code == code


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("false", "resultCode is false"),
        ("true", "resultCode is true"),
        ("null", "resultCode is null"),
        ("0.0", "resultCode is 0.0"),
        ("0.5", "resultCode is 0.5"),
        ("-0.9", "resultCode is -0.9"),
        ("1e20", "resultCode is 1e+20"),
        ("Infinity", "resultCode is Infinity"),
        ("NaN", "resultCode is NaN"),
        ('"\u00b2"', 'resultCode is "\\u00b2"'),
        ('"\uff10"', 'resultCode is "\\uff10"'),
        ('" 0"', 'resultCode is " 0"'),
        ('""', 'resultCode is ""'),
        ("2147483648", "resultCode is 2147483648"),
        ("-2147483648", "resultCode is -2147483648"),
        ("1" * 400, "resultCode is a huge number"),
        ("1" * 5000, "unreadable"),
        ('"no such thing as a code"', "resultCode is a text of 23 characters"),
        ("[0]", "resultCode is a list"),
        ('{"code":0}', "resultCode is an object"),
        ("[" * 5000 + "]" * 5000, "unreadable"),
        ("[" * 60000, "unreadable"),
    ],
)
def test_what_is_no_code_makes_the_answer_unreadable_and_is_named(text: str, detail: str) -> None:
    assert read(text) == Reply(Answer.NO_ANSWER, None, 200, detail)


@pytest.mark.parametrize("echoed", ["1", "true", "[]", "{}", "[" * 400 + "]" * 400])
def test_a_request_id_that_is_no_text_is_nobodys(echoed: str) -> None:
    body = f'{{"commonOut":{{"requestId":{echoed},"resultCode":0}}}}'
    assert read_reply(200, body.encode(), REQUEST_ID)[0].answer is Answer.NO_ANSWER


def test_a_status_that_is_none_is_not_kept() -> None:
    assert read_reply(99999, b"", REQUEST_ID)[0] == Reply(Answer.NO_ANSWER, None, None, "no http status")


@pytest.mark.parametrize(
    ("rsp", "detail"),
    [
        ({"appToken": "t", "expiresIn": None}, "expiresIn is null"),
        ({"appToken": "t", "expiresIn": True}, "expiresIn is true"),
        ({"appToken": "t", "expiresIn": "\u00b2"}, 'expiresIn is "\\u00b2"'),
        ({"appToken": "t", "expiresIn": 1e20}, "expiresIn is 1e+20"),
        ({"appToken": "t", "expiresIn": 10**30}, "expiresIn is a huge number"),
        ({"appToken": "t", "expiresIn": 0}, "expiresIn is 0"),
        ({"appToken": "t", "expiresIn": -5}, "expiresIn is -5"),
        ({"appToken": "", "expiresIn": 7200}, "appToken is no text"),
        ({"appToken": 7, "expiresIn": 7200}, "appToken is no text"),
        ({"appToken": "secret\ud800", "expiresIn": 7200}, "appToken has a bad character"),
        ({"appToken": "secret\x00", "expiresIn": 7200}, "appToken has a bad character"),
        ({}, "appToken is no text"),
    ],
)
def test_what_is_no_token_says_what_came_and_never_the_token(rsp: dict[str, Any], detail: str) -> None:
    assert _read_grant(rsp, ACCEPTED) == Reply(Answer.NO_ANSWER, 0, 200, detail)


@pytest.mark.parametrize(("life", "seconds"), [(7200, 7200), ("7200", 7200), (1, 1)])
def test_a_token_has_a_life_in_seconds_and_the_documents_where_it_names_none(life: object, seconds: int) -> None:
    assert _read_grant({"appToken": "t", "expiresIn": life}, ACCEPTED) == Grant("t", seconds)
    assert _read_grant({"appToken": "t"}, ACCEPTED) == Grant("t", 7200)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "soon",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Fri, 31 Dec 9999 23:59:59 -1200",
            "Mon, 01 Jan 1900 00:00:00 GMT",
        ),
        *("Mon, 02 Mar 99999999999999999999 00:00:00 GMT", "Mon, 02 Mar 2026 00:00:00 +9999999999", "\ud800"),
    ],
)
def test_what_is_no_date_is_no_clock(header: str) -> None:
    assert read_date(header) is None


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000", ""])
def test_a_date_is_in_utc_unless_it_says_otherwise(zone: str) -> None:
    assert read_date(f"Mon, 02 Mar 2026 00:00:00 {zone}") == datetime(2026, 3, 2, tzinfo=UTC)
    assert read_date("Mon, 02 Mar 2026 08:00:00 +0800") == datetime(2026, 3, 2, tzinfo=UTC)


def test_no_more_than_the_limit_is_decompressed() -> None:
    bomb = b" " * 20_000_000
    for content, coding in ((gzip.compress(bomb), "gzip"), (zlib.compress(bomb), "deflate")):
        assert len(content) < ANSWER_BYTES
        with pytest.raises(Unreadable, match="too long"):
            decoded(content, coding)
    full = json.dumps("x" * (ANSWER_BYTES - 2)).encode()
    assert decoded(gzip.compress(full), "gzip") == full


def test_a_bounded_share_of_a_million_strange_answers_is_read_as_another_reader_reads_it() -> None:
    outcomes = fuzz(10_000, seed=1)
    assert outcomes["no_answer"] > 2_000
    assert outcomes["accepted"] > 500
    assert outcomes["a token"] > 2_000
