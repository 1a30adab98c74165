"""Outbox: messages for people, stored in the ledger until a channel has taken them.

A message is put in within the transaction of what it is about, so that neither exists without the other. Each channel
(an Airflow connection) has its own queue and its own backoff: one that is down delays no other, and what waits for it
is sent in order once it works again, unless it has expired by then.

waiting --taken--> sent
waiting --nobody took it in time--> expired      both are kept for KEEP, then removed
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, literal, or_, select, update

from card_usage.ledger.holds import EVERYONE
from card_usage.ledger.schema import WAITING, channel, outbox
from card_usage.ledger.upsert import insert_into
from card_usage.notifications.attachments import Attachment, from_json, to_json

LIFE: Final = timedelta(days=3)
"""How long a message waits for a channel that is down."""
KEEP: Final = timedelta(days=90)
LEASE: Final = timedelta(minutes=10)
"""How long one sender may work on a channel before another may try."""
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(minutes=30)


class QueuedMessage(NamedTuple):
    """A message that is due. `text` is Markdown that reads well as it is; `fields`: the same for programs.
    `only_to`: the mailboxes that an earlier try left over; none: all."""

    id: int
    hospital: str
    topic: str
    subject: str
    text: str
    html: str | None
    attachments: tuple[Attachment, ...]
    attempts: int
    fields: Mapping[str, object]
    only_to: tuple[str, ...]


class ChannelState(NamedTuple):
    """The state of a channel. `waiting`: messages in its queue.

    `problem`: why it is down; of one that is not, the mailboxes that refused the last message, which others took.
    """

    name: str
    waiting: int
    down_since: datetime | None
    problem: str | None
    next_try_at: datetime | None
    last_sent_at: datetime | None


def pause(failures: int) -> timedelta:
    """Until the next try after so many failures (>= 1) in a row: 1, 2, 4 ... 30 minutes."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(10, failures - 1)))


def enqueue(
    connection: Connection,
    name: str,
    subject: str,
    text: str,
    html: str | None = None,
    attachments: Sequence[Attachment] = (),
    *,
    fields: Mapping[str, object] = MappingProxyType({}),
    now: datetime,
    hospital: str = EVERYONE,
    topic: str = "",
    life: timedelta = LIFE,
) -> int:
    """Put a message into the queue of the channel `name`; returns its id. Committed with the caller's transaction.

    `html` and `attachments` go where the channel can carry them (mail), `fields` where a program reads them (webhook);
    everywhere else `text` says it all.
    """
    values = {
        "hospital": hospital,
        "channel": name,
        "topic": topic[:64],
        "subject": subject[:200],
        "text": text,
        "html": html,
        "attachments": to_json(attachments),
        "fields": json.dumps(dict(fields), ensure_ascii=False),
        "created_at": now,
        "next_try_at": now,
        "expires_at": now + life,
    }
    return int(connection.execute(insert(outbox).values(values).returning(outbox.c.id)).scalar_one())


def due_channels(connection: Connection, now: datetime) -> list[str]:
    """Channels with a message to send now, and that nobody is sending on, by name."""
    free = or_(channel.c.busy_until.is_(None), channel.c.busy_until <= now)
    rested = or_(channel.c.next_try_at.is_(None), channel.c.next_try_at <= now)
    query = (
        select(outbox.c.channel)
        .select_from(outbox.outerjoin(channel, channel.c.name == outbox.c.channel))
        .where(WAITING, outbox.c.next_try_at <= now, free, rested)
        .group_by(outbox.c.channel)
        .order_by(outbox.c.channel)
    )
    return list(connection.scalars(query))


def lease(connection: Connection, name: str, now: datetime) -> bool:
    """Become the only sender on this channel, for LEASE or until `release`; False if somebody else is."""
    connection.execute(insert_into(connection, channel).values(name=name).on_conflict_do_nothing())
    free = or_(channel.c.busy_until.is_(None), channel.c.busy_until <= now)
    mine = update(channel).where(channel.c.name == name, free).values(busy_until=now + LEASE)
    return connection.execute(mine).rowcount == 1


