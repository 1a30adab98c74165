"""The sandbox plays the interfaces of cards with state, as the document has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from demo_his import id_picture
from platform_caller import BY_HEALTH_CARD
from platform_sandbox import Config, SettingError
from region import BACK, VERIFY, Region, id_number, person, region


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as opened:
        yield opened


def test_a_registration_gives_a_static_text_and_the_card_managements_answer(here: Region):
    card = here.register()
    assert card["qrCodeText"].endswith(":1")
    assert len(card["qrCodeText"]) == 66
    assert card["healthCardId"] == ""  # 3.2.2: not beside a static text
    assert json.loads(card["adminExt"])["ecardId"] == card["qrCodeText"][:64]


def test_who_registers_again_gets_his_card_back_and_what_was_given_first_stays(here: Region):
    first = here.register(phone1="13800000001")
    again = here.register(phone1="13999999999", user="user-2")
    assert again["qrCodeText"] == first["qrCodeText"]
    card = here.caller.rsp("getHealthCardByQRCode", {"qrCodeText": first["qrCodeText"]})["card"]
    assert card["phone1"] == "13800000001"


def test_a_wechat_code_is_good_for_one_registration_and_a_refused_one_does_not_spend_it(here: Region):
    code = here.wechat_code()
    assert here.caller.code("registerHealthCard", {"wechatCode": code, **person(name="A")}) == 10015
    assert here.caller.code("registerHealthCard", {"wechatCode": code, **person()}) == 0
    assert here.caller.code("registerHealthCard", {"wechatCode": code, **person(1)}) == 10010


def test_codes_end_with_their_life(here: Region):
    here.register()
    wechat, health = here.wechat_code(), here.health_code()
    here.clock.move(seconds=301)
    assert here.caller.code("registerHealthCard", {"wechatCode": wechat, **person(1)}) == 10010
    assert here.caller.code("getHealthCardByHealthCode", {"healthCode": health}) == 10008


def test_a_health_code_gives_its_card_once(here: Region):
    card = here.register()
    code = here.health_code()
    answer = here.caller.rsp("getHealthCardByHealthCode", {"healthCode": code})["card"]
    assert (answer["qrCodeText"], answer["name"]) == (card["qrCodeText"], person()["name"])
    assert here.caller.code("getHealthCardByHealthCode", {"healthCode": code}) == 10008


def test_a_binding_is_the_latest_and_of_one_hospital():
    from platform_sandbox import App

    apps = (App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086", "10087")),)
    with region(apps=apps) as here:
        text = here.register()["qrCodeText"]
        for patid in ("P1", "P2"):
            assert here.caller.rsp("bindCardRelation", {"patid": patid, "qrCodeText": text}) == {"result": True}
        assert here.caller.rsp("getHealthCardByQRCode", {"qrCodeText": text})["card"]["patid"] == "P2"
        here.caller.hospital = "10087"
        assert here.caller.rsp("getHealthCardByQRCode", {"qrCodeText": text})["card"]["patid"] == ""


def test_an_account_holds_five_cards(here: Region):
    for at in range(5):
        here.register(at)
    here.register(0)  # one that it holds already
    sixth = {"wechatCode": here.wechat_code(), **person(5)}
    assert here.caller.code("registerHealthCard", sixth) == 10057
    here.register(5, user="user-2")


def test_an_order_is_good_for_one_use(here: Region):
    text = here.register()["qrCodeText"]
    order = here.caller.rsp("getOrderIdByOutAppId", {"appId": "demo-app-id", "qrCodeText": text})
    used = [here.caller.http.post("/sandbox/use-order", json=order).json()["resultCode"] for _ in range(2)]
    assert used == [0, 10053]


def test_the_pictures_of_the_demo_are_read(here: Region):
    picture = id_picture.draw(
        name="沙箱测试甲", id_number=id_number(), gender="男", nation="汉", birth="1990/3/7", address="示范路1号"
    )
    read = here.caller.rsp("ocrInfo", {"imageContent": id_picture.content(picture)})["cardInfo"]
    assert read == {
        "name": "沙箱测试甲",
        "id": id_number(),
        "gender": "男",
        "nation": "汉",
        "birth": "1990/3/7",
        "address": "示范路1号",
        "authority": "",
        "validDate": "",
    }


def test_a_dynamic_text_can_be_shown_scanned_and_refreshed_until_it_ends(here: Region):
    card_id = here.register()["qrCodeText"][:64]
    asked = {"healthCardId": card_id, "idType": "01", "idNumber": id_number()}
    first, second = (here.caller.rsp("getDynamicQRCode", asked) for _ in range(2))
    assert first["qrCodeText"] != second["qrCodeText"]
    assert first["qrCodeText"].startswith(f"{card_id}:0:")
    assert base64.b64decode(first["qrCodeImg"]).startswith(b"\x89PNG")
    for text in (first["qrCodeText"], second["qrCodeText"]):
        assert here.caller.rsp("verifyQRCode", VERIFY | {"qrCodeText": text})["healthCardId"] == card_id
    here.clock.move(seconds=60)
    assert here.caller.code("verifyQRCode", VERIFY | {"qrCodeText": first["qrCodeText"]}) == 10020


def test_a_region_with_dynamic_texts_gives_the_card_id_beside_them():
    with region(qr="dynamic") as here:
        card = here.register()
        assert card["qrCodeText"].startswith(f"{card['healthCardId']}:0:")
        assert here.register()["qrCodeText"] != card["qrCodeText"]


def test_a_verification_counts_a_use_and_a_report_of_it_shows(here: Region):
    card_id = here.register()["qrCodeText"][:64]
    asked = {"healthCardId": card_id, "idType": "01", "idNumber": id_number()}
    text = here.caller.rsp("getDynamicQRCode", asked)["qrCodeText"]
    here.caller.rsp("verifyQRCode", VERIFY | {"qrCodeText": text})
    counts = here.sandbox.counts("10086", "2026-03-02")
    assert (counts["accepted"], counts["verified"], counts["reported_and_verified"]) == (0, 1, 0)
    use = BY_HEALTH_CARD | {"qrCodeText": f"{card_id}:1", "time": VERIFY["time"], "scene": "010101", "department": "03"}
    assert here.caller.report(**use, idCardNumber="", name="") == 0
    counts = here.sandbox.counts("10086", "2026-03-02")
    assert (counts["accepted"], counts["verified"], counts["reported_and_verified"]) == (1, 1, 1)


def test_a_batch_has_mixed_results_and_invites_those_whom_it_registered(here: Region):
    known = here.register(0)
    items = [
        here.item(0),
        here.item(1),
        here.item(2, idNumber=id_number(2)[:-1] + "?"),
        here.item(3, phone1=""),
        here.item(4, wechatCode="0" * 32),
    ]
    answered = here.caller.rsp("registerBatchHealthCard", {"healthCardItems": items})["rspItems"]
    assert [bool(item["qrCodeText"]) for item in answered] == [True, True, False, False, False]
    assert [item["idNumber"] for item in answered] == [item["idNumber"] for item in items]
    assert answered[0]["qrCodeText"] == known["qrCodeText"]
    invited = here.caller.http.get("/sandbox/invitations").json()
    assert [each["openId"] for each in invited] == ["open-0", "open-1"]
    assert here.page("batchActiveCard", open_id="open-0") == BACK
    assert here.page("batchActiveCard", open_id="open-0") == BACK  # a second visit does no harm
    assert "没有可激活的健康卡" in here.page("batchActiveCard", open_id="stranger")
    assert [each["openId"] for each in here.caller.http.get("/sandbox/invitations").json()] == ["open-1"]


def test_the_same_batch_again_makes_nobody_a_second_card(here: Region):
    batch = {"healthCardItems": [here.item(at) for at in range(4)]}
    first, second = (here.caller.rsp("registerBatchHealthCard", batch) for _ in range(2))
    assert first == second
    assert here.sandbox.counts()["cards"] == 4


def test_pages_lead_back_to_the_listed_domains_only():
    with region(redirects=frozenset({"isv.example.org"})) as here:
        assert here.page("getUserCode").startswith(f"{BACK}?wechatCode=")
        kept = here.page("getUserCode", redirect_uri=f"{BACK}?a=1#x")
        assert kept.startswith(f"{BACK}?a=1&wechatCode=")
        assert kept.endswith("#x")
        for elsewhere in ("https://evil.example.org/", "isv.example.org", "javascript:alert(1)", "http://[", ""):
            assert "回跳地址非法" in here.page("getUserCode", redirect_uri=elsewhere)


def test_who_has_no_card_cannot_choose_one(here: Region):
    assert "没有健康卡" in here.page("getHealthCardList")


def test_a_call_from_an_address_that_is_not_listed_is_turned_away():
    with region(allowed=frozenset({"10.0.0.1"})) as here:
        assert here.caller.get_token()["commonOut"]["resultCode"] == 20000
    with region(allowed=frozenset({"127.0.0.1"})) as here:
        assert here.caller.get_token()["commonOut"]["resultCode"] == 0


def test_every_interface_has_a_quota_of_its_own():
    with region(not_live=frozenset({"10086"}), quota=3) as here:
        text = here.register()["qrCodeText"]
        scanned = [here.caller.code("getHealthCardByQRCode", {"qrCodeText": text}) for _ in range(4)]
        assert scanned == [0, 0, 0, 10034]
        assert here.caller.code("bindCardRelation", {"patid": "P", "qrCodeText": text}) == 0


def test_faults_strike_cards_where_they_are_asked_to(here: Region):
    text = here.register()["qrCodeText"]
    here.sandbox.faults(busy=1.0)
    assert here.caller.code("getHealthCardByQRCode", {"qrCodeText": text}) == 0
    here.sandbox.faults(on_cards=True)
    assert here.caller.code("getHealthCardByQRCode", {"qrCodeText": text}) != 0


def test_no_person_shows_in_what_the_sandbox_tells_whoever_runs_it(here: Region):
    here.register()
    here.caller.rsp("registerBatchHealthCard", {"healthCardItems": [here.item(1)]})
    told = "".join(
        here.caller.http.get(f"/sandbox/{path}").text for path in ("health", "counts", "accepted", "invitations")
    )
    for secret in (*person().values(), *person(1).values()):
        assert secret in ("男", "01") or secret not in told


def test_wrong_settings_are_refused():
    for wrong in ({"qr": "both"}, {"qr_life": 0}, {"code_life": -1}):
        with pytest.raises(SettingError):
            Config(**wrong)
