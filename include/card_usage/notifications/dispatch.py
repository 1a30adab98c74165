"""Dispatch: sends what is due in the outbox, each channel independently.

A channel that does not answer delays no other: each has its thread, its queue and its backoff. A message that is not
taken is retried later; after two in a row the channel is left alone for a while. Delivery is at least once: a message
that was taken just before the process ended is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from card_usage.config.connections import Connection
from card_usage.errors import CardUsageError
from card_usage.ledger.database import Ledger
from card_usage.notifications import outbox
from card_usage.notifications.channels import send

log = logging.getLogger(__name__)

MOST: Final = 15
"""Messages a channel gets at a time: the robots of WeCom and DingTalk block who sends more than 20 a minute."""
_IN_A_ROW: Final = 2
_THREADS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchResult:
    """Messages `sent`, tries that `failed`, messages `expired`; `down`: channels that took nothing, and why.

    `dead`: of channels that took messages, the mailboxes that refused them.
    """

    sent: int
    failed: int
    expired: int
    down: dict[str, str]
    dead: dict[str, str] = field(default_factory=dict)

    def summary(self) -> dict[str, object]:
        """Fit for logs and XCom."""
        return asdict(self)


def dispatch(
    ledger: Ledger, connection_of: Callable[[str], Connection], *, now: datetime, most: int = MOST
) -> DispatchResult:
    """Send what is due on every channel. Raises errors of the ledger only: what a channel refuses is in the result."""
    with ledger.write() as connection:
        expired = outbox.expire(connection, now)
        names = outbox.due_channels(connection, now)
    if expired:
        log.warning("%d messages expired: no channel took them in time", expired)
    if not names:
        return DispatchResult(sent=0, failed=0, expired=expired, down={})
    with ThreadPoolExecutor(min(_THREADS, len(names)), "channel") as threads:
        results = list(threads.map(partial(_send_on_channel, ledger, connection_of, now=now, most=most), names))
    by_name = dict(zip(names, results, strict=True))
    return DispatchResult(
        sent=sum(result.taken for result in results),
        failed=sum(result.not_taken for result in results),
        expired=expired,
        down={name: result.problem for name, result in by_name.items() if result.problem},
        dead={name: result.dead for name, result in by_name.items() if result.dead},
    )


class _Sent(NamedTuple):
    """Messages taken, messages not taken, why the channel is down, and the mailboxes that refused ('' if none)."""

    taken: int
    not_taken: int
    problem: str
    dead: str


def _send_on_channel(
    ledger: Ledger, connection_of: Callable[[str], Connection], name: str, *, now: datetime, most: int
) -> _Sent:
    with ledger.write() as connection:
        if not outbox.lease(connection, name, now):
            return _Sent(0, 0, "", "")
        queue = outbox.due_messages(connection, name, now, most)
    taken, refused, in_a_row, problem, dead = 0, list[outbox.QueuedMessage](), 0, "", ""
    try:
        while queue and in_a_row < _IN_A_ROW:
            # In order; but after a failure one that was tried least, so that no message can block the others.
            message = min(queue, key=_fewest_attempts) if in_a_row else queue[0]
            queue.remove(message)
            try:
                receipt = send(
                    connection_of(name),
                    message.subject,
                    message.text,
                    message.html,
                    message.attachments,
                    fields={"hospital": message.hospital, "cause": message.topic, **message.fields},
                    only_to=message.only_to,
                )
            except CardUsageError as error:
                problem = str(error)
                log.warning("message %d: %s", message.id, error)
                refused, in_a_row = [*refused, message], in_a_row + 1
            else:
                taken, in_a_row = taken + 1, 0
                dead = receipt.named() or dead
                if receipt.refused:
                    log.warning("message %d, channel %s: refused by %s", message.id, name, receipt.named())
                with ledger.write() as connection:
                    outbox.mark_sent(connection, message, name, now, refused=receipt.named(), later=[*receipt.later])
    finally:
        with ledger.write() as connection:
            for message in refused:
                # If the channel took others, only this message waits; otherwise the whole channel does.
                outbox.mark_failed(connection, message, now, alone=taken > 0)
            if in_a_row:
                outbox.rest(connection, name, problem, now)
            outbox.release(connection, name)
    return _Sent(taken, len(refused), problem if in_a_row else "", dead)


def _fewest_attempts(message: outbox.QueuedMessage) -> tuple[int, int]:
    """The order of second tries."""
    return message.attempts, message.id