def due_messages(connection: Connection, name: str, now: datetime, most: int) -> list[QueuedMessage]:
    """What the channel has to send now, oldest first."""
    columns = ("id", "hospital", "topic", "subject", "text", "html", "attachments", "attempts", "fields", "only_to")
    query = (
        select(*(outbox.c[column] for column in columns))
        .where(WAITING, outbox.c.channel == name, outbox.c.next_try_at <= now)
        .order_by(outbox.c.id)
        .limit(most)
    )
    return [
        QueuedMessage(
            **{
                **row,
                "attachments": from_json(row["attachments"]),
                "fields": json.loads(row["fields"] or "{}"),
                "only_to": tuple(json.loads(row["only_to"] or "[]")),
            }
        )
        for row in connection.execute(query).mappings()
    ]


def mark_sent(
    connection: Connection,
    message: QueuedMessage,
    name: str,
    now: datetime,
    *,
    refused: str = "",
    later: Sequence[str] = (),
) -> None:
    """The channel took the message, so it is not down.

    `refused`: mailboxes that refused it for good. `later`: mailboxes that it is sent to again, and to no other.
    """
    again = {"only_to": json.dumps(list(later)), "next_try_at": now + pause(message.attempts + 1)}
    values: dict[str, object] = again if later else {"status": "sent", "ended_at": now}
    values["attempts"] = outbox.c.attempts + 1
    connection.execute(update(outbox).where(outbox.c.id == message.id, WAITING).values(values))
    working: dict[str, object] = {"failures": 0, "down_since": None, "next_try_at": None, "last_sent_at": now}
    # What went to some mailboxes only says nothing about the others.
    if refused or not message.only_to:
        working["problem"] = refused[:200] or None
    connection.execute(update(channel).where(channel.c.name == name).values(working))


def mark_failed(connection: Connection, message: QueuedMessage, now: datetime, *, alone: bool) -> None:
    """The channel did not take the message. `alone`: it took others, so this one is retried later and by itself."""
    retried = {"attempts": message.attempts + 1, "next_try_at": now + pause(message.attempts + 1) if alone else now}
    connection.execute(update(outbox).where(outbox.c.id == message.id, WAITING).values(retried))


def rest(connection: Connection, name: str, problem: str, now: datetime) -> None:
    """The channel is down: no message is sent on it for a while, longer each time."""
    failures = (connection.scalar(select(channel.c.failures).where(channel.c.name == name)) or 0) + 1
    values = {
        "failures": failures,
        "problem": problem[:200],
        "down_since": func.coalesce(channel.c.down_since, literal(now, channel.c.down_since.type)),
        "next_try_at": now + pause(failures),
    }
    connection.execute(update(channel).where(channel.c.name == name).values(values))


def release(connection: Connection, name: str) -> None:
    """End the lease."""
    connection.execute(update(channel).where(channel.c.name == name).values(busy_until=None))


def expire(connection: Connection, now: datetime) -> int:
    """Expire messages that have waited too long; returns how many. Also deletes what ended long ago."""
    late = and_(WAITING, outbox.c.expires_at <= now)
    expired = connection.execute(update(outbox).where(late).values(status="expired", ended_at=now)).rowcount
    connection.execute(delete(outbox).where(outbox.c.status != "waiting", outbox.c.created_at < now - KEEP))
    return expired


def channel_states(connection: Connection) -> list[ChannelState]:
    """Every channel that ever had a message, by name."""
    waiting = (
        select(outbox.c.channel, func.count().label("waiting")).where(WAITING).group_by(outbox.c.channel).subquery()
    )
    names = select(channel.c.name).union(select(waiting.c.channel)).subquery()
    query = (
        select(
            names.c.name,
            func.coalesce(waiting.c.waiting, 0),
            *(channel.c[column] for column in ("down_since", "problem", "next_try_at", "last_sent_at")),
        )
        .select_from(
            names.outerjoin(channel, channel.c.name == names.c.name).outerjoin(
                waiting, waiting.c.channel == names.c.name
            )
        )
        .order_by(names.c.name)
    )
    return [ChannelState._make(row) for row in connection.execute(query)]
