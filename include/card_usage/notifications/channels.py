"""Channels: an Airflow connection as a way to people, through Apprise.

| `conn_type` (or `kind` in the extra) | password | host | extra |
|---|---|---|---|
| `wecom` | the robot's webhook address, or its key | a gateway, if there is one | |
| `dingtalk` | the robot's webhook address, or its token | the same | `secret` if it signs (加签) |
| `feishu` | the robot's webhook address, or its token | the same | `secret` if it signs (签名校验) |
| `smtp` | the mailbox's password (授权码) | mail server, port | `to`, `from`, `cc`, `tls`: `ssl`, `starttls`, `none` |
| `webhook` | basic authentication, with `login` | `https://host/path` | `headers` |
| `apprise` | any Apprise URL | | |

Nothing of a connection but its id is ever logged or part of an error: its address is a password.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from card_usage.config.connections import Connection
from card_usage.errors import BadConnection, ChannelRefused

if TYPE_CHECKING:
    from apprise.plugins import NotifyBase

KINDS: Final = ("wecom", "dingtalk", "feishu", "smtp", "webhook", "apprise")
_ALSO: Final[Mapping[str, str]] = {"email": "smtp", "http": "webhook", "https": "webhook", "feishubot": "feishu"}
_PORTS: Final[Mapping[str, int]] = {"ssl": 465, "starttls": 587, "none": 25}


def deliver(
    connection: Connection, subject: str, text: str, html: str | None = None, attachments: Sequence[str] = ()
) -> None:
    """Send one message now. Raises BadConnection if the connection cannot be one, ChannelRefused if it is not taken."""
    import apprise

    for chatty in ("httpx", "httpcore", "urllib3"):  # their debug lines quote the address
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _heard() as heard:
        plugin = _plugin(connection)
        mail = _kind(connection) == "smtp"
        taken = plugin.notify(
            title=subject,
            body=html if html and mail else text,
            body_format=apprise.NotifyFormat.HTML if html and mail else apprise.NotifyFormat.TEXT,
            attach=apprise.AppriseAttachment(list(attachments)) if attachments and plugin.attachment_support else None,
        )
    if not taken:
        reason = getattr(plugin, "problem", "") or "; ".join(heard.said) or "no reason given"
        raise ChannelRefused(channel=connection.conn_id, reason=reason[:200])


def _kind(connection: Connection) -> str:
    named = str(connection.extra.get("kind") or connection.conn_type)
    return _ALSO.get(named, named)


def _plugin(connection: Connection) -> NotifyBase:
    """The Apprise plugin that the connection describes, ready to send."""
    import apprise

    from card_usage.notifications import chat_robots

    secret = str(connection.extra.get("secret") or "")
    plugin: NotifyBase | None
    try:
        match _kind(connection):
            case "wecom":
                plugin = chat_robots.WeCom(key=_key(connection, "key"))
            case "dingtalk":
                plugin = chat_robots.DingTalk(token=_key(connection, "access_token"), secret=secret or None)
            case "feishu":
                plugin = chat_robots.Feishu(token=_key(connection, None), secret=secret)
            case "smtp":
                plugin = apprise.Apprise.instantiate(_mail_url(connection))
            case "webhook":
                plugin = apprise.Apprise.instantiate(_webhook_url(connection))
            case "apprise":
                plugin = apprise.Apprise.instantiate(connection.password)
            case other:
                raise _bad(connection, f"has type '{other}', which is no channel; known are {', '.join(KINDS)}")
    except (TypeError, ValueError, apprise.exception.AppriseException):
        plugin = None
    if not plugin:
        raise _bad(connection, f"is no {_kind(connection)} channel that Apprise accepts (see docs/alerts.md)")
    if isinstance(plugin, chat_robots.WeCom | chat_robots.DingTalk | chat_robots.Feishu) and connection.host:
        plugin.gateway = connection.base_url()
    plugin.request_rate_per_sec = 0  # the queue paces
    return plugin


def _key(connection: Connection, parameter: str | None) -> str:
    """A robot's key: the password, or what stands in it when the whole webhook address was pasted."""
    text = connection.password.strip()
    if "://" not in text:
        return text
    place = urlsplit(text)
    if parameter is None:
        return place.path.rstrip("/").rpartition("/")[2]
    return parse_qs(place.query).get(parameter, [""])[0]


def _mail_url(connection: Connection) -> str:
    extra = connection.extra
    to = extra.get("to") or ""
    people = [str(one) for one in to] if isinstance(to, list) else [one.strip() for one in str(to).split(",")]
    tls = str(
        extra.get("tls") or ("ssl" if connection.port == 465 else "none" if connection.port == 25 else "starttls")
    )
    if not connection.host or not any(people) or tls not in _PORTS:
        raise _bad(connection, "needs a host, `to` in its extra, and `tls` one of ssl, starttls, none")
    login = f"{quote(connection.login, safe='')}:{quote(connection.password, safe='')}@" if connection.login else ""
    parameters = {
        "from": str(extra.get("from") or connection.login),
        "to": ",".join(one for one in people if one),
        "smtp": connection.host,
        "mode": "insecure" if tls == "none" else tls,
    }
    parameters |= {name: str(extra[name]) for name in ("cc", "name") if extra.get(name)}
    scheme = "mailto" if tls == "none" else "mailtos"
    return f"{scheme}://{login}{connection.host}:{connection.port or _PORTS[tls]}?{urlencode(parameters)}"


def _webhook_url(connection: Connection) -> str:
    """Apprise's JSON notification: {"version", "title", "message", "attachments", "type"}, by POST."""
    scheme, _, place = connection.base_url().partition("://")
    path = "" if connection.schema in ("", "http", "https") else f"/{connection.schema}"
    login = f"{quote(connection.login, safe='')}:{quote(connection.password, safe='')}@" if connection.login else ""
    headers = connection.extra.get("headers") or {}
    query = urlencode({f"+{name}": value for name, value in headers.items()} | {"cto": "10", "rto": "10"})
    return f"json{'s' if scheme == 'https' else ''}://{login}{place}{path}?{query}"


class _heard(logging.Handler):
    """What Apprise says in this thread while the block runs, kept out of our logs: its words may quote an address."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()
        self._logger = logging.getLogger("apprise")

    def __enter__(self) -> _heard:
        self._logger.propagate = False
        self._logger.setLevel(logging.WARNING)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.said.append(record.getMessage())


def _bad(connection: Connection, problem: str) -> BadConnection:
    return BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem=problem)
