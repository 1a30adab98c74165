"""Workload: the events that a run has claimed and not yet settled, and the signals between its tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from card_usage.delivery.transitions import Attempt, Claimed
from card_usage.platform.outcome import Answer


@dataclass(slots=True)
class InFlight:
    """A claimed event: the earlier answers to its request id, and the calls of this claim.

    `untimely`: its refusals so far, under whatever request id, that its date may have caused.
    """

    claimed: Claimed
    earlier_answers: list[Answer]
    calls: list[Attempt] = field(default_factory=list)
    untimely: int = 0


class Workload:
    """Of one run. `queue`: events that wait for their call. `calls`: the calls under way. `all_claimed`: nothing more
    will be put into the queue but what has to be called again.

    Signals: `changed` wakes the dispatcher, `flush_due` the writer of outcomes; `idle` says that nothing is queued,
    under way or unwritten.
    """

    def __init__(self) -> None:
        self.queue: deque[InFlight] = deque()
        self.calls: set[asyncio.Task[None]] = set()
        self.all_claimed = False
        self.changed = asyncio.Event()
        self.flush_due = asyncio.Event()
        self.idle = asyncio.Event()

    def wake(self) -> None:
        """Let the dispatcher and the writer look again."""
        self.changed.set()
        self.flush_due.set()
