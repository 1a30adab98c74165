"""Channels: those that have taken no message for some time."""

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


FLEET_DETECTORS = (_channel_down,)
