"""platform check, call and sign, by the command line."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledgers
import pytest
from card_usage.cli.main import main
from card_usage.files.shipped import SHIPPED
from demo_his import id_picture
from platform_sandbox import App
from region import Region, id_number, person, region

NAME = person()["name"]


@dataclass
class Office:
    """A hospital, its ledger, and a platform."""

    here: Region
    home: Path
    environment: dict[str, str]
    capsys: pytest.CaptureFixture[str]

    def run(self, *args: str, **changes: str) -> tuple[int, str]:
        code = main(list(args), self.environment | changes)
        told = self.capsys.readouterr()
        return code, told.out + told.err

    def file(self, value: Any) -> str:
        path = self.home / "call.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
        return str(path)

    def call(self, name: str, req: Any, *more: str) -> tuple[int, str]:
        return self.run("platform", "call", name, "--hospital", "demo_hospital", "--json", self.file(req), *more)


def office(here: Region, home: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    hospitals = home / "hospitals"
    hospitals.mkdir()
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    (hospitals / "demo_hospital.toml").write_text(text, encoding="utf-8")
    environment = {
        "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(home),
        "CARD_USAGE_KEY": ledgers.KEY,
        "CARD_USAGE_HOSPITALS": str(hospitals),
        "AIRFLOW_CONN_DEMO_PLATFORM": connection(here.sandbox.url),
    }
    return Office(here, home, environment, capsys)


def connection(url: str, secret: str = "demo-app-secret") -> str:  # noqa: S107 - the sandbox's
    return json.dumps({"conn_type": "http", "host": url, "login": "demo-app-id", "password": secret})


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


@pytest.fixture
def desk(here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    return office(here, tmp_path, capsys)


CHECK = ("platform", "check", "--hospital", "demo_hospital")


def states(told: str) -> dict[str, str]:
    return {each["check"]: each["state"] for each in json.loads(told)["checks"]}


# platform check


def test_a_platform_that_can_be_used_is_said_to_be_one(desk: Office):
    code, told = desk.run(*CHECK)
    assert code == 0
    assert "平台检查通过" in told
    assert "appToken 有效" in told
    counts = desk.here.sandbox.counts()
    assert (counts["accepted"], counts["cards"]) == (0, 0)
    assert counts["by_interface"] == {"getAppToken": 1, "getHealthCardByHealthCode": 1}
    code, told = desk.run(*CHECK, "--json")
    assert states(told) == {"reach": "ok", "tls": "warn", "clock": "ok", "token": "ok", "gate": "ok", "quota": "ok"}
    assert desk.here.sandbox.counts()["by_interface"]["getAppToken"] == 1  # the shared one


def test_a_wrong_secret_is_told_apart_from_a_wrong_hospital(desk: Office):
    code, told = desk.run(*CHECK, AIRFLOW_CONN_DEMO_PLATFORM=connection(desk.here.sandbox.url, "wrong"))
    assert code == 1
    assert "签名错误（21006）" in told
    assert "platform sign" in told
    file = desk.home / "hospitals" / "demo_hospital.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('hospital_id = "10086"', 'hospital_id = "1"'), encoding="utf-8")
    code, told = desk.run(*CHECK)
    assert code == 1
    assert "21004" in told


def test_a_hospital_of_another_application_is_said_not_to_be_authorized(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    apps = (
        App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("1",)),
        App(app_id="other", app_secret="other", hospitals=("10086",)),
    )
    with region(apps=apps, clock_is_real=True) as here:
        code, told = office(here, tmp_path, capsys).run(*CHECK)
    assert code == 1
    assert "21005" in told
    assert "扫码授权" in told


def test_an_address_that_is_not_let_in_is_told_as_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with region(allowed=frozenset({"10.0.0.1"}), clock_is_real=True) as here:
        code, told = office(here, tmp_path, capsys).run(*CHECK)
    assert code == 1
    assert "IP 白名单" in told


def test_a_clock_that_differs_is_told(desk: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "other").mkdir()
    with region() as here:  # its clock stands still on another day
        code, told = office(here, tmp_path / "other", capsys).run(*CHECK, "--json")
    assert code == 0
    assert states(told)["clock"] == "warn"


def test_nobody_there_is_told_with_what_to_look_at(desk: Office):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        code, told = desk.run(*CHECK, AIRFLOW_CONN_DEMO_PLATFORM=connection(f"http://127.0.0.1:{port}"))
    assert code == 1
    assert "连接不上" in told
    assert "防火墙" in told
    code, told = desk.run(*CHECK, AIRFLOW_CONN_DEMO_PLATFORM=connection(desk.here.sandbox.url.replace("http", "https")))
    assert code == 1
    assert "HTTPS" in told


def test_the_quota_of_a_hospital_that_is_not_live_is_shown(desk: Office):
    file = desk.home / "hospitals" / "demo_hospital.toml"
    text = file.read_text(encoding="utf-8")
    limited = re.sub(r"(?m)^live = .*$", "live = false", re.sub(r"(?m)^daily_quota = .*$", "daily_quota = 2", text))
    file.write_text(limited, encoding="utf-8")
    _, told = desk.run(*CHECK)
    assert "getAppToken 1、getHealthCardByHealthCode 1（每接口每天 2 次）" in told
    desk.run(*CHECK)
    code, told = desk.run(*CHECK)
    assert code == 0
    assert "今天的检查次数已用完" in told
    assert "今天次数已用完的接口：getHealthCardByHealthCode" in told
    assert desk.here.sandbox.counts()["by_interface"]["getHealthCardByHealthCode"] == 2


def test_hospital_check_looks_at_the_platform_too(desk: Office):
    import demo_his

    his = f"sqlite:///{desk.home}/his.db"
    demo_his.create(his, [], uses_per_day=1, seed=5)
    _, told = desk.run("hospital", "check", "demo_hospital", AIRFLOW_CONN_DEMO_HIS=his)
    assert "appToken 有效" in told
    _, told = desk.run("hospital", "check", "demo_hospital", AIRFLOW_CONN_DEMO_HIS=his, AIRFLOW_CONN_DEMO_PLATFORM="")
    assert "连接 demo_platform 未设置" in told


# platform call


def test_a_call_is_shown_as_the_vendors_sdk_logs_it_with_its_patient_masked(desk: Office):
    req = {"wechatCode": desk.here.wechat_code(), **person()}
    code, told = desk.call("registerHealthCard", req)
    assert code == 0
    for title in ("签名原文(排序+secret): ", "签名: ", "输入参数: ", "输出参数: ", "结果: accepted"):
        assert title in told
    for secret in (NAME, id_number(), person()["phone1"], "demo-app-secret"):
        assert secret not in told
    assert '"name":"***"' in told
    assert '"adminExt":"***"' in told
    assert "# 3.2.1" not in told or '"appToken":"***"' in told


def test_unmasked_shows_the_patient_and_still_no_secret(desk: Office):
    code, told = desk.call("registerHealthCard", {"wechatCode": desk.here.wechat_code(), **person()}, "--unmasked")
    assert code == 0
    assert NAME in told
    assert "demo-app-secret" not in told
    told_sign = next(line for line in told.splitlines() if line.startswith("签名: "))
    assert len(told_sign) == len("签名: ") + 44


def test_a_refused_call_says_what_to_do(desk: Office):
    code, told = desk.call("getHealthCardByHealthCode", {"healthCode": "0" * 32})
    assert code == 1
    assert "10008 健康卡授权码不存在" in told
    assert "怎么办: 授权码只能用一次" in told


def test_a_call_that_was_not_answered_says_how_to_repeat_it(desk: Office):
    desk.here.register()
    desk.call("getHealthCardByHealthCode", {"healthCode": "0" * 32})
    desk.here.sandbox.faults(drop_after=1.0, on_cards=True)
    batch = {"healthCardItems": [desk.here.item(1)]}
    code, told = desk.call("registerBatchHealthCard", batch)
    assert code == 1
    assert "只能加 --request-id" in told
    request_id = told.split("--request-id ")[1].split(" ")[0]
    desk.here.sandbox.calm()
    code, told = desk.call("registerBatchHealthCard", batch, "--request-id", request_id)
    assert (code, desk.here.sandbox.counts()["cards"]) == (1, 2)
    assert "10054 重复请求" in told


def test_a_wrong_call_never_leaves_and_names_no_value(desk: Office):
    code, told = desk.call("registerHealthCard", {**person(), "wechatCode": "0" * 32, "idNumber": "1234", "name": ""})
    assert code == 2
    assert "name: 姓名不能为空 (10013, document 3.2.2" in told
    assert "idNumber: 身份证格式不合法 (-10026" in told
    assert "1234" not in told
    code, told = desk.call("registerHealthCard", {"idCard": NAME})
    assert code == 2
    assert "no parameters of document 3.2.2: idCard" in told
    assert NAME not in told
    code, told = desk.call("registerBatchHealthCard", {"healthCardItems": {"name": NAME}})
    assert code == 2
    assert NAME not in told
    assert desk.here.sandbox.counts()["calls"] == 0


def test_a_file_that_is_no_call_is_named(desk: Office):
    for content in ("{", "[]", "\x00"):
        code, told = desk.call("ocrInfo", content)
        assert code == 2
        assert "call.json cannot be used (it is no JSON" in told


# platform sign


def sign(desk: Office, call: Any, *more: str) -> tuple[int, str]:
    return desk.run("platform", "sign", "--hospital", "demo_hospital", "--json", desk.file(call), *more)


def whole_call(secret: str) -> dict[str, Any]:
    common = {"appToken": "T1", "requestId": "R", "hospitalId": "10086", "timestamp": "1525392000"}
    text = f"appToken=T1&hospitalId=10086&patid=P7&qrCodeText=Q&requestId=R&timestamp=1525392000{secret}"
    common["sign"] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"commonIn": common, "req": {"patid": "P7", "qrCodeText": "Q"}}


def test_a_signature_is_confirmed_or_explained(desk: Office):
    code, told = sign(desk, whole_call("demo-app-secret"))
    assert code == 0
    assert "与请求中的 sign 一致" in told
    assert "P7" not in told
    assert "T1" not in told
    assert "demo-app-secret" not in told
    code, told = sign(desk, whole_call(""), "--unmasked")
    assert code == 1
    assert "没有拼接 appSecret" in told
    assert "patid=P7&qrCodeText=Q" in told
    code, told = sign(desk, whole_call("guess"))
    assert code == 1
    assert "核对 appSecret" in told


def test_standard_input_is_read(desk: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"patid": "P7", "qrCodeText": "Q"})))
    code, told = desk.run("platform", "sign", "--hospital", "demo_hospital", "--json", "-")
    assert code == 0
    assert "patid=***&qrCodeText=***" in told


# rehearse FLOW


def test_every_flow_can_be_rehearsed_step_by_step(desk: Office):
    own = {
        "AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL": connection(desk.here.sandbox.url),
        "AIRFLOW_CONN_DEMO_PLATFORM": connection("https://platform.example.org"),
        "CARD_USAGE_REHEARSALS": str(desk.home / "rehearsals"),
    }
    code, told = desk.run("rehearse", "all", "--hospital", "demo_hospital", **own)
    assert code == 0, told
    for step in ("绑定健康卡和院内 ID [2.3.2 (6)]  bindCardRelation", "获取卡包订单 ID", "verifyQRCode"):
        assert step in told
    picture = desk.home / "id.png"
    assert id_picture.main([str(picture)]) == 0
    code, told = desk.run(
        "rehearse", "new-card", "--hospital", "demo_hospital", "--picture", str(picture), "--trace", **own
    )
    assert code == 0, told
    assert "# 3.2.5 ocrInfo" in told
    assert "演示甲" not in told
    code, told = desk.run("rehearse", "--hospital", "demo_hospital", **own)
    assert code == 2
    assert "add --from and --to, or one of new-card" in told
    desk.here.sandbox.faults(outage=True)
    code, told = desk.run("rehearse", "scan", "--hospital", "demo_hospital", **own)
    assert code == 1
    assert "x 1. " in told
