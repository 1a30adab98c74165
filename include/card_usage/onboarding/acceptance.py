"""Acceptance: what the review before go-live asks of interfaces (document 2.8.3), tried against the sandbox, as a page.

Protocol (2.8.3.1), exchange and exceptions, integrity, messages (2.8.3.6), robustness (2.8.3.8), time (2.8.3.9). Every
item is tried, none is ticked off by hand; what the review asks of pages and their look is no matter of interfaces. The
sandbox's faults are changed meanwhile and set back at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from card_usage.config.connections import Connection
from card_usage.config.http_clients import async_client
from card_usage.context import Context
from card_usage.errors import CallRefused, FlowBroken, NoRehearsal, RedirectRefused, RequestRefused
from card_usage.onboarding.acceptance_items import TIMEOUT, Item, Review
from card_usage.open_platform.session import opened_gate
from card_usage.windows import local
from card_usage.words.catalogue import Words

HERE: Final = Path(__file__).parent
CONCURRENCY: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The result. `host`: the sandbox; `target`: the hospital's own platform, "" if its connection is not set."""

    host: str
    target: str
    made_at: datetime
    items: tuple[Item, ...]

    @property
    def passed(self) -> bool:
        """Whether every item was."""
        return all(item.passed for item in self.items)


def accept(context: Context, *, own: Connection | None, calls: int, reports: int) -> Accepted:
    """Try every item. `context`: over the connection of the rehearsal; `own`: the hospital's own connection, None if it
    is not set; `calls`, `reports`: how many the load and the lost answers are tried with.

    Raises NoRehearsal for what is no sandbox, BadConnection and LedgerUnreachable.
    """
    limited = {"call_timeout_seconds": TIMEOUT, "concurrency": CONCURRENCY}
    platform = context.hospital.platform.model_copy(update=limited)
    hospital = context.hospital.model_copy(update={"platform": platform})
    return asyncio.run(_accept(replace(context, hospital=hospital), own, calls, reports))


async def _accept(context: Context, own: Connection | None, calls: int, reports: int) -> Accepted:
    connection = context.connection_of(context.hospital.platform.connection)
    url = connection.base_url()
    async with (
        async_client(url, seconds=10) as http,
        _restored(http, context.hospital.id),
        opened_gate(context.ledger, context.hospital, connection=connection, tables=context.tables) as (caller, gate),
    ):
        gate.haste = 0.01  # the sandbox needs no pauses
        review = Review(context, connection, http, caller, gate)
        tried: dict[str, tuple[str, Callable[[], Awaitable[Item]]]] = {
            "protocol": ("2.8.3.1", partial(review.protocol, own)),
            "untrusted": ("2.8.3.1", review.untrusted),
            "exchange": ("2.8.3.6", review.exchange),
            "codes": ("2.8.3.6", review.codes),
            "wire": ("2.8.3.6", review.wire),
            "token": ("2.8.3.6", review.token),
            "lost_answers": ("2.8.3.6", partial(review.lost_answers, reports)),
            "replay": ("2.8.3.6", review.replay),
            "tampering": ("2.8.3.6", review.tampering),
            "refused_before_sending": ("2.8.3.6", review.refused_before_sending),
            "nested": ("2.8.3.6", review.nested),
            "load": ("2.8.3.8", partial(review.load, calls)),
            "qr_time": ("2.8.3.9", review.qr_time),
        }
        items = []
        for name, (section, item) in tried.items():
            await review.calm()
            try:
                items.append(await item())
            except (CallRefused, FlowBroken, RedirectRefused, RequestRefused, httpx.HTTPError) as error:
                broken = {"broken off": type(error).__name__}
                items.append(Item(name=name, section=section, passed=False, figures=broken))
    target = own.base_url() if own is not None else ""
    return Accepted(host=url, target=target, made_at=datetime.now(UTC), items=tuple(items))


@asynccontextmanager
async def _restored(http: httpx.AsyncClient, hospital: str) -> AsyncIterator[None]:
    """The sandbox's faults as they were before. Raises NoRehearsal where there is none."""
    try:
        before = (await http.get("/sandbox/faults")).json()
        assert isinstance(before, dict)  # noqa: S101 - caught below
        assert "drop_after" in before  # noqa: S101
    except (httpx.HTTPError, ValueError, AssertionError):
        raise NoRehearsal(
            hospital=hospital,
            problem="the rehearsal's connection leads to no sandbox of this project",
            remedy="start python -m platform_sandbox and name it there",
        ) from None
    try:
        yield
    finally:
        await http.request("POST", "/sandbox/faults", json=before)


def as_json(accepted: Accepted, hospital: str) -> str:
    """The result for programs."""
    found = {
        "hospital": hospital,
        "sandbox": accepted.host,
        "platform": accepted.target,
        "made_at": accepted.made_at.isoformat(timespec="seconds"),
        "passed": accepted.passed,
        "items": [item.summary() for item in accepted.items],
    }
    return json.dumps(found, ensure_ascii=False)


def as_page(accepted: Accepted, *, hospital: str, hospital_id: str, version: str, words: Words) -> str:
    """The page to hand in: one self-contained HTML text."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("acceptance.html.jinja").render(
        a=accepted,
        w=words,
        hospital=hospital,
        hospital_id=hospital_id,
        version=version,
        made_at=f"{local(accepted.made_at):%Y-%m-%d %H:%M}",
        passed=sum(item.passed for item in accepted.items),
    )
