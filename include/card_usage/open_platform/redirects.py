"""Redirects: the platform's pages that a user is led to, and what they lead back with (document 2.3.5, 2.4.5, 2.5.5).

The platform refuses a way back to a host that is not on the application's list (3.1.1: 域名白名单, host or host and
port), with 回跳地址非法 and in front of the user; so it is checked here first. The address goes into the page's query
percent-encoded, which the document's `${redirect_uri}` leaves to the reader.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from card_usage.errors import RedirectRefused

PAGES: Final = "https://health.tengmed.com"
"""Where the platform's pages are."""

WECHAT_CODE: Final = "wechatCode"
HEALTH_CODE: Final = "healthCode"


def user_code_url(back: str, *, allowed: Collection[str] = (), pages: str = PAGES) -> str:
    """The page that leads back with a wechatCode (2.3.5). `allowed`: the list of hosts; empty: not checked.

    Raises RedirectRefused, as all of these do.
    """
    return f"{pages}/open/getUserCode?redirect_uri={_checked(back, allowed)}"


def card_list_url(back: str, *, allowed: Collection[str] = (), pages: str = PAGES) -> str:
    """The page on which a user chooses a card, and that leads back with its healthCode (2.4.5)."""
    return f"{pages}/open/getHealthCardList?redirect_uri={_checked(back, allowed)}"


def activation_url(encrypted_open_id: str, back: str, *, allowed: Collection[str] = (), pages: str = PAGES) -> str:
    """The page that activates the card of a batch (2.5.5). `encrypted_open_id`: as the platform's staff says how; the
    document writes `${encryptData}` and no more."""
    if not encrypted_open_id:
        raise RedirectRefused(problem="the openId is absent", section="2.5.5")
    way_back = _checked(back, allowed)
    return f"{pages}/open/batchActiveCard?open_id={quote(encrypted_open_id, safe='')}&redirect_uri={way_back}"


def returned(url: str, parameter: str) -> str:
    """The code that the address brings back, as it is: once. Raises RedirectRefused, without quoting the address."""
    found = parse_qs(urlsplit(url).query).get(parameter, [])
    if len(found) != 1 or not found[0]:
        problem = f"the way back has {len(found)} {parameter} instead of one"
        raise RedirectRefused(problem=problem, section="2.3.5, 2.4.5")
    return found[0]


def _checked(back: str, allowed: Collection[str]) -> str:
    """The address, percent-encoded."""
    try:
        parts = urlsplit(back)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RedirectRefused(problem="the way back is no URL", section="3.1.1") from None
    if parts.scheme not in {"http", "https"} or not host or not back.isascii() or not back.isprintable() or " " in back:
        raise RedirectRefused(problem="the way back is no absolute http or https URL in ASCII", section="3.1.1")
    if parts.fragment:
        raise RedirectRefused(problem="the way back has a #fragment, which swallows parameters", section="3.1.1")
    if parts.username is not None:
        raise RedirectRefused(problem="the way back has a login in front of its host", section="3.1.1")
    if allowed and host not in allowed and f"{host}:{port}" not in allowed:
        problem = f"{host} is not on the list of hosts that pages may lead back to: add it on the platform's website"
        raise RedirectRefused(problem=problem, section="3.1.1")
    return quote(back, safe="")
