"""A wrong signature is explained by the mistake that gives it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from card_usage.open_platform.sign_check import explain
from card_usage.platform.signature import signature
from card_usage.words.catalogue import TEXTS

SECRET = "s3cret"
COMMON = {"appToken": "T", "requestId": "R", "hospitalId": "1", "timestamp": "1525392000"}
REQ: dict[str, Any] = {
    "items": [{"name": "张三", "age": 7}],
    "flag": True,
    "a b": "x y",
    "Zeta": "张",
    "zz": "",
}


def b64(text: str, coding: str = "utf-8") -> str:
    return base64.b64encode(hashlib.sha256(text.encode(coding)).digest()).decode()


def text(**forms: Any) -> str:
    """The right text by hand, with some of its parts in another form."""
    parts = {
        "Zeta": "张",
        "a b": "x y",
        "appToken": "T",
        "flag": "true",
        "hospitalId": "1",
        "items": '[{"age":7,"name":"张三"}]',
        "requestId": "R",
        "timestamp": "1525392000",
    } | forms
    return "&".join(f"{name}={value}" for name, value in parts.items())


MISTAKES = {
    "no_secret": b64(text()),
    "secret_joined": b64(f"{text()}&{SECRET}"),
    "secret_first": b64(SECRET + text()),
    "spaces_in_secret": b64(f"{text()}{SECRET} "),
    "newline_after_secret": b64(f"{text()}{SECRET}\n"),
    "hex": hashlib.sha256((text() + SECRET).encode()).hexdigest(),
    "hex_in_base64": base64.b64encode(hashlib.sha256((text() + SECRET).encode()).hexdigest().encode()).decode(),
    "trailing_ampersand": b64(f"{text()}&{SECRET}"),
    "without_req": signature(COMMON, {}, SECRET),
    "without_common": signature({}, REQ, SECRET),
    "without_token": signature({**COMMON, "appToken": ""}, REQ, SECRET),
    "empty_signed": b64(f"{text()}&zz={SECRET}"),
    "unsorted": b64(
        "appToken=T&requestId=R&hospitalId=1&timestamp=1525392000"
        f'&items=[{{"age":7,"name":"张三"}}]&flag=true&a b=x y&Zeta=张{SECRET}'
    ),
    "nested_unsorted": b64(text(items='[{"name":"张三","age":7}]') + SECRET),
    "nested_with_spaces": b64(text(items='[{"age": 7, "name": "张三"}]') + SECRET),
    "nested_escaped": b64(text(items=json.dumps([{"age": 7, "name": "张三"}], separators=(",", ":"))) + SECRET),
    "csharp_booleans": b64(text(flag="True") + SECRET),
    "encoded": b64(
        text(Zeta=quote("张"), items=quote('[{"age":7,"name":"张三"}]', safe=""), **{"a b": "x%20y"}) + SECRET
    ),
    "gbk": b64(text() + SECRET, "gbk"),
}


def test_the_right_signature_is_right():
    explained = explain({**COMMON, "sign": signature(COMMON, REQ, SECRET)}, REQ, SECRET)
    assert (explained.is_right, explained.mistake, explained.text) == (True, "", text())
    assert explain(COMMON, REQ, SECRET).is_right  # none is given


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake: str):
    explained = explain({**COMMON, "sign": MISTAKES[mistake]}, REQ, SECRET)
    assert not explained.is_right
    # Two mistakes that give one text are one: an & too much.
    alike = {"trailing_ampersand": "secret_joined"}
    assert explained.mistake == alike.get(mistake, mistake)


def test_a_signature_by_nothing_known_is_said_to_be_one():
    assert explain({**COMMON, "sign": "x"}, REQ, SECRET).mistake == ""
    assert explain({**COMMON, "sign": 7}, REQ, SECRET).given == ""


def test_every_mistake_has_words():
    assert {f"sign_mistake.{name}" for name in MISTAKES} <= TEXTS.keys()
