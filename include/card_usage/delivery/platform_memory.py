"""Platform memory: what is known of when the platform remembers a request id, by platform (host) and appId.

Nobody can ask it. It is learned by a calibration (calibration.py), or by observation: 10054 after a refusal or a
failure of an event of ours, under an id that nobody accepted. What was observed outweighs what a calibration showed: a
platform may check fields before it looks at ids, and remember an id before it fails.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from card_usage.ledger.schema import platform_memory
from card_usage.ledger.upsert import upsert
from card_usage.platform.outcome import Answer, Memory, shows_memory_on_sight


class LearnedBy(StrEnum):
    """How it was learned."""

    CALIBRATION = "calibration"
    OBSERVATION = "observation"


class Known(NamedTuple):
    """What is known of one platform; `by` and `at` are None where nothing is."""

    memory: Memory
    by: LearnedBy | None = None
    at: datetime | None = None


NOTHING: Final = Known(Memory.UNKNOWN)
_READ: Final = select(platform_memory.c.memory, platform_memory.c.learned_by, platform_memory.c.learned_at).where(
    platform_memory.c.host == bindparam("of_host"), platform_memory.c.app_id == bindparam("of_app")
)


def host_of(base_url: str) -> str:
    """What a platform is known by: its base URL without the scheme."""
    return base_url.rpartition("://")[2][:255]


def read(connection: Connection, *, host: str, app_id: str) -> Known:
    """What is known of the platform."""
    row = connection.execute(_READ, {"of_host": host, "of_app": app_id}).one_or_none()
    return NOTHING if row is None else Known(Memory(row.memory), LearnedBy(row.learned_by), row.learned_at)


def learn(
    connection: Connection, memory: Memory, *, host: str, app_id: str, by: LearnedBy, now: datetime, anew: bool = False
) -> Known:
    """Write down what was learned; returns what is known from now on. A calibration that finds nothing against the
    platform does not outweigh an observation, unless `anew`."""
    known = read(connection, host=host, app_id=app_id)
    if known.by is LearnedBy.OBSERVATION and memory is not Memory.ON_SIGHT and not anew:
        return known
    values = {"memory": memory.value, "learned_by": by.value, "learned_at": now}
    upsert(connection, platform_memory, {"host": host, "app_id": app_id}, values)
    return Known(memory, by, now)


class MemoryObserver:
    """What one run believes of its platform's memory, and learns of it from answers.

    `observed`: something was learned that the ledger has yet to be given. A run that is told 10054 for an id that its
    ledger never sent works on a ledger that was rebuilt or restored: there 10054 proves nothing about the memory.
    """

    def __init__(self, known: Known) -> None:
        self.memory = known.memory
        self.observed = False
        self.rebuilt = False

    def refresh(self, known: Known) -> None:
        """What the ledger says now."""
        if not self.observed:
            self.memory = known.memory

    def observe(self, earlier: Collection[Answer], answer: Answer) -> None:
        """An answer under a request id that had these earlier ones."""
        if answer is Answer.REPEATED and not set(earlier) - {Answer.NOT_SENT}:
            self.rebuilt = True
        elif not self.rebuilt and self.memory is not Memory.ON_SIGHT and shows_memory_on_sight(earlier, answer):
            self.memory, self.observed = Memory.ON_SIGHT, True
