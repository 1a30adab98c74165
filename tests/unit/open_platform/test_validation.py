"""Validation: each interface refuses before sending, naming parameter, message and section, and no value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from card_usage.errors import RequestRefused
from card_usage.interfaces.declaration import Form, Parameter, Request, parameters
from card_usage.interfaces.messages import PatientToRegister, RegisterBatchHealthCard
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.validation import checked, parted, problems
from card_usage.platform.outcome import meanings
from card_usage.standard.code_tables import load_tables
from hypothesis import given
from hypothesis import strategies as st
from messages import PATIENT, REQUESTS

TABLES = load_tables()
CANARY = "金丝雀7"
FLAT = [
    (name, parameter)
    for name, each in INTERFACES.items()
    for parameter in parameters(each.request).values()
    if parameter.form is not Form.LIST
]


def ids(value: Any) -> str:
    return value.name if isinstance(value, Parameter) else str(value)


def codes(request: Request[Any], profile: str = "v2.1") -> dict[str, int]:
    return {problem.path: problem.code for problem in problems(request, TABLES, profile)}


@pytest.mark.parametrize("name", INTERFACES)
def test_a_right_request_has_no_problems(name: str):
    assert problems(REQUESTS[name], TABLES) == []
    assert checked(REQUESTS[name], TABLES) is REQUESTS[name]


@pytest.mark.parametrize(("name", "parameter"), FLAT, ids=ids)
def test_a_missing_parameter_is_named_with_the_documents_message_and_section(name: str, parameter: Parameter):
    given_ = getattr(REQUESTS[name], parameter.attribute)
    found = problems(replace(REQUESTS[name], **{parameter.attribute: ""}), TABLES)
    if not (parameter.required or (parameter.when and given_)):
        assert found == []
        return
    # A type that is absent also decides what else is asked for; the parameter itself is always told.
    (told,) = [problem for problem in found if problem.path == parameter.name]
    assert (told.code, told.section) == (parameter.missing, INTERFACES[name].section)
    assert meanings()[parameter.missing] in str(told)
    with pytest.raises(RequestRefused, match=parameter.name):
        checked(replace(REQUESTS[name], **{parameter.attribute: ""}), TABLES)


@pytest.mark.parametrize(("name", "parameter"), FLAT, ids=ids)
def test_a_value_that_cannot_be_is_refused_and_never_quoted(name: str, parameter: Parameter):
    wrong = {
        "too long": CANARY * 100_000,
        "a control character": f"{CANARY}\x00",
        "half a surrogate pair": f"{CANARY}\ud800",
        "no text": 12,
    }
    if parameter.table or parameter.values or parameter.form not in {Form.TEXT, Form.ID_NUMBER}:
        wrong["not as demanded"] = CANARY
    for what, value in wrong.items():
        found = problems(replace(REQUESTS[name], **{parameter.attribute: value}), TABLES)
        told = [problem for problem in found if problem.path == parameter.name]
        assert len(told) == 1, what
        assert CANARY not in str(told[0])


def test_what_a_card_use_needs_depends_on_its_card_and_scene():
    by_id = REQUESTS["reportHISData"]
    assert codes(replace(by_id, card_type="11")) == {"qrCodeText": 10018}
    assert codes(replace(by_id, id_card_number="", name="")) == {"idCardNumber": 10014, "name": 10013}
    assert codes(replace(by_id, scene="010105", department="")) == {}
    assert codes(replace(by_id, scene="010105"), "current") == {"cardCostTypes": 10042}
    assert codes(replace(by_id, department="")) == {"department": 10042}
    assert codes(replace(by_id, card_channel="服务号")) == {}
    assert codes(replace(by_id, card_channel="app")) == {"cardChannel": 10042}


def test_a_resident_id_is_checked_and_another_document_is_not():
    person = REQUESTS["registerHealthCard"]
    assert codes(replace(person, id_number="11010119900307")) == {"idNumber": -10026}
    assert codes(replace(person, id_number="110101199003070133")) == {"idNumber": -10027}
    assert codes(replace(person, id_number="110101199013070134")) == {"idNumber": -10027}
    assert codes(replace(person, id_type="03", id_number="E12345678")) == {}


def test_dates_and_moments_are_as_the_document_writes_them():
    assert codes(replace(REQUESTS["registerHealthCard"], birthday="1990/03/07")) == {"birthday": 10051}
    assert codes(replace(REQUESTS["registerHealthCard"], birthday="1990-02-30")) == {"birthday": 10051}
    assert codes(replace(REQUESTS["verifyQRCode"], time="2026-03-02T08:15:00")) == {"time": 10051}


def test_a_picture_with_its_header_is_refused():
    assert codes(replace(REQUESTS["ocrInfo"], image_content="data:image/png;base64,iVBORw0KGgo=")) == {
        "imageContent": -10040
    }


def test_a_batch_tells_which_item_is_wrong():
    bad = replace(PATIENT, phone1="", id_number="110101199003070133")
    batch = RegisterBatchHealthCard(health_card_items=(PATIENT, bad))
    assert codes(batch) == {"healthCardItems[1].phone1": 10043, "healthCardItems[1].idNumber": -10027}
    assert codes(RegisterBatchHealthCard(health_card_items=())) == {"healthCardItems": 10042}
    many = RegisterBatchHealthCard(health_card_items=(PATIENT,) * 201)
    assert codes(many) == {"healthCardItems": 20004}


def test_two_items_with_one_number_could_not_be_told_apart_in_the_answer():
    batch = RegisterBatchHealthCard(health_card_items=(PATIENT, replace(PATIENT, patid="P2")))
    assert codes(batch) == {"healthCardItems[1].idNumber": 10042}


@given(st.lists(st.sampled_from(["good", "phone", "number", "twice"]), max_size=12))
def test_a_batch_with_bad_items_sends_the_others(kinds: list[str]):
    items = [_item(at, kind) for at, kind in enumerate(kinds)]
    sides = parted(RegisterBatchHealthCard(health_card_items=tuple(items)), TABLES)
    sent = sides.good.health_card_items if sides.good else ()
    assert len(sent) + len(sides.bad) == len(items)
    assert list(sent) == [item for at, item in enumerate(items) if at not in sides.bad]
    assert sides.good is None or problems(sides.good, TABLES) == []
    assert all(at in sides.bad for at, kind in enumerate(kinds) if kind in {"phone", "number"})


def _item(at: int, kind: str) -> PatientToRegister:
    if kind == "number":
        return replace(PATIENT, id_number="1")
    if kind == "twice":
        return PATIENT
    return replace(PATIENT, id_type="03", id_number=f"E{at:08}", patid=f"P{at}", phone1="" if kind == "phone" else "1")
