"""Progress: how far a run of the delivery is, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Events that a run has settled and those still due, its rate per second, and seconds left (None: unknown).

    `silent_seconds`: since the platform's last good answer, once that is worth reporting; else 0.
    """

    done: int
    due: int
    per_second: float
    seconds_left: float | None
    silent_seconds: float = 0.0
