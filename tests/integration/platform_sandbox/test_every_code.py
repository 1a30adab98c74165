"""Every result code of 3.2.12 can be had from the sandbox: most by what they mean, every one by asking for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from platform_caller import ABSENT, result
from platform_sandbox.card_interfaces import PATHS, planted
from platform_sandbox.codes import BUSY, RESULTS
from platform_sandbox.refusal import Refusal
from region import VERIFY, Region, id_number, person, region

Provoked = Callable[[Region], int]


def register(**changes: str) -> Provoked:
    return lambda here: here.caller.code(
        "registerHealthCard", {"wechatCode": here.wechat_code(), **person(**changes)} | changes
    )


def by_qr(text: str) -> Provoked:
    return lambda here: here.caller.code("getHealthCardByQRCode", {"qrCodeText": text})


def frozen(interface: str, **req: str) -> Provoked:
    def call(here: Region) -> int:
        text = here.register()["qrCodeText"]
        here.caller.http.post("/sandbox/freeze", json={"healthCardId": text[:64]}).raise_for_status()
        return here.caller.code(interface, {"qrCodeText": text, **req})

    return call


def frozen_since_it_was_chosen(here: Region) -> int:
    card_id = here.register()["qrCodeText"][:64]
    code = here.health_code()
    here.caller.http.post("/sandbox/freeze", json={"healthCardId": card_id}).raise_for_status()
    return here.caller.code("getHealthCardByHealthCode", {"healthCode": code})


def another_name(here: Region) -> int:
    here.register()
    return register(name="沙箱测试乙")(here)


def sixth_card(here: Region) -> int:
    for at in range(5):
        here.register(at)
    return here.caller.code("registerHealthCard", {"wechatCode": here.wechat_code(), **person(5)})


def used_order(here: Region) -> int:
    code: int = here.caller.http.post("/sandbox/use-order", json={"orderId": "x"}).json()["resultCode"]
    return code


def repeated(here: Region) -> int:
    text = here.register()["qrCodeText"]
    common = {"requestId": "ONE"}
    here.caller.code("getHealthCardByQRCode", {"qrCodeText": text}, common)
    return here.caller.code("getHealthCardByQRCode", {"qrCodeText": text}, common)


def dynamic(**req: str) -> Provoked:
    return lambda here: here.caller.code("getDynamicQRCode", {"idType": "01", "idNumber": id_number(), **req})


MEANT: dict[int, Provoked] = {
    0: lambda here: 0 if here.register() else 1,
    10006: dynamic(),
    10007: lambda here: here.caller.code("getHealthCardByHealthCode", {"healthCode": ""}),
    10008: lambda here: here.caller.code("getHealthCardByHealthCode", {"healthCode": "0" * 32}),
    10009: lambda here: here.caller.code("getHealthCardByHealthCode", {"healthCode": "short"}),
    10010: register(wechatCode="0" * 32),
    10011: register(wechatCode="short"),
    10012: register(wechatCode=""),
    10013: register(name=""),
    10014: register(idNumber=""),
    10015: register(birthday="1990-03-08"),
    -10017: frozen("getHealthCardByQRCode"),
    10018: by_qr(""),
    -10019: by_qr("0" * 64 + ":1"),
    10020: by_qr("scribble"),
    10021: frozen_since_it_was_chosen,
    -10024: lambda here: here.caller.code("verifyQRCode", VERIFY | {"qrCodeText": "x", "terminalId": "no id"}),
    -10025: register(nation=""),
    -10026: register(idNumber="1234"),
    -10027: register(idNumber=id_number()[:-1] + ("1" if id_number()[-1] != "1" else "2")),
    10030: dynamic(healthCardId="0" * 64),
    -10031: frozen("bindCardRelation", patid="P1"),
    10033: lambda here: here.caller.code("bindCardRelation", {"qrCodeText": "0" * 64 + ":1"}),
    10037: lambda here: here.caller.code("ocrInfo", {"imageContent": "x"}, {"requestId": "x" * 513}),
    -10039: lambda here: here.caller.code("ocrInfo", {"imageContent": "iVBORw0KGgo="}),
    -10040: lambda here: here.caller.code("ocrInfo", {"imageContent": "?"}),
    10041: lambda here: here.caller.code("ocrInfo", {"imageContent": ""}),
    10042: register(idType="77"),
    10043: register(phone1=""),
    10051: register(birthday="1990/03/07"),
    10053: used_order,
    10054: repeated,
    10056: another_name,
    10057: sixth_card,
    20001: lambda here: here.caller.code("bindCardRelation", {"patid": 7, "qrCodeText": "x"}),
    20002: lambda here: here.caller.code("bindCardRelation", {"patid": "P"}, {"timestamp": ABSENT}),
    21001: lambda here: here.caller.code("bindCardRelation", {"patid": "P"}, {"appToken": ""}),
    21002: lambda here: here.caller.code("getOrderIdByOutAppId", {"appId": "else", "qrCodeText": "x"}),
    21004: lambda here: here.caller.code("bindCardRelation", {"patid": "P"}, {"appToken": "x"}),
    21006: lambda here: here.caller.code("bindCardRelation", {"patid": "P"}, {"sign": "x"}),
}


OF_REPORTS = {10002, 10003, 10034, 21003, 21005, 21007}
"""Provoked in test_codes.py; so is what `busy` draws."""

ASKED_FOR_ONLY = {
    *(10004, 10035, 10036, 10050, 10055),  # no interface of 3.2 has such a parameter
    *(-10022, -10023, -10028, -10032),  # would contradict FAQ 5: who has a card gets it back
    *(-10029, -10038, 10048, -110086),  # troubles behind the platform
}
"""What nothing in the document says how to cause."""


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as opened:
        yield opened


@pytest.mark.parametrize("code", MEANT)
def test_a_code_is_given_for_what_it_means(here: Region, code: int):
    assert MEANT[code](here) == code


def test_every_code_of_the_document_can_be_had():
    by_config = {20000, 20004}  # the address list, and a body above 1 MiB
    assert {*MEANT, *OF_REPORTS, *BUSY, *by_config} | ASKED_FOR_ONLY == RESULTS.keys()
    assert not ASKED_FOR_ONLY & {*MEANT, *OF_REPORTS, *BUSY}


def test_every_code_of_the_document_can_be_asked_for(here: Region):
    assert len(RESULTS) == 68
    for code in RESULTS:
        if code != 0:
            common = {"requestId": f"RETURN.{code}.{uuid.uuid4().hex}"}
            answer = here.caller.call("ocrInfo", {"imageContent": "x"}, common)["commonOut"]
            assert (answer["resultCode"], answer["errMsg"]) == (code, RESULTS[code])


def test_every_interface_gives_what_is_asked_for_and_does_nothing(here: Region):
    for interface in PATHS.values():
        assert here.caller.code(interface, {"x": "y"}, {"requestId": f"RETURN.10005.{interface}"}) == 10005
    assert here.caller.report(f"RETURN.10005.{uuid.uuid4().hex}") == 10005
    assert here.sandbox.counts()["accepted"] == 0


def test_other_request_ids_ask_for_nothing():
    for request_id in ("RETURN.0.x", "RETURN.99.x", "RETURN.10005", "return.10005.x", "A" * 32):
        planted(request_id)
    with pytest.raises(Refusal):
        planted("RETURN.-1.x")


def test_a_report_answers_as_before(here: Region):
    assert result(here.caller.send()) == 0
