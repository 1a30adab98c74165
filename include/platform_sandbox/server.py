"""The sandbox on HTTP: the document's two paths, the faults of the wire, and /sandbox/ for whoever runs a test.

Silent: no access log, nothing about callers' bad requests or broken connections. A defect of the sandbox itself is
logged by type and place, without values, and answered 500.
"""

import asyncio
import json
import logging
import traceback
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from aiohttp import web

from platform_sandbox import rules
from platform_sandbox.card_interfaces import PATHS, offline_code
from platform_sandbox.codes import RESULTS
from platform_sandbox.faults import Faults, SandboxError
from platform_sandbox.pages import ACTIVATE, CARD_LIST, USER_CODE, PageError, Pages
from platform_sandbox.platform import CONTENT_TYPE, GET_APP_TOKEN, REPORT_HIS_DATA, Sandbox
from platform_sandbox.refusal import Refusal
from platform_sandbox.settings import local_day

TOKEN_PATH: Final = "/rest/auth/HealthCard/HealthOpenAuth/AuthObj/getAppToken"
REPORT_PATH: Final = "/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/reportHISData"
INTERFACES: Final = {TOKEN_PATH: GET_APP_TOKEN, REPORT_PATH: REPORT_HIS_DATA, **PATHS}

log = logging.getLogger(__name__)
_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.addHandler(logging.NullHandler())
_wire_log.propagate = False

_HTML: Final = "text/html; charset=utf-8"
_STATUSES: Final = {
    "gateway_403": (403, "403 Forbidden"),
    "gateway_429": (429, "429 Too Many Requests"),
    "gateway_503": (503, "503 Service Unavailable"),
    "lost_503": (503, "503 Service Unavailable"),
}
_PAGE: Final = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>\n"


