"""Client of the open platform: getAppToken (document 3.2.1), reportHISData (3.2.7) and `call` for any other interface.

Calls go through one `httpx.AsyncClient` on aiohttp; reportHISData, of which there are tens of thousands a day, goes
straight to the aiohttp session below it (docs/adr/0004). Both ways send the same bytes and read the answer in the same
place (reader.py), no more than 64 KiB of it.

A call never raises for what the wire or the platform did: it returns a `Reply` that says what is known. Whether a
request can have reached the platform decides between `not_sent` and `no_answer`, so it is read from the exception that
aiohttp raised: its `ClientConnectorError` family alone is certain to come before the first byte.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self

import aiohttp
import httpx
from aiohttp.http import SERVER_SOFTWARE
from httpx_aiohttp import AiohttpTransport

from card_usage.config.http_clients import trusted
from card_usage.config.outgoing import certificate_problem, proxy_for
from card_usage.interfaces.messages import GetAppToken, ReportHisData
from card_usage.interfaces.table import INTERFACES
from card_usage.platform.outcome import Answer, Reply
from card_usage.platform.reader import Unreadable, decoded, quoted, read_bounded, read_date, read_reply, whole_number
from card_usage.platform.signature import signature

TOKEN_PATH: Final = INTERFACES[GetAppToken.interface].path
REPORT_PATH: Final = INTERFACES[ReportHisData.interface].path
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # made once: dumps makes one a call
_HEADERS: Final = {
    "Content-Type": "application/json; charset=utf-8",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": SERVER_SOFTWARE,
}
_BROKEN: Final = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)  # time-outs and TLS are OSErrors

_Common = Mapping[str, str | int]
_Req = Mapping[str, object]
_Heard = tuple[int, str | None, bytes | Unreadable]  # HTTP status, Date header, content
_Way = Callable[[str, _Common, _Req, str], Awaitable[_Heard]]  # URL, unsigned commonIn, req, token


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


def signed(common: _Common, req: _Req, *, token: str, secret: str) -> bytes:
    """The body of a call (document 3.1.2): `common` completed by token and signature, and `req`."""
    whole = {"appToken": token, **common}
    whole["sign"] = signature(whole, req, secret)
    return _encode({"commonIn": whole, "req": req}).encode()


class Signed(httpx.Auth):
    """Completes the body of a request, `commonIn` and `req`, by token and signature. No token: that of getAppToken."""

    requires_request_body = True

    def __init__(self, *, token: str, secret: str) -> None:
        self._token = token
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        unsigned = json.loads(request.content)
        body = signed(unsigned["commonIn"], unsigned["req"], token=self._token, secret=self._secret)
        headers = request.headers.copy()
        headers["Content-Length"] = str(len(body))
        yield httpx.Request(request.method, request.url, headers=headers, content=body, extensions=request.extensions)


class Platform:
    """Calls to one platform under one appId. An async context manager; connections are kept and reused.

    `channel_num`: commonIn's channelNum (newer documents) of every call; None: without.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        connections: int = 64,
        call_timeout: float = 15.0,
        channel_num: int | None = None,
    ) -> None:
        self.base_url = base_url
        self._also_common: _Common = {} if channel_num is None else {"channelNum": channel_num}
        self.credentials = credentials
        self.call_timeout = call_timeout
        self._connections = connections
        self._session: aiohttp.ClientSession
        self._client: httpx.AsyncClient
        # From the Date header of its last answer, with our monotonic seconds then: the platform's day is its own.
        self.clock_seen: tuple[datetime, float] | None = None
        self._date = ""
        # Hears of every call: path, unsigned commonIn, token, req, HTTP status, content (for `platform call`).
        self.listener: Callable[[str, _Common, str, _Req, int, bytes | Unreadable], None] | None = None

    async def __aenter__(self) -> Self:
        tls = trusted()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            proxy=proxy_for(self.base_url),
            timeout=aiohttp.ClientTimeout(total=None),  # one clock is enough: asyncio.timeout around the call
            auto_decompress=False,  # reader.py does, up to a limit
        )
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(client=self._session, verify=tls),  # httpx's own collapses (docs/adr/0004)
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers=_HEADERS,
            timeout=httpx.Timeout(None),
            trust_env=False,
            event_hooks={"response": [_stay_here]},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()  # and with it transport and session

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply:
        """Report one card use (3.2.7). `req` in wire names; `now` aware, becomes the timestamp in whole seconds."""
        reply, _ = await self._call(self._by_session, REPORT_PATH, token, request_id, hospital_id, req, now)
        return reply

    async def app_token(self, *, request_id: str, hospital_id: str, now: datetime) -> Grant | Reply:
        """Ask for a new appToken (3.2.1); the old one dies with it."""
        req = GetAppToken(app_id=self.credentials.app_id).to_wire()
        reply, rsp = await self.call(
            TOKEN_PATH, token="", request_id=request_id, hospital_id=hospital_id, req=req, now=now
        )
        if reply.answer is not Answer.ACCEPTED:
            return reply
        return _read_grant(rsp, reply)

    async def call(
        self, path: str, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, object], now: datetime
    ) -> tuple[Reply, Mapping[str, object]]:
        """Call the interface at `path`; gives what its answer says, and the answer's `rsp` part."""
        return await self._call(self._by_httpx, path, token, request_id, hospital_id, req, now)

    async def read_clock(self) -> None:
        """Look at the platform's clock: any HTTP answer of its server carries it, and a HEAD counts as no call."""
        with suppress(*_BROKEN):
            async with (
                asyncio.timeout(self.call_timeout),
                self._client.stream("HEAD", self.base_url + REPORT_PATH) as response,
            ):
                self._note_clock(response.headers.get("date"))

    async def _call(
        self, way: _Way, path: str, token: str, request_id: str, hospital_id: str, req: _Req, now: datetime
    ) -> tuple[Reply, Mapping[str, object]]:
        timestamp = str(int(now.timestamp()))
        common = {
            "requestId": request_id,
            "hospitalId": hospital_id,
            "timestamp": timestamp,
            **self._also_common,
        }
        try:
            async with asyncio.timeout(self.call_timeout):
                status, date, content = await way(self.base_url + path, common, req, token)
        except _BROKEN as error:
            return _broken(error), {}
        self._note_clock(date)
        if self.listener is not None:
            self.listener(path, common, token, req, status, content)
        if isinstance(content, Unreadable):
            if 200 <= status < 300:
                return Reply(Answer.NO_ANSWER, None, status, str(content)), {}
            content = b""  # the status alone says it
        return read_reply(status, content, request_id)

    async def _by_httpx(self, url: str, common: _Common, req: _Req, token: str) -> _Heard:
        auth = Signed(token=token, secret=self.credentials.app_secret)
        body = _encode({"commonIn": common, "req": req})
        async with self._client.stream("POST", url, content=body, auth=auth) as response:
            content = await _content(response.aiter_raw(), response.headers.get("content-encoding"))
            return response.status_code, response.headers.get("date"), content

    async def _by_session(self, url: str, common: _Common, req: _Req, token: str) -> _Heard:
        """The same without httpx, whose request, response and headers cost as much again as all that aiohttp does."""
        body = signed(common, req, token=token, secret=self.credentials.app_secret)
        async with self._session.post(url, data=body, allow_redirects=False) as response:
            content = await _content(response.content.iter_any(), response.headers.get("content-encoding"))
            return response.status, response.headers.get("date"), content

    def _note_clock(self, date: str | None) -> None:
        # The header has whole seconds: parsed once for each, not for each call.
        if date and date != self._date:
            self._date = date
            if (moment := read_date(date)) is not None:
                self.clock_seen = moment, time.monotonic()


