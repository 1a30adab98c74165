"""Channels: those that have taken no message for some time, and mailboxes that refuse what others take."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from card_usage.alerts.incidents import Condition
from card_usage.notifications import outbox
from card_usage.windows import HOUR

DOWN: Final = HOUR


def _channel_down(connection: Connection, now: datetime) -> Iterator[Condition]:
    for channel in outbox.channel_states(connection):
        if channel.waiting and channel.down_since is not None and now - channel.down_since >= DOWN:
            hours = int((now - channel.down_since) / HOUR)
            yield Condition(
                cause="channel_down",
                detail=channel.name,
                severity="warning",
                count=channel.waiting,
                since=channel.down_since,
                facts={"channel": channel.name, "hours": hours},
            )


def _mailbox_refused(connection: Connection, now: datetime) -> Iterator[Condition]:
    for channel in outbox.channel_states(connection):
        if channel.down_since is None and channel.problem and channel.last_sent_at is not None:
            mailboxes = tuple(part.partition(":")[0] for part in channel.problem.split("; "))
            yield Condition(
                cause="mailbox_refused",
                detail=channel.name,
                severity="warning",
                count=len(mailboxes),
                since=channel.last_sent_at,
                parts=mailboxes,
                facts={"channel": channel.name, "reason": channel.problem},
            )


FLEET_DETECTORS = (_channel_down, _mailbox_refused)