class Desk:
    """Takes HTTP requests for one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._second = -1
        self._date = ""
        self._admin: dict[tuple[str, str], Callable[[web.BaseRequest, bytes], web.Response]] = {
            ("GET", "/sandbox/health"): self._health,
            ("GET", "/sandbox/counts"): self._counts,
            ("GET", "/sandbox/statement"): self._statement,
            ("GET", "/sandbox/accepted"): self._accepted,
            ("GET", "/sandbox/faults"): self._faults,
            ("POST", "/sandbox/faults"): self._set_faults,
            ("DELETE", "/sandbox/faults"): self._clear_faults,
            ("POST", "/sandbox/evict"): self._evict,
            ("POST", "/sandbox/reset"): self._reset,
            ("GET", USER_CODE): self._visit,
            ("GET", CARD_LIST): self._visit,
            ("GET", ACTIVATE): self._visit,
            ("GET", "/sandbox/offline-code"): self._offline_code,
            ("GET", "/sandbox/invitations"): self._invitations,
            ("POST", "/sandbox/freeze"): self._freeze,
            ("POST", "/sandbox/use-order"): self._use_order,
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; a defect of ours becomes a 500 and a line in the log."""
        try:
            interface = INTERFACES.get(request.path)
            if interface is None:
                return await self._administer(request)
            if request.method != "POST":
                headers = self._headers("text/plain") | {"Allow": "POST"}
                return web.Response(status=405, headers=headers, body=b"POST only (document 3.1.1)\n")
            return await self._call(request, interface)
        except (ConnectionError, web.RequestPayloadError):
            return web.Response(status=400)  # the caller went away, or sent a broken body
        except Exception as defect:
            place = traceback.extract_tb(defect.__traceback__)[-1]
            log.error("defect of the sandbox: %s at %s:%s", type(defect).__name__, place.filename, place.lineno)
            return self._page(500, "500 Internal Server Error")

    async def _call(self, request: web.BaseRequest, interface: str) -> web.Response:
        sandbox = self._sandbox
        dice = sandbox.dice
        faults = dice.faults
        body: bytes | None
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:  # above 1 MiB, aiohttp's own limit
            body = None
        if faults.outage:
            sandbox.struck["outage"] += 1
            return self._page(503, "503 Service Unavailable")
        struck = faults.on_token if interface == GET_APP_TOKEN else faults.on_cards or interface == REPORT_HIS_DATA
        fault = dice.strike() if struck else None
        if fault is None:
            content_type = request.headers.get("Content-Type", "")
            answered = sandbox.call(interface, body, content_type, peer=request.remote or "").encoded()
            delay = dice.delay()
            if delay:
                await asyncio.sleep(delay)
            return web.Response(body=answered, headers=self._headers())
        return await self._strike(fault, request, interface, body)

    async def _strike(self, fault: str, request: web.BaseRequest, interface: str, body: bytes | None) -> web.Response:
        sandbox = self._sandbox
        sandbox.struck[fault] += 1
        slow = sandbox.dice.faults.slow_ms / 1000 if fault == "slow" else 0.0
        if fault in ("drop_before", "http_500", "html"):
            await asyncio.sleep(sandbox.dice.delay())
            if fault == "drop_before":
                return _dropped(request)
            if fault == "http_500":
                return self._page(500, "500 Internal Server Error")
            return self._page(200, "系统维护中")
        content_type = request.headers.get("Content-Type", "")
        answer = sandbox.call(interface, body, content_type, fault, request.remote or "")
        await asyncio.sleep(sandbox.dice.delay() + slow)
        if fault in ("drop_after", "lost"):
            return _dropped(request)
        if fault in _STATUSES:
            return self._page(*_STATUSES[fault])
        if fault == "wrong_request_id":
            answer = answer._replace(request_id=uuid.uuid4().hex.upper())
        answered = answer.encoded()
        if fault == "truncated":
            answered = answered[: len(answered) // 2]
        return web.Response(body=answered, headers=self._headers())

    def _page(self, status: int, title: str) -> web.Response:
        return web.Response(status=status, body=_PAGE.format(title).encode(), headers=self._headers(_HTML))

    def _headers(self, content_type: str = CONTENT_TYPE) -> dict[str, str]:
        # Callers read the platform's day from Date, so it tells the sandbox's clock and not the machine's.
        second = int(self._sandbox.config.clock().timestamp())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return {"Content-Type": content_type, "Date": self._date}

    async def _administer(self, request: web.BaseRequest) -> web.Response:
        verb = self._admin.get((request.method, request.path))
        if verb is None:
            methods = sorted(method for method, path in self._admin if path == request.path)
            if methods:
                return _refusal(405, f"{' or '.join(methods)} only")
            return _refusal(404, "no such path: the document's interfaces and pages, and /sandbox/")
        try:
            return verb(request, await request.read())
        except SandboxError as error:
            return _refusal(400, str(error))

    def _health(self, _: web.BaseRequest, __: bytes) -> web.Response:
        config = self._sandbox.config
        return web.json_response(
            {
                "status": "ok",
                "profile": config.profile,
                "repeat": config.repeat,
                "accepted": len(self._sandbox.accepted.records),
                "outage": self._sandbox.dice.faults.outage,
            }
        )

    def _counts(self, request: web.BaseRequest, _: bytes) -> web.Response:
        return web.json_response(self._sandbox.counts(*_selection(request)))

    def _statement(self, request: web.BaseRequest, _: bytes) -> web.Response:
        text = self._sandbox.accepted.statement(*_selection(request))
        headers = {
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="statement.csv"',
        }
        return web.Response(body=text.encode("utf-8-sig"), headers=headers)

    def _accepted(self, _: web.BaseRequest, __: bytes) -> web.Response:
        lines = [
            json.dumps(
                {
                    "requestId": record.request_id,
                    "digest": record.digest,
                    "time": record.time,
                    "hospitalId": record.hospital_id,
                    "received_at": record.received_at,
                },
                ensure_ascii=False,
            )
            for record in self._sandbox.accepted.records
        ]
        body = "".join(f"{line}\n" for line in lines).encode()
        return web.Response(body=body, headers={"Content-Type": "application/x-ndjson; charset=utf-8"})

    def _faults(self, _: web.BaseRequest, __: bytes) -> web.Response:
        return web.json_response(self._sandbox.dice.faults.as_dict())

    def _set_faults(self, request: web.BaseRequest, body: bytes) -> web.Response:
        self._sandbox.load(self._sandbox.dice.faults.changed(_object(body)))
        return self._faults(request, body)

    def _clear_faults(self, request: web.BaseRequest, body: bytes) -> web.Response:
        self._sandbox.load(Faults())
        return self._faults(request, body)

    def _evict(self, _: web.BaseRequest, body: bytes) -> web.Response:
        app_id = _object(body).get("app_id")
        if app_id is not None and not isinstance(app_id, str):
            raise SandboxError("app_id is a string")
        return web.json_response({"evicted": self._sandbox.evict(app_id)})

    def _visit(self, request: web.BaseRequest, _: bytes) -> web.Response:
        config = self._sandbox.config
        pages = Pages(self._sandbox.card_interfaces.cards, config.redirects, config.clock)
        try:
            place = pages.visit(request.path, dict(request.query))
        except PageError as problem:
            return self._page(200, str(problem))
        return web.Response(status=302, headers={**self._headers("text/plain"), "Location": place})

    def _offline_code(self, request: web.BaseRequest, _: bytes) -> web.Response:
        apps = {app.app_id: offline_code(app) for app in self._sandbox.config.apps}
        return web.json_response({"wechatCode": apps.get(request.query.get("app_id", ""), next(iter(apps.values())))})

    def _invitations(self, request: web.BaseRequest, _: bytes) -> web.Response:
        hospital_id = request.query.get("hospital_id")
        invited = self._sandbox.card_interfaces.cards.invitations.values()
        return web.json_response(
            [
                {"hospitalId": each.hospital_id, "openId": each.open_id, "url": each.url}
                for each in invited
                if hospital_id in (None, each.hospital_id)
            ]
        )

    def _freeze(self, _: web.BaseRequest, body: bytes) -> web.Response:
        asked = _object(body)
        try:
            self._sandbox.card_interfaces.cards.freeze(
                rules.text(asked, "healthCardId"), asked.get("frozen") is not False
            )
        except Refusal:
            raise SandboxError("no such card") from None
        return web.json_response({"status": "ok"})

    def _use_order(self, _: web.BaseRequest, body: bytes) -> web.Response:
        """The page of the card package, whose address the document does not give: it takes the order, once."""
        try:
            self._sandbox.card_interfaces.cards.use_order(rules.text(_object(body), "orderId"))
        except Refusal as refusal:
            return web.json_response({"resultCode": refusal.code, "errMsg": RESULTS[refusal.code]})
        return web.json_response({"resultCode": 0, "errMsg": RESULTS[0]})

    def _reset(self, _: web.BaseRequest, __: bytes) -> web.Response:
        self._sandbox.reset()
        return web.json_response({"status": "ok"})


class HttpServer:
    """A sandbox listening on one address; start() raises OSError if the address cannot be had."""

    def __init__(self, sandbox: Sandbox, *, host: str, port: int) -> None:
        self._sandbox = sandbox
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; `url` then tells where (port 0: one that was free)."""
        server = web.Server(
            Desk(self._sandbox).answer,
            access_log=None,
            logger=_wire_log,
            keepalive_timeout=3600,
            lingering_time=0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=1024).start()
        except OSError:
            await self._runner.cleanup()
            raise
        port = self._runner.addresses[0][1]
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{name}:{port}"

    async def stop(self) -> None:
        """Close every connection, answered or not."""
        if self._runner is not None:
            await self._runner.cleanup()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (it halves the cost of a call), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _dropped(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere: the connection is gone


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


def _object(body: bytes) -> rules.Fields:
    if not body.strip():
        return {}
    try:
        return rules.read_document(body)
    except Refusal:
        raise SandboxError("the body is a JSON object in UTF-8") from None


def _selection(request: web.BaseRequest) -> tuple[str | None, str | None]:
    day = request.query.get("day")
    return request.query.get("hospital_id"), local_day(day) if day else None
