"""Messages for tests: a right request of every interface, and an answer to it, with made-up people."""

from __future__ import annotations

from typing import Any

from card_usage.interfaces.declaration import Form, Message, Request, parameters
from card_usage.interfaces.messages import (
    BindCardRelation,
    GetAppToken,
    GetDynamicQrCode,
    GetHealthCardByHealthCode,
    GetHealthCardByQrCode,
    GetOrderIdByOutAppId,
    OcrInfo,
    PatientToRegister,
    RegisterBatchHealthCard,
    RegisterHealthCard,
    ReportHisData,
    VerifyQrCode,
)

CARD_ID = "AB" * 32
STATIC = f"{CARD_ID}:1"
DYNAMIC = f"{CARD_ID}:0:{'CD' * 16}::35020001001"

PERSON: dict[str, str] = {
    "name": "沙箱测试甲",
    "gender": "男",
    "nation": "汉族",
    "birthday": "1990-03-07",
    "id_number": "110101199003070134",
    "id_type": "01",
    "phone1": "13800000001",
}
PATIENT = PatientToRegister(
    **PERSON, wechat_code="OFF" + "0" * 29, patid="P1", open_id="o-1", wechat_url="https://example.org/cards"
)

REQUESTS: dict[str, Request[Any]] = {
    request.interface: request
    for request in (
        GetAppToken(app_id="demo-app-id"),
        RegisterHealthCard(**PERSON, wechat_code="0" * 32),
        GetHealthCardByHealthCode(health_code="0" * 32),
        GetHealthCardByQrCode(qr_code_text=STATIC),
        OcrInfo(image_content="iVBORw0KGgo="),
        BindCardRelation(patid="P1", qr_code_text=STATIC),
        ReportHisData(
            id_card_number="110101199003070134",
            name="沙箱测试甲",
            time="2026-03-02 08:15:00",
            hospital_id="10086",
            scene="010101",
            department="0300",
            card_type="01",
            card_channel="0100",
        ),
        GetOrderIdByOutAppId(app_id="demo-app-id", qr_code_text=STATIC),
        RegisterBatchHealthCard(health_card_items=(PATIENT,)),
        GetDynamicQrCode(health_card_id=CARD_ID, id_type="01", id_number="110101199003070134"),
        VerifyQrCode(
            qr_code_text=DYNAMIC,
            terminal_id="T1",
            time="2026-03-02 08:15:00",
            medical_step="010101",
            use_city_code="110000",
            use_city_name="北京市",
            hospital_code="10086",
            hospital_name="示范医院",
        ),
    )
}


def answer(kind: type[Message], text: str = "x") -> dict[str, Any]:
    """An `rsp` that has everything, every text as given."""
    rsp: dict[str, Any] = {}
    for parameter in parameters(kind).values():
        match parameter.form:
            case Form.OBJECT if parameter.message:
                rsp[parameter.name] = answer(parameter.message, text)
            case Form.LIST if parameter.message:
                rsp[parameter.name] = [answer(parameter.message, text)]
            case Form.NUMBER:
                rsp[parameter.name] = 7200
            case Form.TRUTH:
                rsp[parameter.name] = True
            case _:
                rsp[parameter.name] = text
    return rsp
