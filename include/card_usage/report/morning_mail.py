"""Morning mail: the fleet's page as a message to the team's channels, once a day and channel.

It goes the way of all messages, through the outbox: a channel that is down delays it, and loses nothing. Where a
channel carries no HTML (a robot), its text says it all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from card_usage.ledger.schema import outbox as messages
from card_usage.notifications import outbox
from card_usage.report.mail import mail

LIFE: Final = timedelta(hours=20)
"""Yesterday's news is not sent beside today's."""


def send_morning(
    connection: Connection, figures: dict[str, Any], channels: Iterable[str], *, link: str, now: datetime
) -> list[str]:
    """Put the mail of these figures of the fleet into the queues; returns the channels that had not got it yet."""
    made = mail(figures, link=link)
    topic = f"morning {figures['day']}"
    query = select(messages.c.channel).where(messages.c.topic == topic)
    told = set(connection.scalars(query))
    fresh = [name for name in dict.fromkeys(channels) if name not in told]
    for name in fresh:
        outbox.enqueue(connection, name, made.subject, made.text, made.html, now=now, topic=topic, life=LIFE)
    return fresh
