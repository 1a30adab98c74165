"""The table of the interfaces: whole, at one with the rules and codes, and quiet about patients."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from card_usage.events import FIELDS, PATIENT_FIELDS
from card_usage.interfaces import messages
from card_usage.interfaces.declaration import Form, Message, Request, message, parameters, wire, wire_name
from card_usage.interfaces.messages import ReportHisData
from card_usage.interfaces.table import INTERFACES, UNASSIGNED_CODES
from card_usage.open_platform.advice import advice, givers
from card_usage.platform.client import REPORT_PATH, TOKEN_PATH
from card_usage.platform.outcome import meanings
from card_usage.standard.rules import RULES
from card_usage.words.catalogue import LANGUAGES, TEXTS, Words
from messages import PATIENT, REQUESTS, answer

KINDS = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind not in (Message, Request)
]
CANARY = "金丝雀"


def test_there_are_the_documents_eleven_interfaces_in_its_order():
    assert [each.section for each in INTERFACES.values()] == [f"3.2.{number}" for number in range(1, 12)]
    assert len({each.path for each in INTERFACES.values()}) == 11
    assert all(each.path.endswith(f"/{name}") for name, each in INTERFACES.items())
    assert (INTERFACES["getAppToken"].path, INTERFACES["reportHISData"].path) == (TOKEN_PATH, REPORT_PATH)


def test_parameters_are_called_as_in_the_document():
    batch = parameters(messages.PatientToRegister)
    assert " ".join(parameter.name for parameter in batch.values()) == (
        "wechatCode name gender nation birthday idNumber idType address phone1 phone2 patid openId wechatUrl"
    )
    assert parameters(messages.IdCard)["id_number"].name == "id"
    assert wire_name("qr_code_img") == "qrCodeImg"


def test_the_rules_of_a_card_use_speak_of_the_parameters_of_report_his_data():
    declared = {parameter.name: parameter for parameter in parameters(ReportHisData).values()}
    assert {*FIELDS.values(), "hospitalId", "hospitalCode", "subHospitalCode"} <= declared.keys()
    for name, wired in FIELDS.items():
        parameter = declared[wired]
        assert parameter.patient == (name in PATIENT_FIELDS), name
        (required,) = [rule for rule in RULES if rule.field == name and rule.kind == "required"]
        assert required.when == parameter.when, name
        assert parameter.required == (required.when is None), name
        limits = {rule.limit for rule in RULES if rule.field == name and rule.limit is not None}
        assert not limits or limits == {parameter.limit}, name


def test_every_code_of_an_interface_is_the_documents_and_says_what_to_do():
    own = {code for each in INTERFACES.values() for code in each.own_codes}
    assert own | set(UNASSIGNED_CODES) <= meanings().keys()
    assert not own & set(UNASSIGNED_CODES)
    for code in meanings():
        assert all(advice(code, Words(language)) for language in LANGUAGES)
        assert (givers(code) == ()) == (code in UNASSIGNED_CODES)
    assert givers(10006) == ("3.2.10",)
    assert givers(10042) is givers(21006) is None
    assert {key for key in TEXTS if key.startswith("result_code.")} <= {f"result_code.{code}" for code in meanings()}
    assert advice(19999, Words("zh")) == TEXTS["result_class.unlisted"][0]


def test_what_a_missing_parameter_is_answered_with_is_a_code_of_its_interface():
    for each in INTERFACES.values():
        kinds: list[type[Message]] = [each.request]
        kinds += [parameter.message for parameter in parameters(each.request).values() if parameter.message]
        for kind in kinds:
            for parameter in parameters(kind).values():
                for code in (parameter.missing, parameter.wrong):
                    assert givers(code) is None or code in each.own_codes, parameter.name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_patient_shows_in_a_repr(kind: type[Any]):
    """The other way round: what does show is named here."""
    values = {each.name: CANARY + each.name for each in fields(kind)}
    shown = {name for name, value in values.items() if value in repr(kind(**values))}
    assert shown <= {
        *("app_id", "wechat_code", "health_code", "id_type", "card_type", "time", "scene", "department"),
        *(
            "hospital_id",
            "hospital_code",
            "sub_hospital_code",
            "hospital_name",
            "card_channel",
            "card_cost_types",
            "none",
            "result",
        ),
        *("medical_step", "terminal_id", "use_city_code", "use_city_name", "org_id", "use_scene", "use_type"),
        *("use_channel", "wechat_url", "expires_in", "health_card_items", "rsp_items", "card", "card_info"),
    }


def test_no_patient_shows_in_the_repr_of_what_holds_him():
    batch = messages.RegisterBatchHealthCard(health_card_items=(replace(PATIENT, name=CANARY),))
    assert CANARY not in repr(batch)
    card = messages.CardAnswer(card=messages.Card(**{each.name: CANARY for each in fields(messages.Card)}))
    assert "name" not in repr(card)


def test_what_is_absent_is_not_sent():
    sent = REQUESTS["registerHealthCard"].to_wire()
    assert "address" not in sent
    assert list(sent)[:2] == ["wechatCode", "name"]
    batch = REQUESTS["registerBatchHealthCard"].to_wire()
    assert batch["healthCardItems"][0]["wechatUrl"] == "https://example.org/cards"
    assert "phone2" not in batch["healthCardItems"][0]


def test_every_interface_has_a_request_and_an_answer_in_these_tests():
    assert REQUESTS.keys() == INTERFACES.keys()
    assert answer(messages.CardAnswer)["card"]["idNumber"] == "x"


def test_a_parameter_declared_twice_has_one_name():
    @message
    class Probe(Message):
        one_two: str = wire("一", form=Form.TEXT)

    assert [parameter.name for parameter in parameters(Probe).values()] == ["oneTwo"]
