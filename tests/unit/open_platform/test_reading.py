"""Reading: an answer has the declared types, or it is none."""

from __future__ import annotations

from typing import Any

import pytest
from card_usage.interfaces.declaration import Form, parameters
from card_usage.interfaces.messages import BatchAnswer, Bound, CardAnswer, RegisteredCard
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.reading import read
from card_usage.platform.reader import Unreadable
from card_usage.standard.qr_texts import QrText, card_id, parsed
from hypothesis import given
from hypothesis import strategies as st
from messages import CARD_ID, DYNAMIC, STATIC, answer

CANARY = "金丝雀7"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcard"), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", INTERFACES)
def test_an_answer_with_everything_is_read(name: str):
    read(INTERFACES[name].response, answer(INTERFACES[name].response))


@pytest.mark.parametrize("name", INTERFACES)
def test_an_answer_without_what_it_is_for_is_none(name: str):
    kind = INTERFACES[name].response
    for parameter in parameters(kind).values():
        for value in (None, "") if parameter.form is Form.TEXT else (None,):
            rsp = answer(kind) | {parameter.name: value}
            if parameter.vital:
                with pytest.raises(Unreadable, match=parameter.name):
                    read(kind, rsp)
            elif parameter.form is Form.TEXT:
                assert getattr(read(kind, rsp), parameter.attribute) == ""


@pytest.mark.parametrize("name", INTERFACES)
@given(value=JSON)
def test_whatever_comes_is_read_or_refused_by_a_short_word(name: str, value: Any):
    kind = INTERFACES[name].response
    for parameter in parameters(kind).values():
        said = ""
        try:
            read(kind, answer(kind) | {parameter.name: value})
        except Unreadable as problem:
            said = str(problem)
        assert len(said) < 80


def test_truth_is_no_text_and_a_text_is_no_number():
    for value in ("true", 1, 0, "false", None):
        with pytest.raises(Unreadable):
            read(Bound, {"result": value})
    assert read(Bound, {"result": False}).result is False


def test_no_problem_quotes_a_value():
    with pytest.raises(Unreadable) as told:
        read(CardAnswer, {"card": answer(CardAnswer)["card"] | {"name": [CANARY]}})
    assert CANARY not in str(told.value)
    with pytest.raises(Unreadable) as told:
        read(BatchAnswer, {"rspItems": [{"idNumber": f"{CANARY}\x00"}]})
    assert str(told.value) == "rsp.rspItems[0].idNumber has a bad character"


def test_a_card_id_comes_from_the_answer_or_from_a_static_text():
    assert card_id(STATIC) == CARD_ID
    assert card_id(DYNAMIC, "other") == "other"
    assert card_id("scribble") == ""
    assert parsed(DYNAMIC) == QrText(CARD_ID, dynamic=True)
    assert parsed(STATIC) == QrText(CARD_ID, dynamic=False)
    assert parsed(f"{STATIC} ") is None
    assert read(RegisteredCard, answer(RegisteredCard, STATIC)).qr_code_text == STATIC
