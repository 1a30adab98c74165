"""Faults that the sandbox commits on purpose: how often, how long, and which one strikes a call.

Shares exclude one another: one number drawn from the seeded generator decides, so they may add up to 1 at most and
a given seed strikes the same calls in the same order of arrival.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Final

SHARES: Final = (
    "drop_before",
    "drop_after",
    "http_500",
    "html",
    "truncated",
    "wrong_request_id",
    "gateway_403",
    "gateway_429",
    "gateway_503",
    "lost",
    "lost_503",
    "busy",
    "refuse",
    "slow",
)


class SandboxError(Exception):
    """Root of what the sandbox refuses: SettingError, FaultError, JournalError. One line, and what to do."""


class FaultError(SandboxError, ValueError):
    """A fault that cannot be: the message names it and what it may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Shares of calls (0 to 1) and other disturbances; the default is none.

    Struck before the platform does anything:
      drop_before       connection closed
      http_500          HTTP 500
      html              HTTP 200 with a page of HTML
    In the interface, after authentication:
      busy              one of -1, -2, 1, 10001, 10005, -10044, 20003; nothing accepted
      refuse            10042; nothing accepted (reports only)
      lost              connection closed; nothing accepted
      lost_503          HTTP 503; nothing accepted
    After the call was done, and accepted if it was right:
      drop_after        connection closed without an answer
      truncated         half of the answer
      wrong_request_id  the answer names another requestId
      gateway_403, gateway_429, gateway_503
                        that HTTP status, of a gateway in front
      slow              the answer comes slow_ms later

    latency_ms (+ up to jitter_ms) delays every answer. evict_every: after every so many authenticated reports of an
    app, somebody else fetches a token (0: never). outage: HTTP 503 to everything. on_token: shares strike
    getAppToken too, on_cards the interfaces of cards.
    """

    drop_before: float = 0.0
    drop_after: float = 0.0
    http_500: float = 0.0
    html: float = 0.0
    truncated: float = 0.0
    wrong_request_id: float = 0.0
    gateway_403: float = 0.0
    gateway_429: float = 0.0
    gateway_503: float = 0.0
    lost: float = 0.0
    lost_503: float = 0.0
    busy: float = 0.0
    refuse: float = 0.0
    slow: float = 0.0
    slow_ms: float = 60_000.0
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    evict_every: int = 0
    outage: bool = False
    on_token: bool = False
    on_cards: bool = False

    def __post_init__(self) -> None:
        for name in SHARES:
            if not 0 <= _number(name, getattr(self, name)) <= 1:
                raise FaultError(f"{name} is a share of calls between 0 and 1, not {getattr(self, name)}")
        total = math.fsum(getattr(self, name) for name in SHARES)
        if total > 1 + 1e-9:
            raise FaultError(f"the shares of the faults add up to {total:g}, at most 1")
        for name in ("latency_ms", "jitter_ms", "slow_ms"):
            if not 0 <= _number(name, getattr(self, name)) <= 3_600_000:
                raise FaultError(f"{name} is a number of milliseconds between 0 and an hour, not {getattr(self, name)}")
        if type(self.evict_every) is not int or self.evict_every < 0:
            raise FaultError(f"evict_every is a number of calls, 0 for never, not {self.evict_every}")
        for name in ("outage", "on_token", "on_cards"):
            if type(getattr(self, name)) is not bool:
                raise FaultError(f"{name} is true or false, not {getattr(self, name)}")

    def changed(self, changes: Mapping[str, object]) -> "Faults":
        """These faults with some of them set anew; FaultError names an unknown or impossible one."""
        known = [each.name for each in fields(self)]
        strangers = sorted(set(changes) - set(known))
        if strangers:
            raise FaultError(f"no such fault: {', '.join(strangers)}; there are {', '.join(known)}")
        return replace(self, **changes)  # type: ignore[arg-type]  # __post_init__ checks the types

    def as_dict(self) -> dict[str, float | int | bool]:
        """Name to value, as POST /sandbox/faults takes it."""
        return asdict(self)


class Dice:
    """Draws the fault of each call, and what a fault needs drawn, from one seeded generator."""

    __slots__ = ("_edges", "_faults", "_random")

    def __init__(self, faults: Faults, seed: int) -> None:
        self._random = Random(seed)
        self.load(faults)

    @property
    def faults(self) -> Faults:
        """What is loaded."""
        return self._faults

    def load(self, faults: Faults) -> None:
        """Other faults from now on; the generator goes on where it stands."""
        self._faults = faults
        self._edges: list[tuple[float, str]] = []
        edge = 0.0
        for name in SHARES:
            share = getattr(faults, name)
            if share:
                edge += share
                self._edges.append((edge, name))

    def strike(self) -> str | None:
        """The fault that strikes this call, or None."""
        if self._edges:
            drawn = self._random.random()
            for edge, name in self._edges:
                if drawn < edge:
                    return name
        return None

    def choose(self, codes: tuple[int, ...]) -> int:
        """One of several."""
        return self._random.choice(codes)

    def delay(self) -> float:
        """Seconds by which this answer is late."""
        faults = self._faults
        if faults.jitter_ms:
            return (faults.latency_ms + self._random.uniform(0, faults.jitter_ms)) / 1000
        return faults.latency_ms / 1000


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FaultError(f"{name} is a number, not {value!r}")
    return value
