"""The platform's pages, as far as a redirect goes: 2.3.5, 2.4.5 and 2.5.5. Who the user is says WeChat, here `user`.

A page leads back to `redirect_uri` with what it is for as a parameter. Its host must be on the list of domains, if
there is one (3.1.1).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from platform_sandbox.cards import Cards

USER_CODE: Final = "/open/getUserCode"
CARD_LIST: Final = "/open/getHealthCardList"
ACTIVATE: Final = "/open/batchActiveCard"


class PageError(Exception):
    """What the page says instead of leading back; in Chinese, as a user sees it."""


class Pages:
    """Of one sandbox. `hosts`: those that a redirect may lead to; empty: any."""

    def __init__(self, cards: Cards, hosts: frozenset[str], clock: Callable[[], datetime]) -> None:
        self._cards, self._hosts, self._clock = cards, hosts, clock

    def visit(self, path: str, query: dict[str, str]) -> str:
        """Where the page leads. PageError if it cannot."""
        redirect = self._redirect(query.get("redirect_uri", ""))
        user = query.get("user", "user-1")
        if path == USER_CODE:
            return _with(redirect, wechatCode=self._cards.wechat_code(user, self._clock()))
        if path == CARD_LIST:
            return _with(redirect, healthCode=self._health_code(user, query.get("card", "")))
        open_id = query.get("open_id", "")
        if not open_id or not self._cards.activate(open_id):
            raise PageError("没有可激活的健康卡")
        return redirect

    def _health_code(self, user: str, chosen: str) -> str:
        held = [card for card in self._cards.of_account(user) if chosen in ("", card.card_id)]
        if not held:
            raise PageError("没有健康卡，请先注册")
        return self._cards.health_code(held[0].card_id, self._clock())

    def _redirect(self, uri: str) -> str:
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        named = f"{host}:{port}" if host and port else host
        if not host or parts.scheme not in ("http", "https") or (self._hosts and not {host, named} & self._hosts):
            raise PageError("回跳地址非法")
        return uri


def _with(uri: str, **parameters: str) -> str:
    """The address with parameters, those that it has first."""
    parts = urlsplit(uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()])
    return urlunsplit(parts._replace(query=query))
