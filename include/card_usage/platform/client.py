"""Client of the open platform: getAppToken (document 3.2.1) and reportHISData (3.2.7), over httpx on aiohttp.

A call never raises for what the wire or the platform did: it returns a `Reply` that says what is known. Whether a
request can have reached the platform decides between `not_sent` and `no_answer`, so it is read from the exception that
aiohttp raised: its `ClientConnectorError` family alone is certain to come before the first byte.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from card_usage.platform.outcome import Answer, Reply, classify
from card_usage.platform.signature import signature

TOKEN_PATH: Final = "/rest/auth/HealthCard/HealthOpenAuth/AuthObj/getAppToken"  # noqa: S105 - a path
REPORT_PATH: Final = "/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/reportHISData"
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # made once: dumps makes one a call
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)  # one clock is enough: asyncio.timeout around the call
_HEADERS: Final = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """Who calls: appId and appSecret (document 2.1.1)."""

    app_id: str
    app_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """A new appToken and its life in seconds."""

    token: str = field(repr=False)
    expires_in: int


class Platform:
    """Calls to one platform under one appId. An async context manager; connections are kept and reused."""

    def __init__(
        self, base_url: str, credentials: Credentials, *, connections: int = 64, call_timeout: float = 15.0
    ) -> None:
        self.base_url = base_url
        self.credentials = credentials
        self.call_timeout = call_timeout
        self._report_url = base_url + REPORT_PATH
        self._token_url = base_url + TOKEN_PATH
        self._session: aiohttp.ClientSession
        # httpx's own transport collapses with many connections (docs/adr/0004).
        self._transport = AiohttpTransport(
            verify=_tls() if base_url.startswith("https") else True,
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60
            ),
        )
        # From the Date header of its last answer, with our monotonic seconds then: the platform's day is its own.
        self.clock_seen: tuple[datetime, float] | None = None
        self._date = ""

    async def __aenter__(self) -> Self:
        self._session = self._transport.client = self._transport.get_client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply:
        """Report one card use (3.2.7). `req` in wire names; `now` aware, becomes the timestamp in whole seconds."""
        reply, _ = await self._call(self._report_url, token, request_id, hospital_id, req, now)
        return reply

    async def app_token(self, *, request_id: str, hospital_id: str, now: datetime) -> Grant | Reply:
        """Ask for a new appToken (3.2.1); the old one dies with it."""
        req = {"appId": self.credentials.app_id}
        reply, rsp = await self._call(self._token_url, "", request_id, hospital_id, req, now)
        if reply.answer is not Answer.ACCEPTED:
            return reply
        token, expires_in = rsp.get("appToken"), rsp.get("expiresIn", 7200)
        if not isinstance(token, str) or not token or not str(expires_in).isdigit():
            return Reply(Answer.NO_ANSWER, 0, reply.http_status, "unreadable")
        return Grant(token, int(str(expires_in)))

    async def _call(
        self, url: str, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> tuple[Reply, Mapping[str, object]]:
        common = {
            "appToken": token,
            "requestId": request_id,
            "hospitalId": hospital_id,
            "timestamp": str(int(now.timestamp())),
        }
        common["sign"] = signature(common, req, self.credentials.app_secret)
        body = _encode({"commonIn": common, "req": req}).encode()
        try:
            async with asyncio.timeout(self.call_timeout), self._post(url, body) as response:
                content = await response.read()
        except TimeoutError:
            return Reply(Answer.NO_ANSWER, detail="timeout"), {}
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            return _broken(error), {}
        self._note_clock(response.headers.get("date"))
        return read_reply(response.status, content, request_id)

    def _post(self, url: str, body: bytes) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A call on the transport's own session: httpx's request and response cost as much again as all that aiohttp
        does for a call, and nothing of what they add is used here (docs/adr/0004)."""
        return self._session.post(url, data=body, headers=_HEADERS, allow_redirects=False, timeout=_NO_TIMEOUT)

    async def read_clock(self) -> None:
        """Look at the platform's clock: any HTTP answer of its server carries it, and a HEAD counts as no call."""
        request = httpx.Request("HEAD", self._report_url, headers=_HEADERS)
        with suppress(TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(self.call_timeout):
                response = await self._transport.handle_async_request(request)
                await response.aclose()
            self._note_clock(response.headers.get("date"))

    def _note_clock(self, date: str | None) -> None:
        # The header has whole seconds: parsed once for each, not for each call.
        if date and date != self._date:
            self._date = date
            with suppress(ValueError, TypeError):
                self.clock_seen = parsedate_to_datetime(date).astimezone(UTC), time.monotonic()


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _broken(error: BaseException) -> Reply:
    """A call that ended without an HTTP answer."""
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)
    detail = type(error).__name__[:64]
    return Reply(Answer.NOT_SENT if unsent else Answer.NO_ANSWER, detail=detail)


def read_reply(status: int, content: bytes, request_id: str) -> tuple[Reply, Mapping[str, object]]:
    """What an HTTP answer says about the request `request_id`, and its `rsp` part."""
    if 300 <= status < 500 and status != 408:
        # 429 is a gateway's "slow down"; everything else here turns requests away for a reason in our settings.
        return Reply(Answer.THROTTLED if status == 429 else Answer.BARRED, None, status, f"http {status}"), {}
    if not 200 <= status < 300:
        return Reply(Answer.NO_ANSWER, None, status, f"http {status}"), {}
    try:
        envelope = json.loads(content)
        common = envelope["commonOut"]
        code = int(common["resultCode"])
        echoed = str(common.get("requestId") or "")
        rsp = envelope.get("rsp")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Reply(Answer.NO_ANSWER, None, status, "unreadable"), {}
    answer = classify(code)
    # An early refusal may come without an id; an acceptance, or another's id, is only believed with ours.
    if echoed.upper() != request_id and (echoed or answer in {Answer.ACCEPTED, Answer.REPEATED}):
        return Reply(Answer.NO_ANSWER, None, status, "another request id"), {}
    return Reply(answer, code, status), rsp if isinstance(rsp, dict) else {}
