"""The signature of document 3.1.3: its example, the vectors known from practice, and its laws."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import platform_sandbox
import pytest
from card_usage.platform.signature import signature
from hypothesis import given
from hypothesis import strategies as st

# Document 3.1.3.1: getAppToken. Its printed signature has one misread letter ("hM1R" for "hMlR").
DOCUMENT_SECRET = "8c8e763f443ef983ac33aef1c7085cfb"
DOCUMENT_COMMON = {
    "appToken": "",
    "requestId": "DB4D975748A84309977EA25224C0F5CF",
    "hospitalId": "90003",
    "timestamp": "1525392000",
}
DOCUMENT_REQ = {"appId": "a1a2e0bde41574ad8ea9a4bb58022oop"}

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="=&"), min_size=1, max_size=12).filter("sign".__ne__)
FLAT = st.text(st.characters(codec="utf-8"), max_size=30) | st.integers() | st.none() | st.booleans()
FIELDS = st.dictionaries(NAMES, FLAT, max_size=8)


def by_hand(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_documents_own_example_is_signed_as_the_document_says():
    signed = signature(DOCUMENT_COMMON, DOCUMENT_REQ, DOCUMENT_SECRET)
    assert signed == "TsccMUMTHfOiEovR2hMlRXcQqctRFmPbpPIZdxXCJ/o="


def test_zero_is_signed():
    assert signature({}, {"channelNum": 0}, "secret") == "izPY5tjxkXETiFSV03ck5ImGpUv2fvK8aHcFrDebzc4="
    assert signature({}, {"channelNum": 0}, "secret") == by_hand("channelNum=0secret")


def test_null_and_empty_text_and_the_signature_itself_take_no_part():
    plain = signature({"a": "1"}, {"b": "2"}, "secret")
    assert plain == by_hand("a=1&b=2secret")
    assert signature({"a": "1", "sign": "x", "n": None}, {"b": "2", "e": ""}, "secret") == plain
    assert signature({"a": "1"}, {"b": "2", "sign": plain}, "secret") == plain


def test_the_request_wins_where_both_parts_have_a_key():
    assert signature({"hospitalId": "1"}, {"hospitalId": "2"}, "s") == by_hand("hospitalId=2s")
    # Even with nothing: the merged value is what counts.
    assert signature({"hospitalId": "1"}, {"hospitalId": ""}, "s") == by_hand("s")


def test_keys_are_sorted_by_their_characters_capitals_first():
    assert signature({"b": "2", "B": "1"}, {"a": "3", "10": "4", "9": "5"}, "s") == by_hand("10=4&9=5&B=1&a=3&b=2s")


def test_nested_values_are_compact_json_with_sorted_keys_and_chinese_as_it_is():
    cards = [{"name": "张三", "idType": "01", "n": 0}, {"b": None, "a": ["", True]}]
    told = '[{"idType":"01","n":0,"name":"张三"},{"a":["",true],"b":null}]'
    assert signature({}, {"healthCards": cards}, "s") == by_hand(f"healthCards={told}s")
    assert signature({}, {"empty": {}, "none": []}, "s") == by_hand("empty={}&none=[]s")


def test_the_secret_follows_without_an_ampersand():
    assert signature({}, {}, "secret") == by_hand("secret")
    assert signature({"a": "b"}, {}, "") == by_hand("a=b")


def test_a_text_subclass_and_its_text_sign_alike():
    class Wire(str):
        __slots__ = ()

    assert signature({}, {"a": Wire("x")}, "s") == signature({}, {"a": "x"}, "s")


@given(common=FIELDS, req=FIELDS, secret=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_flat_call_is_signed_as_the_platform_checks_it(common: dict[str, Any], req: dict[str, Any], secret: str):
    signed = signature(common, req, secret)
    assert len(signed) == 44
    assert signed == platform_sandbox.signature(common, req, secret)


@given(common=FIELDS, req=FIELDS)
def test_the_order_of_fields_does_not_matter(common: dict[str, Any], req: dict[str, Any]):
    backwards = dict(reversed(common.items())), dict(reversed(req.items()))
    assert signature(*backwards, "secret") == signature(common, req, "secret")


@given(req=FIELDS, name=NAMES, value=st.text(st.characters(codec="utf-8"), min_size=1, max_size=10))
def test_a_changed_field_changes_the_signature(req: dict[str, Any], name: str, value: str):
    if req.get(name) != value:
        assert signature({}, {**req, name: value}, "secret") != signature({}, {**req, name: None}, "secret")


def test_half_a_surrogate_pair_is_an_error_and_not_a_wrong_signature():
    with pytest.raises(UnicodeEncodeError):
        signature({}, {"name": "\ud800"}, "secret")
