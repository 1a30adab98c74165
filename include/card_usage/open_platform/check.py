"""Check: can this hospital's platform be used, from here, now? Nothing is reported and no card touched.

Asked in order: the address, TLS, the clock, a token, one call that the gate must let through and the interface must
refuse (getHealthCardByHealthCode with a code that nobody has), today's quota. The token is the shared one; the call
counts as one of its interface. Each answer is a sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection as LedgerConnection

from card_usage.clock import SystemClock
from card_usage.config.connections import Connection
from card_usage.config.http_clients import async_client, failure, refusal
from card_usage.config.outgoing import proxy_for
from card_usage.config.platform_address import is_gateway, is_refused
from card_usage.context import Context
from card_usage.delivery import quota
from card_usage.delivery.platform_clock import CLOCKS_DIFFER
from card_usage.interfaces.messages import GetHealthCardByHealthCode
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.advice import advice
from card_usage.open_platform.client import Answered, OpenPlatform
from card_usage.open_platform.session import LedgerGate, opened_gate
from card_usage.platform.client import REPORT_PATH, Platform
from card_usage.platform.outcome import MERE_STATUS, UNAVAILABLE, Answer, Reply, meanings
from card_usage.words.catalogue import Words

State = Literal["ok", "warn", "missing"]
_NOBODYS: Final = "0" * 32
_CERTIFICATE_DAYS: Final = 21
_NOT_ALLOWED: Final = 20000
BY_A_PROXY: Final = frozenset({407, 502, 503, 504})
"""What a proxy of plain http answers itself when it does not let us through or the platform does not answer it."""


class Look(NamedTuple):
    """The result of one check."""

    check: str
    state: State
    text: str

    def summary(self) -> dict[str, Any]:
        """As `platform check --json` prints it."""
        return {"check": self.check, "state": self.state, "says": self.text}


def check_platform(context: Context, connection: Connection) -> list[Look]:
    """Every check; what depends on one that failed is left out. Raises BadConnection and LedgerUnreachable."""
    return asyncio.run(_all(context, connection))


async def _all(context: Context, connection: Connection) -> list[Look]:
    return [look async for look in _Checks(context, connection).run()]


class _Checks:
    def __init__(self, context: Context, connection: Connection) -> None:
        self._context, self._connection = context, connection
        self._hospital = context.hospital
        self._settings = context.hospital.platform
        self._words = Words(context.hospital.report.language)
        self._url = connection.base_url()

    def _look(self, key: str, **fields: object) -> Look:
        check, *_, state = key.split(".")
        return Look(check, state, self._words(f"platform_check.{key}", **fields))  # type: ignore[arg-type]

    async def run(self) -> AsyncIterator[Look]:
        """All checks."""
        if is_refused(self._url, self._settings):
            yield self._look("tls.none.missing")
            return
        reached = [look async for look in self._address()]
        for look in reached:
            yield look
        if reached[0].state == "missing" or reached[-1].state == "missing":
            return
        async with opened_gate(
            self._context.ledger, self._hospital, connection=self._connection, tables=self._context.tables
        ) as (platform, gate):
            yield self._clock(platform)
            token = await gate.token()
            if isinstance(token, Reply):
                yield self._token(token)
            else:
                yield self._look("token.ok")
                yield await self._gate(platform, gate)
            yield await asyncio.to_thread(self._quota, gate)

    async def _address(self) -> AsyncIterator[Look]:
        """Whether the address answers, and with which certificate."""
        host, seconds = urlsplit(self._url).hostname, self._settings.call_timeout_seconds
        try:
            async with (
                asyncio.timeout(seconds),
                async_client(self._url, seconds=seconds) as http,
                http.stream("HEAD", REPORT_PATH) as response,
            ):
                tls = response.extensions["network_stream"].get_extra_info("ssl_object")
                answered = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if (reason := await asyncio.to_thread(refusal, error, self._url)) is not None:
                yield self._look("tls.missing", reason=reason)
            else:
                yield self._look("reach.missing", host=host, reason=failure(error))
            return
        if tls is None and answered in BY_A_PROXY and proxy_for(self._url):
            yield self._look("reach.missing", host=host, reason=f"proxy: HTTP {answered}")
            return
        yield self._look("reach.ok", host=host)
        yield self._certificate(tls)

    def _certificate(self, tls: ssl.SSLObject | None) -> Look:
        if tls is None:
            return self._in_clear()
        certificate = tls.getpeercert() or {}
        ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        days = int((ends - SystemClock().now().timestamp()) // 86_400)
        state = "ok" if days > _CERTIFICATE_DAYS else "warn"
        return self._look(f"tls.{state}", days=days, version=tls.version() or "-")

    def _in_clear(self) -> Look:
        """What plain http means for this hospital, where it is not refused."""
        if is_gateway(self._url, self._settings):
            return self._look("tls.gateway.warn", gateway=self._settings.gateway)
        return self._look("tls.none.warn")

    def _clock(self, platform: Platform) -> Look:
        if platform.clock_seen is None:
            return self._look("clock.unknown.warn")
        differs = round((datetime.now(UTC) - platform.clock_seen[0]).total_seconds())
        state = "warn" if abs(differs) > CLOCKS_DIFFER.total_seconds() else "ok"
        return self._look(f"clock.{state}", seconds=differs)

    def _token(self, refused: Reply) -> Look:
        if refused.result_code == _NOT_ALLOWED or refused.answer in MERE_STATUS:
            return self._look("allowed.missing", reason=refused.result_code or refused.detail)
        return self._look("token.missing", **self._said(refused))

    async def _gate(self, platform: Platform, gate: LedgerGate) -> Look:
        """One call that passes the gate if token, signature, hospital and address are right."""
        settings = self._settings
        client = OpenPlatform(platform, gate, hospital_id=settings.hospital_id, tables=self._context.tables)
        answered: Answered[Any] = await client.call(GetHealthCardByHealthCode(health_code=_NOBODYS))
        reply = answered.reply
        if reply.answer in {Answer.REFUSED, Answer.ACCEPTED} and reply.result_code in {
            0,
            *INTERFACES[GetHealthCardByHealthCode.interface].own_codes,
        }:
            return self._look("gate.ok", hospital_id=settings.hospital_id)
        if reply.result_code == _NOT_ALLOWED or reply.answer in MERE_STATUS:
            return self._look("allowed.missing", reason=reply.result_code or reply.detail)
        if reply.answer is Answer.QUOTA:
            return self._look("gate.spent.warn")
        if reply.answer in UNAVAILABLE or reply.answer is Answer.THROTTLED:
            return self._look("gate.warn", meaning=self._said(reply)["meaning"])
        return self._look("gate.missing", hospital_id=settings.hospital_id, **self._said(reply))

    def _said(self, reply: Reply) -> dict[str, object]:
        """Code, meaning and advice of a refusal."""
        code = reply.result_code
        if code is None:
            return {"code": "-", "meaning": reply.detail or reply.answer.value, "advice": ""}
        return {"code": str(code), "meaning": meanings().get(code, ""), "advice": advice(code, self._words)}

    def _quota(self, gate: LedgerGate) -> Look:
        if self._settings.live:
            return self._look("quota.live.ok")
        limit, today = self._settings.daily_quota, gate.clock.today()

        def used(connection: LedgerConnection) -> dict[str, int]:
            count = partial(quota.used, connection, hospital=self._hospital.id, day=today)
            return {name: calls for name in INTERFACES if (calls := count(interface=name))}

        with self._context.ledger.read() as connection:
            calls = used(connection)
        spent = [name for name, number in calls.items() if number >= limit]
        if spent:
            return self._look("quota.warn", used=self._words.list(spent), limit=limit)
        listed = self._words.list(f"{name} {number}" for name, number in calls.items()) or "0"
        return self._look("quota.ok", used=listed, limit=limit)
