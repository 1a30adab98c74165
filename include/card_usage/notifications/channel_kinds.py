"""Channel kinds: every kind of Airflow connection that can be a channel, declared once.

The table of docs/alerts.md is generated from `KINDS` (make docs). To add a kind, declare it here with a function that
builds its Apprise plugin; a chat robot of its own goes into `chat_robots`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from card_usage.config.connections import Connection
from card_usage.errors import BadConnection

if TYPE_CHECKING:
    from apprise.plugins import NotifyBase

_FIELDS: Final = ("password", "host", "extra")
_PORTS: Final[Mapping[str, int]] = {"ssl": 465, "starttls": 587, "none": 25}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelKind:
    """A kind of channel.

    `plugin`: builds the Apprise plugin of a connection; None, or TypeError, ValueError or AppriseException if Apprise
    does not accept it. `aliases`: other names of the connection type. `html`: whether it shows HTML.
    `fields_in_payload`: whether it carries a message's fields for programs. `title`
    and `fields`, by the name of a connection's field what it holds: for the documentation.
    """

    name: str
    plugin: Callable[[Connection], NotifyBase | None]
    aliases: tuple[str, ...] = ()
    html: bool = False
    fields_in_payload: bool = False
    title: str = ""
    fields: Mapping[str, str]


def bad_connection(connection: Connection, problem: str) -> BadConnection:
    """The error about a connection that cannot be a channel; it has nothing of the connection but its id."""
    return BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem=problem)


def kind_of(connection: Connection) -> ChannelKind:
    """The kind that the connection's type names, or `kind` in its extra. Raises BadConnection."""
    named = str(connection.extra.get("kind") or connection.conn_type)
    if named not in _BY_NAME:
        raise bad_connection(connection, f"has type '{named}', which is no channel; known are {', '.join(KINDS)}")
    return _BY_NAME[named]


def table() -> str:
    """Markdown: every kind of channel, and what its connection has in each field."""
    lines = [
        "| `conn_type`, or `kind` in the extra of an `http` connection | Password | Host | Extra |",
        "| --- | --- | --- | --- |",
    ]
    for kind in KINDS.values():
        cells = (f"`{kind.name}` {kind.title}".strip(), *(kind.fields.get(field, "") for field in _FIELDS))
        lines.append("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|")
    return "\n".join(lines)


def _wecom(connection: Connection) -> NotifyBase | None:
    from card_usage.notifications.chat_robots import WeCom

    return WeCom(key=_robot_key(connection, "key"))


def _dingtalk(connection: Connection) -> NotifyBase | None:
    from card_usage.notifications.chat_robots import DingTalk

    return DingTalk(token=_robot_key(connection, "access_token"), secret=_secret(connection) or None)


def _feishu(connection: Connection) -> NotifyBase | None:
    from card_usage.notifications.chat_robots import Feishu

    return Feishu(token=_robot_key(connection, None), secret=_secret(connection))


def _secret(connection: Connection) -> str:
    return str(connection.extra.get("secret") or "")


def _robot_key(connection: Connection, parameter: str | None) -> str:
    """A robot's key: the password, or what is in it if that is the whole webhook address.

    `parameter`: of the address's query; None: the last part of its path.
    """
    text = connection.password.strip()
    if "://" not in text:
        return text
    address = urlsplit(text)
    if parameter is None:
        return address.path.rstrip("/").rpartition("/")[2]
    return parse_qs(address.query).get(parameter, [""])[0]


def _from_url(url: str) -> NotifyBase | None:
    import apprise

    return apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(http_redirects=False)) or None


def _mail(connection: Connection) -> NotifyBase | None:
    extra = connection.extra
    to = extra.get("to") or ""
    recipients = [str(name) for name in to] if isinstance(to, list) else [name.strip() for name in str(to).split(",")]
    tls = str(
        extra.get("tls") or ("ssl" if connection.port == 465 else "none" if connection.port == 25 else "starttls")
    )
    if not connection.host or not any(recipients) or tls not in _PORTS:
        raise bad_connection(connection, "needs a host, `to` in its extra, and `tls` one of ssl, starttls, none")
    parameters = {
        "from": str(extra.get("from") or connection.login),
        "to": ",".join(name for name in recipients if name),
        "smtp": connection.host,
        "mode": "insecure" if tls == "none" else tls,
    }
    parameters |= {name: str(extra[name]) for name in ("cc", "name") if extra.get(name)}
    from card_usage.notifications.mail import Mail

    scheme = "mailto" if tls == "none" else "mailtos"
    server = f"{connection.host}:{connection.port or _PORTS[tls]}"
    parsed = Mail.parse_url(f"{scheme}://{_login(connection)}{server}?{urlencode(parameters)}")
    return Mail(**parsed) if parsed else None


def _webhook(connection: Connection) -> NotifyBase | None:
    """Apprise's JSON notification by POST: {"version", "title", "message", "attachments", "type"} and the fields."""
    scheme, _, server = connection.base_url().partition("://")
    path = "" if connection.schema in ("", "http", "https") else f"/{connection.schema}"
    headers = connection.extra.get("headers") or {}
    query = urlencode({f"+{name}": value for name, value in headers.items()} | {"verify": "yes"})
    from card_usage.notifications.http_channels import Webhook

    parsed = Webhook.parse_url(f"json{'s' if scheme == 'https' else ''}://{_login(connection)}{server}{path}?{query}")
    return Webhook(**parsed) if parsed else None


def _login(connection: Connection) -> str:
    if not connection.login:
        return ""
    return f"{quote(connection.login, safe='')}:{quote(connection.password, safe='')}@"


def _apprise(connection: Connection) -> NotifyBase | None:
    return _from_url(connection.password)


_DECLARED: Final = (
    ChannelKind(
        name="wecom",
        plugin=_wecom,
        title="企业微信群机器人",
        fields={"password": "the robot's webhook address, or its key", "host": "a gateway, if the network needs one"},
    ),
    ChannelKind(
        name="dingtalk",
        plugin=_dingtalk,
        title="钉钉自定义机器人",
        fields={
            "password": "the robot's webhook address, or its token",
            "host": "the same",
            "extra": "`secret` if it signs (加签)",
        },
    ),
    ChannelKind(
        name="feishu",
        plugin=_feishu,
        aliases=("feishubot",),
        title="飞书自定义机器人",
        fields={
            "password": "the robot's webhook address, or its token",
            "host": "the same",
            "extra": "`secret` if it signs (签名校验)",
        },
    ),
    ChannelKind(
        name="smtp",
        plugin=_mail,
        aliases=("email",),
        html=True,
        title="mail",
        fields={
            "password": "the mailbox's password (授权码), with `login`",
            "host": "mail server; port 465, 587 or 25",
            "extra": "`to` (list), `from`, `cc`, `tls`: `ssl`, `starttls`, `none`",
        },
    ),
    ChannelKind(
        name="webhook",
        plugin=_webhook,
        aliases=("http", "https"),
        fields_in_payload=True,
        fields={
            "password": "basic authentication, with `login`",
            "host": "`https://host`, path in the schema",
            "extra": '`headers`; gets `{"title", "message", "severity", "cause", "hospital", "count", ...}`',
        },
    ),
    ChannelKind(name="apprise", plugin=_apprise, fields={"password": "any [Apprise](https://appriseit.com/) URL"}),
)
KINDS: Final[Mapping[str, ChannelKind]] = MappingProxyType({kind.name: kind for kind in _DECLARED})
_BY_NAME: Final = {name: kind for kind in _DECLARED for name in (kind.name, *kind.aliases)}