async def _content(chunks: AsyncIterator[bytes], coding: str | None) -> bytes | Unreadable:
    """The content of an answer. One that is too long is left where it is: its connection is closed, not drained."""
    try:
        return decoded(await read_bounded(chunks), coding)
    except Unreadable as problem:
        return problem


def _read_grant(rsp: Mapping[str, object], accepted: Reply) -> Grant | Reply:
    """The token of an accepted call. What is not one is an answer that cannot be read; the token is never quoted."""
    token, life = rsp.get("appToken"), rsp.get("expiresIn", 7200)
    expires_in = whole_number(life)
    if not isinstance(token, str) or not token or not re.fullmatch(r"[!-~]+", token):
        problem = "appToken is no text" if not isinstance(token, str) or not token else "appToken has a bad character"
    elif expires_in is None or expires_in < 1:
        problem = f"expiresIn is {quoted(life)}"
    else:
        return Grant(token, expires_in)
    return Reply(Answer.NO_ANSWER, accepted.result_code, accepted.http_status, problem)


async def _stay_here(response: httpx.Response) -> None:
    """Redirects are not followed: httpx would still read where they lead, and fail on what it cannot read."""
    response.headers.pop("Location", None)


def _broken(error: Exception) -> Reply:
    """A call that ended without an HTTP answer.

    The transport gives a refused connection and one that broke later the same name (`ConnectTimeout`): what tells them
    apart is aiohttp's own exception, its cause.
    """
    cause = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
    if isinstance(cause, TimeoutError):
        return Reply(Answer.NO_ANSWER, detail="timeout")
    if (problem := certificate_problem(cause)) is not None:
        return Reply(Answer.NOT_SENT, detail=problem[:64])
    unsent = isinstance(cause, aiohttp.ClientConnectorError | aiohttp.InvalidURL | httpx.InvalidURL)
    return Reply(Answer.NOT_SENT if unsent else Answer.NO_ANSWER, detail=type(cause).__name__[:64])
