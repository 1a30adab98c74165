"""The sandbox holds callers to the document: envelope, signature, tokens, fields. Over real HTTP on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import platform_sandbox
import pytest
from cases import every_case
from platform_caller import ABSENT, BY_HEALTH_CARD, BY_ID_CARD, REPORT_PATH, TOKEN_PATH, Caller, Clock, result
from platform_sandbox import App, Config, RunningSandbox, codes

TWO_APPS = (
    App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086", "10087")),
    App(app_id="other-app", app_secret="other:secret", hospitals=("20000",)),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[RunningSandbox]:
    with platform_sandbox.serve(Config(apps=TWO_APPS, clock=clock)) as running:
        yield running


@pytest.fixture
def caller(sandbox: RunningSandbox) -> Iterator[Caller]:
    with Caller(sandbox.url) as calling:
        yield calling


# Signature


def test_the_documents_own_sample_call_is_accepted_with_its_printed_signature() -> None:
    secret = "8c8e763f443ef983ac33aef1c7085cfb"
    app = App(app_id="a1a2e0bde41574ad8ea9a4bb58022oop", app_secret=secret, hospitals=("90003",))
    common = {
        "appToken": "",
        "requestId": "DB4D975748A84309977EA25224C0F5CF",
        "hospitalId": "90003",
        "timestamp": "1525392000",
    }
    req = {"appId": "a1a2e0bde41574ad8ea9a4bb58022oop"}
    sign = "TsccMUMTHfOiEovR2hMlRXcQqctRFmPbpPIZdxXCJ/o="
    assert platform_sandbox.signature(common, req, secret) == sign
    with platform_sandbox.serve(Config(apps=(app,))) as running, Caller(running.url) as isv:
        body = json.dumps({"commonIn": {**common, "sign": sign}, "req": req}).encode()
        answer = isv.post(TOKEN_PATH, body).json()
    assert answer["commonOut"] == {"requestId": common["requestId"], "resultCode": 0, "errMsg": "成功"}
    assert len(answer["rsp"]["appToken"]) == 32
    assert answer["rsp"]["expiresIn"] == 7200


def test_zero_is_signed_and_only_null_and_empty_are_dropped() -> None:
    vector = "izPY5tjxkXETiFSV03ck5ImGpUv2fvK8aHcFrDebzc4="
    assert platform_sandbox.signature({"channelNum": 0}, {}, "secret") == vector
    assert platform_sandbox.signature({"channelNum": 0, "sign": "x", "a": None, "b": ""}, {}, "secret") == vector


def test_nested_values_are_signed_as_compact_json_with_sorted_keys_and_req_wins() -> None:
    text = 'a=req&flag=true&list=[{"k":"值","z":1.5}]' + "secret"
    right = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    signed = platform_sandbox.signature(
        {"a": "common", "flag": True}, {"a": "req", "list": [{"z": 1.5, "k": "值"}]}, "secret"
    )
    assert signed == right


@pytest.mark.parametrize("sign", ["", "Q5vpltdaHjuQpDK8yuDOAzFKTOQs5PxgzhLbxMpnadE="])
def test_a_wrong_signature_is_21006_on_both_interfaces(caller: Caller, sign: str) -> None:
    assert result(caller.post(REPORT_PATH, caller.report_body(BY_ID_CARD, sign=sign))) == 21006
    body = caller.body({"appToken": ""}, {"appId": caller.app_id}, sign=sign)
    assert result(caller.post(TOKEN_PATH, body)) == 21006


def test_a_changed_field_breaks_the_signature(caller: Caller) -> None:
    body = caller.report_body(BY_ID_CARD).replace("沙箱测试甲".encode(), "沙箱测试乙".encode())
    assert result(caller.post(REPORT_PATH, body)) == 21006


# Envelope


def test_an_accepted_report_answers_as_the_document_prints_it(caller: Caller) -> None:
    assert caller.send("72c9531093d34e0e82de448f95729c38").json() == {
        "commonOut": {"errMsg": "成功", "requestId": "72c9531093d34e0e82de448f95729c38", "resultCode": 0},
        "rsp": {"none": ""},
    }


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [TOKEN_PATH, REPORT_PATH])
def test_only_post_is_answered(caller: Caller, method: str, path: str) -> None:
    response = caller.http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_path_that_the_document_does_not_know_is_404(caller: Caller) -> None:
    assert caller.http.post("/rest/auth/HealthCard/other").status_code == 404


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json; charset=utf-8", 0),
        ("application/json;charset=UTF-8", 0),
        ('Application/JSON; charset="utf8"', 0),
        ("application/json", 20001),
        ("application/json; charset=gbk", 20001),
        ("text/plain; charset=utf-8", 20001),
        ("", 20001),
    ],
)
def test_the_header_must_say_json_in_utf_8(caller: Caller, content_type: str, code: int) -> None:
    body = caller.report_body(BY_ID_CARD)
    assert result(caller.post(REPORT_PATH, body, {"Content-Type": content_type})) == code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"commonIn": NaN}',
        "张".encode("gbk"),
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"commonIn": [1], "req": {"a": 1}}',
        b'{"commonIn": {"requestId": "1"}, "req": "text"}',
        b'{"commonIn": {"requestId": 1}, "req": {"a": 1}}',
        b'{"commonIn": {"requestId": "\\ud800"}, "req": {"a": 1}}',
        b'{"commonIn": {"requestId": "1", "hospitalId": 1}, "req": {"a": 1}}',
    ],
)
def test_what_is_not_a_call_is_20001(caller: Caller, body: bytes) -> None:
    assert result(caller.post(REPORT_PATH, body)) == 20001


def test_half_a_surrogate_pair_is_20001_and_not_a_defect(caller: Caller) -> None:
    body = caller.report_body(BY_ID_CARD).replace('"沙箱测试甲"'.encode(), b'"\\ud83d"')
    assert result(caller.post(REPORT_PATH, body)) == 20001


@pytest.mark.parametrize("empty", [b"null", b"{}", b'""', None])
def test_a_missing_part_has_its_own_code(caller: Caller, empty: bytes | None) -> None:
    common, req = b'"commonIn": {"requestId": "1"}', b'"req": {"a": "1"}'
    no_common = b"{%b}" % req if empty is None else b'{"commonIn": %b, %b}' % (empty, req)
    no_req = b"{%b}" % common if empty is None else b'{"req": %b, %b}' % (empty, common)
    assert result(caller.post(REPORT_PATH, no_common)) == 10003
    answer = caller.post(REPORT_PATH, no_req)
    assert (result(answer), answer.json()["commonOut"]["requestId"]) == (10002, "1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"requestId": "x" * 512}, 0),
        ({"requestId": "x" * 513}, 10037),
        ({"requestId": "健" * 171}, 10037),
        ({"requestId": ""}, 20002),
        ({"requestId": ABSENT}, 20002),
        ({"timestamp": ABSENT}, 20002),
        ({"timestamp": "1525392000000"}, 20002),
        ({"timestamp": "2018-10-02"}, 20002),
        ({"timestamp": 1525392000}, 20001),
        ({"hospitalId": ABSENT}, 21004),
        ({"hospitalId": "99999"}, 21004),
        ({"hospitalId": "20000"}, 21005),
        ({"appToken": ""}, 21001),
        ({"appToken": None}, 21001),
        ({"appToken": "9A60D3D561E4ADBA89ACD9FBF2FB8D2C"}, 21004),
        ({"channelNum": 0}, 0),
        ({"channelNum": 9}, 0),
    ],
)
def test_common_parameters_are_checked(caller: Caller, changes: dict[str, Any], code: int) -> None:
    # req.hospitalId stays out where it would win over commonIn's in the signature.
    answer = caller.send(common=changes, hospitalId=changes.get("hospitalId", "10086"))
    assert result(answer) == code
    readable = changes.get("requestId", "") is not ABSENT and code not in (10037, 20002, 20001)
    assert bool(answer.json()["commonOut"]["requestId"]) == (readable or "timestamp" in changes)


def test_a_body_above_a_mebibyte_is_20004_and_counted(caller: Caller, sandbox: RunningSandbox) -> None:
    assert result(caller.post(REPORT_PATH, b" " * (2 * 1024 * 1024))) == 20004
    assert sandbox.counts()["result_codes"] == {"20004": 1}


# Tokens


def test_an_unknown_app_is_21002(caller: Caller) -> None:
    assert caller.get_token(appId="nobody")["commonOut"]["resultCode"] == 21002
    assert caller.get_token(appId="")["commonOut"]["resultCode"] == 21002
    assert caller.get_token(appId=7)["commonOut"]["resultCode"] == 20001


def test_a_token_needs_a_hospital_of_the_app(caller: Caller) -> None:
    assert caller.get_token({"hospitalId": "20000"})["commonOut"]["resultCode"] == 21005
    assert caller.get_token({"hospitalId": "00000"})["commonOut"]["resultCode"] == 21004


def test_a_token_lives_7200_seconds(caller: Caller, clock: Clock) -> None:
    assert caller.report() == 0
    clock.move(seconds=7199)
    assert caller.report() == 0
    clock.move(seconds=1)
    assert caller.report() == 21003


def test_a_new_token_kills_the_old_one(caller: Caller) -> None:
    assert caller.report() == 0
    old = caller.token
    assert caller.get_token()["commonOut"]["resultCode"] == 0
    assert caller.report() == 0
    assert caller.token != old
    assert caller.report(common={"appToken": old}) == 21004


def test_a_token_of_one_app_opens_no_hospital_of_another(sandbox: RunningSandbox, caller: Caller) -> None:
    with Caller(sandbox.url, app_id="other-app", secret="other:secret", hospital="20000") as other:
        assert other.report() == 0
        assert caller.report() == 0
        assert caller.report(common={"appToken": other.token}) == 21006
        assert other.report() == 0


def test_the_life_of_a_token_can_be_set(clock: Clock) -> None:
    with platform_sandbox.serve(Config(token_life=2, clock=clock)) as running, Caller(running.url) as isv:
        assert isv.get_token()["rsp"]["expiresIn"] == 2
        clock.move(seconds=2)
        assert isv.report() == 21003


def test_the_date_header_tells_the_platforms_clock(caller: Caller, clock: Clock) -> None:
    for _ in range(2):
        clock.move(days=200, seconds=1)
        assert caller.send().headers["date"] == clock.now.strftime("%a, %d %b %Y %H:%M:%S GMT")


# Fields of reportHISData


@pytest.mark.parametrize(
    ("base", "changes", "code"),
    [
        (BY_ID_CARD, {}, 0),
        (BY_HEALTH_CARD, {}, 0),
        (BY_ID_CARD, {"qrCodeText": ABSENT}, 0),
        (BY_ID_CARD, {"name": ABSENT}, 10013),
        (BY_ID_CARD, {"name": "  "}, 10013),
        (BY_ID_CARD, {"idCardNumber": ""}, 10014),
        (BY_ID_CARD, {"idCardNumber": ABSENT, "idCard": "110101199003070134"}, 10014),
        (BY_ID_CARD, {"idCardNumber": None, "name": None}, 10014),
        (BY_HEALTH_CARD, {"qrCodeText": ""}, 10018),
        (BY_HEALTH_CARD, {"name": "", "idCardNumber": ""}, 0),
        (BY_ID_CARD, {"cardType": "11"}, 10018),
        (BY_HEALTH_CARD, {"cardType": "01"}, 10014),
        (BY_ID_CARD, {"time": ABSENT}, 10042),
        (BY_ID_CARD, {"time": "2026-02-30 08:00:00"}, 10051),
        (BY_ID_CARD, {"time": "2026-03-02 24:00:00"}, 10051),
        (BY_ID_CARD, {"time": "2026-03-02T08:00:00"}, 10051),
        (BY_ID_CARD, {"time": "2026-03-02 08:00"}, 10051),
        (BY_ID_CARD, {"time": "2026-03-02 08:00:00.000"}, 10051),
        (BY_ID_CARD, {"time": "2026-3-2 8:00:00"}, 10051),
        (BY_ID_CARD, {"time": "２026-03-02 08:00:00"}, 10051),
        (BY_ID_CARD, {"time": "2026030208:00:00"}, 10051),
        (BY_ID_CARD, {"scene": ABSENT}, 10042),
        (BY_ID_CARD, {"scene": "挂号"}, 10042),
        (BY_ID_CARD, {"scene": "010107"}, 10042),
        (BY_ID_CARD, {"cardType": ABSENT}, 10042),
        (BY_ID_CARD, {"cardType": "1"}, 10042),
        (BY_ID_CARD, {"cardChannel": ABSENT}, 10042),
        (BY_ID_CARD, {"cardChannel": "服务号"}, 10042),
        (BY_ID_CARD, {"department": "内科"}, 0),
        (BY_ID_CARD, {"hospitalId": ABSENT}, 10042),
        (BY_ID_CARD, {"hospitalId": ABSENT, "hospitalCode": "10086"}, 10042),
        (BY_ID_CARD, {"hospitalCode": "10087"}, 21004),
        (BY_ID_CARD, {"hospitalCode": "10086"}, 0),
        (BY_ID_CARD, {"cardCostTypes": "0200"}, 0),
        (BY_ID_CARD, {"cardCostTypes": "9999"}, 10042),
        (BY_ID_CARD, {"scene": 10101}, 20001),
        (BY_ID_CARD, {"name": ["甲"]}, 20001),
        (BY_ID_CARD, {"whatever": {"b": 1, "a": [True, 1.5]}}, 0),
    ],
)
def test_each_field_of_a_card_use_is_held_to_the_document(
    caller: Caller, sandbox: RunningSandbox, base: dict[str, Any], changes: dict[str, Any], code: int
) -> None:
    assert result(caller.post(REPORT_PATH, caller.report_body(base | changes))) == code
    assert len(sandbox.accepted()) == (code == 0)


def test_the_hospital_of_the_event_is_the_callers(caller: Caller) -> None:
    assert caller.report(hospitalId="10087") == 21004
    assert caller.report(common={"hospitalId": "10087"}, hospitalId="10087") == 0


def test_exactly_the_three_registration_scenes_need_a_department(caller: Caller) -> None:
    with every_case() as case:
        for scene in codes.SCENES:
            with case(scene):
                needed = scene in {"010101", "0101011", "0101012"}
                assert caller.report(scene=scene, department=ABSENT) == (10042 if needed else 0)
                assert caller.report(scene=scene, department="0300") == 0


def test_every_card_type_but_the_health_card_needs_id_number_and_name(caller: Caller) -> None:
    with every_case() as case:
        for card_type in codes.CARD_TYPES:
            with case(card_type):
                by_name = caller.report(cardType=card_type, qrCodeText=ABSENT)
                by_code = caller.report(cardType=card_type, qrCodeText="x:1", idCardNumber=ABSENT, name=ABSENT)
                assert (by_name, by_code) == ((10018, 0) if card_type == "11" else (0, 10014))


def test_every_channel_of_the_table_is_known(caller: Caller) -> None:
    assert [caller.report(cardChannel=channel) for channel in codes.CHANNELS] == [0] * 7


def test_the_code_tables_have_the_documents_size() -> None:
    sizes = [len(table) for table in (codes.SCENES, codes.CARD_TYPES, codes.CHANNELS, codes.COST_TYPES)]
    assert sizes == [36, 12, 7, 4]


def test_newer_editions_ask_for_cost_types_and_know_hospital_code_and_channel_number() -> None:
    with platform_sandbox.serve(Config(profile="current")) as running, Caller(running.url) as isv:
        for scene in codes.SCENES:
            needed = scene in {"010105", "0101051", "0101053"}
            assert isv.report(scene=scene) == (10042 if needed else 0)
        assert [isv.report(scene="010105", cardCostTypes=cost) for cost in codes.COST_TYPES] == [0] * 4
        assert isv.report(hospitalId=ABSENT, hospitalCode="10086") == 0
        assert isv.report(hospitalId=ABSENT) == 10042
        assert [isv.report(common={"channelNum": number}) for number in (0, 1, 3, 4, "0")] == [0] * 5
        assert [isv.report(common={"channelNum": number}) for number in (2, "x", True)] == [10042] * 3


def test_messages_are_the_documents_and_name_the_field_but_never_its_value(caller: Caller) -> None:
    answer = caller.send(scene="沙箱测试甲")
    assert answer.json()["commonOut"]["errMsg"] == "参数错误（scene）"
    assert answer.json()["rsp"] == {}
    assert caller.send(name="").json()["commonOut"]["errMsg"] == "姓名不能为空"
