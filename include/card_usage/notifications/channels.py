"""Channels: sends a message over an Airflow connection, through Apprise (`channel_kinds`: what connections it takes).

Nothing of a connection but its id is ever logged or part of an error: its address is a password.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from card_usage.config.connections import Connection
from card_usage.errors import ChannelRefused
from card_usage.notifications.attachments import Attachment
from card_usage.notifications.channel_kinds import ChannelKind, bad_connection, kind_of

if TYPE_CHECKING:
    from apprise import AppriseAttachment
    from apprise.plugins import NotifyBase


_REASON: Final = 400


class Receipt(NamedTuple):
    """What became of a message that a channel took: mailboxes that refused it for good, and those to try again."""

    refused: Mapping[str, str] = MappingProxyType({})
    later: Mapping[str, str] = MappingProxyType({})

    def named(self) -> str:
        """The mailboxes that refused, each with the server's answer."""
        return "; ".join(f"{address}: {answer}" for address, answer in self.refused.items())


def send(
    connection: Connection,
    subject: str,
    text: str,
    html: str | None = None,
    attachments: Sequence[Attachment] = (),
    *,
    fields: Mapping[str, object] = MappingProxyType({}),
    only_to: Collection[str] = (),
) -> Receipt:
    """Send one message now. Raises BadConnection if the connection cannot be one, ChannelRefused if it is not taken.

    `fields` go where a program reads them (webhook). `only_to`: of a mail, the recipients that still wait for it.
    """
    import apprise

    from card_usage.notifications.mail import Mail

    for chatty in ("httpx", "httpcore", "urllib3"):  # their debug lines quote the address
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _captured_logs() as captured:
        kind = kind_of(connection)
        plugin = _plugin(connection, kind)
        if kind.fields_in_payload:
            plugin.payload_extras = dict(fields)  # type: ignore[attr-defined]
        if isinstance(plugin, Mail):
            plugin.only_to = only_to
        as_html = bool(html) and kind.html
        try:
            taken = plugin.notify(
                title=subject,
                body=html if as_html else text,
                body_format=apprise.NotifyFormat.HTML if as_html else apprise.NotifyFormat.TEXT,
                attach=_attached(attachments) if attachments and plugin.attachment_support else None,
            )
        except Exception as error:  # of a library: it is this channel's, and the others get their messages
            raise ChannelRefused(channel=connection.conn_id, reason=type(error).__name__) from None
    if not taken:
        reason = getattr(plugin, "problem", "") or "; ".join(captured.messages) or "no reason given"
        raise ChannelRefused(channel=connection.conn_id, reason=reason[:_REASON])
    return Receipt(plugin.refused, plugin.later) if isinstance(plugin, Mail) else Receipt()


def _attached(attachments: Sequence[Attachment]) -> AppriseAttachment:
    """As Apprise takes them: files by their path, and contents from memory."""
    import apprise
    from apprise.attachment.memory import AttachMemory

    attached = apprise.AppriseAttachment()
    for attachment in attachments:
        if isinstance(attachment, str):
            attached.add(attachment)
        else:
            named = {"name": attachment.name, "mimetype": attachment.mimetype}
            attached.add(AttachMemory(content=attachment.content, **named))  # type: ignore[no-untyped-call]
    return attached


def _plugin(connection: Connection, kind: ChannelKind) -> NotifyBase:
    """The Apprise plugin that the connection describes, ready to send. Raises BadConnection."""
    import apprise

    from card_usage.notifications.chat_robots import ChatRobot

    try:
        plugin = kind.plugin(connection)
    except (TypeError, ValueError, apprise.exception.AppriseException):
        plugin = None
    if not plugin:
        raise bad_connection(connection, f"is no {kind.name} channel that Apprise accepts (see docs/alerts.md)")
    if isinstance(plugin, ChatRobot) and connection.host:
        plugin.gateway = connection.base_url()
    plugin.request_rate_per_sec = 0  # the outbox limits the rate
    return plugin


class _captured_logs(logging.Handler):
    """What Apprise logs in this thread while the block runs, kept out of our logs: it may quote an address."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._thread = threading.get_ident()
        self._logger = logging.getLogger("apprise")

    def __enter__(self) -> _captured_logs:
        self._logger.propagate = False
        self._logger.setLevel(logging.WARNING)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())
