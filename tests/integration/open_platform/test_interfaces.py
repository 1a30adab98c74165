"""Every interface is called with its typed request, and its typed answer comes back from a platform with state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ledgers
import pytest
from card_usage.config.connections import Connection
from card_usage.config.hospital import load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.interfaces.messages import (
    BindCardRelation,
    GetDynamicQrCode,
    GetHealthCardByHealthCode,
    GetHealthCardByQrCode,
    GetOrderIdByOutAppId,
    OcrInfo,
    PatientToRegister,
    RegisterBatchHealthCard,
    RegisterHealthCard,
    VerifyQrCode,
)
from card_usage.open_platform.blocking import BlockingPlatform, blocking
from card_usage.platform.outcome import Answer
from card_usage.standard.code_tables import load_tables
from card_usage.standard.qr_texts import card_id
from demo_his import id_picture
from messages import PERSON
from region import BACK, Region, id_number, region

PHONE = "13800000001"
VERIFIED = {
    "terminal_id": "T-1",
    "time": "2026-03-02 10:00:00",
    "medical_step": "010101",
    "use_city_code": "110000",
    "use_city_name": "北京市",
    "hospital_code": "10086",
    "hospital_name": "示范医院",
}


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as opened:
        yield opened


@pytest.fixture
def platform(here: Region, tmp_path: Path) -> Iterator[BlockingPlatform]:
    hospital = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    connection = Connection(
        conn_id="p", conn_type="http", host=here.sandbox.url, login="demo-app-id", password="demo-app-secret"
    )
    with (
        ledgers.sqlite(tmp_path) as ledger,
        blocking(ledger, hospital, connection=connection, tables=load_tables()) as opened,
    ):
        yield opened


def registered(platform: BlockingPlatform, here: Region) -> str:
    """The QR text of a card."""
    return platform.call(RegisterHealthCard(**PERSON, wechat_code=here.wechat_code())).result().qr_code_text


def patient(here: Region, at: int) -> PatientToRegister:
    own = PERSON | {"id_number": id_number(at)}
    return PatientToRegister(
        **own, wechat_code=here.offline_code(), patid=f"P{at}", open_id=f"o{at}", wechat_url=f"{BACK}/list"
    )


def test_a_card_is_registered_bound_and_found(platform: BlockingPlatform, here: Region):
    text = registered(platform, here)
    assert platform.call(BindCardRelation(patid="P1", qr_code_text=text)).result().result is True
    by_text = platform.call(GetHealthCardByQrCode(qr_code_text=text)).result().card
    by_code = platform.call(GetHealthCardByHealthCode(health_code=here.health_code())).result().card
    assert (by_text.name, by_text.patid, by_text.phone1) == (PERSON["name"], "P1", PHONE)
    assert replace(by_code, admin_ext="") == replace(by_text, admin_ext="")


def test_an_id_is_read(platform: BlockingPlatform):
    picture = id_picture.draw(
        name="沙箱测试甲", id_number=id_number(), gender="男", nation="汉", birth="1990/3/7", address="示范路1号"
    )
    read = platform.call(OcrInfo(image_content=id_picture.content(picture))).result().card_info
    assert (read.id_number, read.birth) == (id_number(), "1990/3/7")


def test_an_order_and_a_dynamic_code_are_given_and_a_code_verified(platform: BlockingPlatform, here: Region):
    text = registered(platform, here)
    assert platform.call(GetOrderIdByOutAppId(app_id="demo-app-id", qr_code_text=text)).result().order_id
    asked = GetDynamicQrCode(health_card_id=card_id(text), id_type="01", id_number=PERSON["id_number"])
    code = platform.call(asked).result()
    holder = platform.call(VerifyQrCode(qr_code_text=code.qr_code_text, **VERIFIED)).result()
    assert (holder.name, holder.health_card_id) == (PERSON["name"], card_id(text))
    assert here.sandbox.counts()["verified"] == 1


def test_a_batch_sends_its_good_items_and_tells_the_bad_ones(platform: BlockingPlatform, here: Region):
    items = (patient(here, 0), replace(patient(here, 1), phone1=""), patient(here, 2))
    done = platform.register(RegisterBatchHealthCard(health_card_items=items))
    assert list(done.parted.bad) == [1]
    assert done.answered is not None
    answered = done.answered.result().rsp_items
    assert [item.id_number for item in answered] == [id_number(0), id_number(2)]
    assert all(item.qr_code_text for item in answered)
    nothing = platform.register(RegisterBatchHealthCard(health_card_items=items[1:2]))
    assert nothing.answered is None


def test_a_batch_is_signed_over_its_nested_items(platform: BlockingPlatform, here: Region):
    """Keys come in any order, texts hold what JSON escapes."""
    odd = replace(patient(here, 0), address='1"2\\3/4 &=+', open_id="oPX_-1")
    assert platform.register(RegisterBatchHealthCard(health_card_items=(odd,))).answered is not None
    assert here.sandbox.counts()["cards"] == 1


@pytest.mark.parametrize("fault", ["drop_after", "lost", "http_500", "busy", "truncated"])
def test_a_registration_that_was_not_answered_is_made_once(platform: BlockingPlatform, here: Region, fault: str):
    here.sandbox.faults(on_cards=True, **{fault: 1.0})
    unanswered = platform.call(RegisterHealthCard(**PERSON, wechat_code=here.wechat_code()))
    assert unanswered.reply.answer in {Answer.NO_ANSWER, Answer.BUSY}
    here.sandbox.calm()
    again = platform.call(RegisterHealthCard(**PERSON, wechat_code=here.wechat_code()))
    assert again.result().qr_code_text
    assert here.sandbox.counts()["cards"] == 1


def test_a_read_that_was_not_answered_is_repeated_under_new_ids(platform: BlockingPlatform, here: Region):
    text = registered(platform, here)
    here.sandbox.faults(on_cards=True, drop_after=0.5)
    for _ in range(6):
        answered = platform.call(GetHealthCardByQrCode(qr_code_text=text), tries=8)
        assert answered.result().card.name == PERSON["name"]


def test_a_verification_that_was_not_answered_never_counts_twice(platform: BlockingPlatform, here: Region):
    card = card_id(registered(platform, here))
    asked = GetDynamicQrCode(health_card_id=card, id_type="01", id_number=PERSON["id_number"])
    code = platform.call(asked).result().qr_code_text
    here.sandbox.faults(on_cards=True, drop_after=0.6)
    platform.call(VerifyQrCode(qr_code_text=code, **VERIFIED), tries=6)
    assert here.sandbox.counts()["verified"] == 1
