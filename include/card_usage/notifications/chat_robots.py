"""Chat robots of group chats (企业微信, 钉钉, 飞书), as plugins of Apprise that read the response body.

Each of the three answers a refusal (wrong key, no keyword, too many messages) with HTTP 200 and a code in the body.
Apprise's own plugins look at the HTTP status only and would call such a message sent; these do not. They also send
Markdown where the chat shows it, cut to the chat's limit in bytes, and may go through a gateway (`host` of the
connection) where the hospital's network does not lead to the internet.

Raises nothing: a plugin returns False, and `problem` says why, without key or token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import httpx
from apprise import NotifyFormat, NotifyType
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.wecombot import NotifyWeComBot

from card_usage.notifications.http_channels import NotPosted, post

_CUT: Final = "\n……"


def cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, whole lines, with a mark where the rest is missing."""
    if len(text.encode()) <= most:
        return text
    lines, left = [], most - len(_CUT.encode())
    for line in text.split("\n"):
        left -= len(line.encode()) + 1
        if left < 0:
            break
        lines.append(line)
    kept = "\n".join(lines) or text.encode()[: most - len(_CUT.encode())].decode("utf-8", "ignore")
    return kept + _CUT


class ChatRobot:
    """Posts one JSON payload; the code in the response body decides, not the status.

    `limit`: bytes of a message. `codes`: names of the code in the body. `gateway`: takes the place of the robot's host.
    """

    limit: ClassVar[int]
    codes: ClassVar[tuple[str, ...]]
    gateway: str = ""
    problem: str = ""

    def post(self, url: str, payload: Mapping[str, Any], params: Mapping[str, str] | None = None) -> bool:
        address = httpx.URL(url)
        if self.gateway:
            gateway = httpx.URL(self.gateway)
            path = gateway.path.rstrip("/") + address.path
            address = address.copy_with(scheme=gateway.scheme, host=gateway.host, port=gateway.port, path=path)
        try:
            response = post(address.copy_merge_params(params or {}), json.dumps(payload).encode())
        except NotPosted as problem:
            self.problem = str(problem)
            return False
        try:
            body = response.json()
        except ValueError:
            self.problem = f"HTTP {response.status_code}, the answer is no JSON"
            return False
        code = next((body[name] for name in self.codes if name in body), None) if isinstance(body, dict) else None
        if response.is_success and code == 0:
            return True
        explanation = next((body[name] for name in ("errmsg", "msg", "StatusMessage") if body.get(name)), "")
        self.problem = f"HTTP {response.status_code}, code {code}: {str(explanation)[:80]}".strip(" :")
        return False


class WeCom(ChatRobot, NotifyWeComBot):
    """群机器人. Markdown, 4,096 bytes, 20 messages a minute."""

    limit, codes = 4096, ("errcode",)
    title_maxlen = 250
    body_maxlen = 100_000

    def send(self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any) -> bool:
        text = cut(f"**{title}**\n{body}" if title else body, self.limit)
        return self.post(self.api_url, {"msgtype": "markdown", "markdown": {"content": text}})


class DingTalk(ChatRobot, NotifyDingTalk):
    """自定义机器人. Markdown, 20,000 bytes, 20 messages a minute; with a secret, signed."""

    limit, codes = 18_000, ("errcode",)
    body_maxlen = 100_000

    def send(
        self,
        body: str,
        title: str = "",
        notify_type: NotifyType = NotifyType.INFO,
        body_format: NotifyFormat | None = None,
        **_: Any,
    ) -> bool:
        stamp, signature = self.get_signature() if self.secret else ("", "")
        # Two spaces: DingTalk joins lines that do not end with them.
        text = cut(f"### {title}\n\n{body}" if title else body, self.limit).replace("\n", "  \n")
        payload = {"msgtype": "markdown", "markdown": {"title": title or self.app_desc, "text": text}}
        url = self.notify_url.format(token=self.token)
        if not self.secret:
            return self.post(url, payload)
        return self.post(url, payload, {"timestamp": stamp, "sign": httpx.QueryParams(f"s={signature}")["s"]})


class Feishu(ChatRobot, NotifyFeishu):
    """自定义机器人. A card with Markdown, 20,000 bytes, 100 messages a minute; with a secret, signed."""

    limit, codes = 18_000, ("code", "StatusCode")
    title_maxlen = 250
    body_maxlen = 100_000

    def __init__(self, token: str, secret: str = "", **kwargs: Any) -> None:
        super().__init__(token, **kwargs)
        self.secret = secret

    def send(self, body: str, title: str = "", notify_type: NotifyType = NotifyType.INFO, **_: Any) -> bool:
        card = {
            "header": {"title": {"tag": "plain_text", "content": title}, "template": "blue"},
            "elements": [{"tag": "markdown", "content": cut(body, self.limit)}],
        }
        payload: dict[str, Any] = {"msg_type": "interactive", "card": card}
        if self.secret:
            stamp = str(int(time.time()))
            key = f"{stamp}\n{self.secret}".encode()
            payload |= {"timestamp": stamp, "sign": base64.b64encode(hmac.digest(key, b"", hashlib.sha256)).decode()}
        return self.post(self.notify_url.format(token=self.token).rstrip("/"), payload)
