"""HTTP channels: one way to post a message, for chat robots and webhooks alike.

Redirects are not followed: where they lead was named by nobody, and a page that answers 200 there has taken no message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
from apprise import NotifyFormat, NotifyType
from apprise.exception import AppriseException
from apprise.plugins.custom_json import NotifyJSON

from card_usage.config.http_clients import client, refusal
from card_usage.errors import BadProxy

TIMEOUT: Final = 10.0


class NotPosted(Exception):
    """No answer came; the text says why, without the address."""


def post(
    url: httpx.URL, content: bytes, *, headers: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None
) -> httpx.Response:
    """Post to a channel's address by the proxy that the environment names. Raises NotPosted."""
    try:
        with client(str(url), seconds=TIMEOUT) as opened:
            named = {"Content-Type": "application/json", **(headers or {})}
            return opened.post(
                url, content=content, headers=named, auth=auth or httpx.USE_CLIENT_DEFAULT, follow_redirects=False
            )
    except BadProxy as problem:
        raise NotPosted(str(problem)) from None
    except httpx.HTTPError as error:
        raise NotPosted(refusal(error, str(url)) or type(error).__name__) from None


class Webhook(NotifyJSON):
    """Apprise's JSON notification: {"version", "title", "message", "attachments", "type"} and the fields."""

    problem: str = ""

    def send(
        self,
        body: str,
        title: str = "",
        notify_type: NotifyType = NotifyType.INFO,
        attach: Any = None,
        body_format: NotifyFormat | None = None,
        **_: Any,
    ) -> bool:
        """Whether the address answered with a status of 2xx itself."""
        try:
            attachments = [
                {"filename": one.name or f"file{n:03}.dat", "base64": one.base64(), "mimetype": one.mimetype}
                for n, one in enumerate(attach or (), 1)
            ]
        except AppriseException as error:
            self.problem = f"an attachment cannot be read: {type(error).__name__}"
            return False
        payload = {
            "version": self.json_version,
            "title": title,
            "message": body,
            "attachments": attachments,
            "type": notify_type.value,
        } | self.payload_extras
        port = f":{self.port}" if isinstance(self.port, int) else ""
        url = httpx.URL(f"{'https' if self.secure else 'http'}://{self.host}{port}{self.fullpath}")
        try:
            response = post(
                url.copy_merge_params(self.params),
                json.dumps(payload).encode(),
                headers={"User-Agent": self.app_id, **self.headers},
                auth=(self.user, self.password or "") if self.user else None,
            )
        except NotPosted as problem:
            self.problem = str(problem)
            return False
        if response.is_success:
            return True
        led = ", a redirect, which is not followed: name the address that it leads to" if response.is_redirect else ""
        self.problem = f"HTTP {response.status_code}{led}"
        return False
