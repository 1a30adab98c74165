"""A caller of the open platform for tests of the sandbox: builds and signs calls, and can break each part of one.

Written from the document; uses neither the pipeline's client nor the sandbox's own signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx

TOKEN_PATH = "/rest/auth/HealthCard/HealthOpenAuth/AuthObj/getAppToken"
REPORT_PATH = "/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/reportHISData"
HEADERS = {"Content-Type": "application/json; charset=utf-8"}
ABSENT = object()

BY_ID_CARD = {
    "idCardNumber": "110101199003070134",
    "name": "沙箱测试甲",
    "time": "2026-03-02 08:15:00",
    "hospitalId": "10086",
    "scene": "010101",
    "department": "0300",
    "cardType": "01",
    "cardChannel": "0100",
}
BY_HEALTH_CARD = {
    "qrCodeText": "ab" * 32 + ":1",
    "time": "2026-03-02 09:20:30",
    "hospitalId": "10086",
    "scene": "0101051",
    "cardType": "11",
    "cardChannel": "0401",
}


class Clock:
    """The platform's clock in a test: stands still until it is moved."""

    def __init__(self, local: str = "2026-03-02 12:00:00") -> None:
        self.now = datetime.fromisoformat(local).replace(tzinfo=UTC) - timedelta(hours=8)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **step: float) -> None:
        self.now += timedelta(**step)


class Caller:
    """One ISV application calling one sandbox at `url`; `report` fetches a token when it has none."""

    def __init__(
        self,
        url: str,
        *,
        app_id: str = "demo-app-id",
        secret: str = "demo-app-secret",  # noqa: S107 - the sandbox's well-known one
        hospital: str = "10086",
    ) -> None:
        self.app_id = app_id
        self.secret = secret
        self.hospital = hospital
        self.token: str | None = None
        # Loopback needs no certificates, and reading them all takes longer than a test.
        self.http = httpx.Client(
            base_url=url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=5
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def body(self, common: dict[str, Any], req: dict[str, Any], *, sign: str | None = None) -> bytes:
        """A call's body; values that are ABSENT are left out before signing, everything else is signed as it is."""
        common = {
            "requestId": uuid.uuid4().hex.upper(),
            "hospitalId": self.hospital,
            "timestamp": "1525392000",
            **common,
        }
        common = {name: value for name, value in common.items() if value is not ABSENT}
        req = {name: value for name, value in req.items() if value is not ABSENT}
        merged = {
            name: value for name, value in {**common, **req}.items() if value not in (None, "") and name != "sign"
        }
        pairs = [
            f"{name}={value if isinstance(value, str) else _compact(value)}" for name, value in sorted(merged.items())
        ]
        right = base64.b64encode(hashlib.sha256(("&".join(pairs) + self.secret).encode()).digest()).decode()
        common.setdefault("sign", right if sign is None else sign)
        return json.dumps({"commonIn": common, "req": req}, ensure_ascii=False).encode()

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(path, content=body, headers=HEADERS if headers is None else headers)

    def get_token(self, common: dict[str, Any] | None = None, **req: Any) -> dict[str, Any]:
        """getAppToken's answer; the token is kept."""
        body = self.body({"appToken": "", **(common or {})}, {"appId": self.app_id, **req})
        answer: dict[str, Any] = self.post(TOKEN_PATH, body).json()
        self.token = answer["rsp"].get("appToken", self.token)
        return answer

    def call(self, interface: str, req: dict[str, Any], common: dict[str, Any] | None = None) -> dict[str, Any]:
        """Any other interface: the whole answer."""
        if self.token is None:
            assert self.get_token()["commonOut"]["resultCode"] == 0
        body = self.body({"appToken": self.token, **(common or {})}, req)
        answer: dict[str, Any] = self.post(REPORT_PATH.replace("reportHISData", interface), body).json()
        return answer

    def code(self, interface: str, req: dict[str, Any], common: dict[str, Any] | None = None) -> int:
        """The same, but the resultCode."""
        code: int = self.call(interface, req, common)["commonOut"]["resultCode"]
        return code

    def rsp(self, interface: str, req: dict[str, Any]) -> dict[str, Any]:
        """The same, but the rsp of an accepted call."""
        answer = self.call(interface, req)
        assert answer["commonOut"]["resultCode"] == 0, answer["commonOut"]
        rsp: dict[str, Any] = answer["rsp"]
        return rsp

    def report_body(
        self, use: dict[str, Any], common: dict[str, Any] | None = None, *, sign: str | None = None
    ) -> bytes:
        if self.token is None:
            assert self.get_token()["commonOut"]["resultCode"] == 0
        return self.body({"appToken": self.token, **(common or {})}, {"hospitalId": self.hospital, **use}, sign=sign)

    def send(
        self, request_id: str | None = None, common: dict[str, Any] | None = None, **changes: Any
    ) -> httpx.Response:
        """reportHISData of a registration by ID card, with changes; the HTTP response as it came."""
        named = {} if request_id is None else {"requestId": request_id}
        return self.post(
            REPORT_PATH,
            self.report_body({**BY_ID_CARD, "hospitalId": self.hospital, **changes}, named | (common or {})),
        )

    def report(self, request_id: str | None = None, common: dict[str, Any] | None = None, **changes: Any) -> int:
        """As send, but the resultCode."""
        return result(self.send(request_id, common, **changes))


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def result(response: httpx.Response) -> int:
    """The resultCode of an answer that came as the document says."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    code = response.json()["commonOut"]["resultCode"]
    assert type(code) is int
    return code
