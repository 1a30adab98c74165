"""Post: take what waits in the outbox to its channels, each channel by itself.

A channel that does not answer holds up no other: each has its thread, its queue and its backoff. A message that is not
taken goes again later; two in a row, and the channel rests. A message that was taken just before the plug was pulled
goes twice: better twice than never.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Final

from card_usage.config.connections import Connection
from card_usage.errors import CardUsageError
from card_usage.ledger.database import Ledger
from card_usage.notifications import outbox
from card_usage.notifications.channels import deliver

log = logging.getLogger(__name__)

MOST: Final = 15
"""Messages a channel gets at a time: the robots of WeCom and DingTalk shut out who sends more than 20 a minute."""
_IN_A_ROW: Final = 2
_THREADS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """Messages `sent`, tries that `failed`, messages `expired`; `down`: channels that took nothing, and why."""

    sent: int
    failed: int
    expired: int
    down: dict[str, str]

    def summary(self) -> dict[str, object]:
        """Fit for logs and XCom."""
        return asdict(self)


def post(ledger: Ledger, connection_of: Callable[[str], Connection], *, now: datetime, most: int = MOST) -> Posted:
    """Send what is due on every channel. Raises only errors of the ledger: a channel's trouble is its state."""
    with ledger.write() as connection:
        expired = outbox.expire(connection, now)
        names = outbox.due_channels(connection, now)
    if expired:
        log.warning("%d messages expired: no channel took them in time", expired)
    if not names:
        return Posted(sent=0, failed=0, expired=expired, down={})
    with ThreadPoolExecutor(min(_THREADS, len(names)), "channel") as threads:
        found = list(threads.map(partial(_channel, ledger, connection_of, now=now, most=most), names))
    down = {name: problem for name, (_, _, problem) in zip(names, found, strict=True) if problem}
    return Posted(
        sent=sum(taken for taken, _, _ in found),
        failed=sum(not_taken for _, not_taken, _ in found),
        expired=expired,
        down=down,
    )


def _channel(
    ledger: Ledger, connection_of: Callable[[str], Connection], name: str, *, now: datetime, most: int
) -> tuple[int, int, str]:
    """One channel's turn: messages taken, messages not taken, and why the channel rests ('' if it does not)."""
    with ledger.write() as connection:
        if not outbox.lease(connection, name, now):
            return 0, 0, ""
        queue = outbox.letters(connection, name, now, most)
    taken, suspects, in_a_row, problem = 0, list[outbox.Letter](), 0, ""
    try:
        while queue and in_a_row < _IN_A_ROW:
            # In order; but after a failure one that was tried least, so that no message can block the others.
            letter = min(queue, key=attempts_first) if in_a_row else queue[0]
            queue.remove(letter)
            try:
                deliver(connection_of(name), letter.subject, letter.text, letter.html, letter.attachments)
            except CardUsageError as error:
                problem = str(error)
                log.warning("message %d: %s", letter.id, error)
                suspects, in_a_row = [*suspects, letter], in_a_row + 1
            else:
                taken, in_a_row = taken + 1, 0
                with ledger.write() as connection:
                    outbox.sent(connection, letter.id, name, now)
    finally:
        with ledger.write() as connection:
            for letter in suspects:
                # The channel took others, so this message waits by itself; else it is the channel that rests.
                outbox.failed(connection, letter, now, alone=taken > 0)
            if in_a_row:
                outbox.rest(connection, name, problem, now)
            outbox.release(connection, name)
    return taken, len(suspects), problem if in_a_row else ""


def attempts_first(letter: outbox.Letter) -> tuple[int, int]:
    """The order of second tries."""
    return letter.attempts, letter.id
