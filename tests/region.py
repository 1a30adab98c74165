"""A region for tests of cards: a sandbox, a caller, made-up people, and what a user does on the platform's pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import platform_sandbox
from platform_caller import Caller, Clock
from platform_sandbox import Config

BACK = "https://isv.example.org/card"
VERIFY = {
    "terminalId": "T-1",
    "time": "2026-03-02 10:00:00",
    "medicalStep": "010101",
    "useCityCode": "110000",
    "useCityName": "北京市",
    "hospitalCode": "10086",
    "hospitalName": "示范医院",
}
"""What verifyQRCode asks for but the QR text."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_number(at: int = 0, birthday: str = "1990-03-07", gender: str = "男") -> str:
    """A resident ID that passes the checks."""
    first = f"110101{birthday.replace('-', '')}{at:02}{1 if gender == '男' else 2}"
    return first + "10X98765432"[sum(int(d) * w for d, w in zip(first, _WEIGHTS, strict=True)) % 11]


def person(at: int = 0, **changes: str) -> dict[str, str]:
    """Parameters of 3.2.2 but for the wechatCode."""
    return {
        "name": "沙箱测试" + "甲乙丙丁戊己庚辛壬癸"[at % 10],
        "gender": "男",
        "nation": "汉族",
        "birthday": "1990-03-07",
        "idNumber": id_number(at),
        "idType": "01",
        "address": "示范路1号",
        "phone1": "13800000001",
        **changes,
    }


@dataclass
class Region:
    sandbox: platform_sandbox.RunningSandbox
    caller: Caller
    clock: Clock

    def page(self, name: str, **query: str) -> str:
        """Where a page leads; the page's text if it leads nowhere."""
        response = self.caller.http.get(f"/open/{name}", params={"redirect_uri": BACK, **query})
        if response.status_code == 302:
            return response.headers["location"]
        assert response.status_code == 200
        return response.text

    def wechat_code(self, user: str = "user-1") -> str:
        return parse_qs(urlsplit(self.page("getUserCode", user=user)).query)["wechatCode"][0]

    def health_code(self, user: str = "user-1", **query: str) -> str:
        return parse_qs(urlsplit(self.page("getHealthCardList", user=user, **query)).query)["healthCode"][0]

    def offline_code(self) -> str:
        code: str = self.caller.http.get("/sandbox/offline-code").json()["wechatCode"]
        return code

    def register(self, at: int = 0, user: str = "user-1", **changes: str) -> dict[str, Any]:
        """rsp of registerHealthCard."""
        return self.caller.rsp("registerHealthCard", {"wechatCode": self.wechat_code(user), **person(at, **changes)})

    def item(self, at: int = 0, **changes: str) -> dict[str, str]:
        """One patient of a batch."""
        return {
            "wechatCode": self.offline_code(),
            **person(at),
            "patid": f"P{at}",
            "openId": f"open-{at}",
            "wechatUrl": f"{BACK}/list",
            **changes,
        }


@contextmanager
def region(*, clock_is_real: bool = False, **config: Any) -> Iterator[Region]:
    """A region with a sandbox of its own, whose clock stands still unless it is to be the real one."""
    clock = Clock()
    if not clock_is_real:
        config["clock"] = clock
    with platform_sandbox.serve(Config(**config)) as sandbox, Caller(sandbox.url) as caller:
        yield Region(sandbox, caller, clock)
