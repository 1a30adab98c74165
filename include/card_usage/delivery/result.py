"""Result: what a run of the delivery came to, and the error that its early end means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from card_usage.config.outgoing import CERTIFICATE, proxy_for, refused_certificate
from card_usage.delivery.stopping import Stop, StopReason
from card_usage.errors import (
    DeliveryInterrupted,
    Misconfigured,
    PlatformLimits,
    PlatformMoved,
    PlatformUnreachable,
    PlatformUnreadable,
)
from card_usage.platform.outcome import meanings


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """Events by the state that the run gave them, calls by the class of their answer.

    `refreshes`: tokens obtained. `left`: open events of the scope at the end, `unconfirmed`: those of which nobody can
    say whether the platform has them, of earlier runs too. `stop`: what ended the run early.
    `hospital` and `platform` (its URL) name the two in errors.
    """

    hospital: str
    platform: str
    states: Mapping[str, int]
    answers: Mapping[str, int]
    calls: int
    refreshes: int
    left: int
    unconfirmed: int = 0
    stop: Stop | None
    seconds: float

    @property
    def stopped_by(self) -> StopReason | None:
        """What ended the run early, if anything did."""
        return self.stop.reason if self.stop else None

    @property
    def settled(self) -> bool:
        """Whether nothing that was due is left or unconfirmed, and nothing that this run was refused waits."""
        return not (self.left or self.unconfirmed or self.states.get("rejected") or self.states.get("unconfirmed"))

    @property
    def answers_text(self) -> str:
        """Calls by the class of their answer, for logs and errors: '3 x accepted, 1 x busy'."""
        return ", ".join(f"{count} x {answer}" for answer, count in sorted(self.answers.items())) or "no call made"

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return {
            "states": dict(self.states),
            "answers": dict(self.answers),
            "calls": self.calls,
            "refreshes": self.refreshes,
            "left": self.left,
            **({"unconfirmed": self.unconfirmed} if self.unconfirmed else {}),
            "stopped_by": self.stop.reason.value if self.stop else None,
            "seconds": self.seconds,
            "settled": self.settled,
        }

    def raise_for_stop(self) -> None:
        """Raise the error that the early end means: Misconfigured, PlatformUnreachable, PlatformUnreadable,
        PlatformMoved, PlatformLimits or DeliveryInterrupted.

        Nothing for a run that ended by itself, or for one whose rest is meant to wait or is in other hands.
        """
        if self.stop is None:
            return
        match self.stop.reason:
            case StopReason.MISCONFIGURED:
                code, detail = self.stop.result_code, self.stop.detail
                meaning = None if code is None else meanings().get(code)
                raise Misconfigured(
                    hospital=self.hospital,
                    code="no code" if code is None else code,
                    meaning=f"{meaning}; {detail}" if meaning and self.stop.explains else meaning or detail,
                )
            case StopReason.UNREACHABLE:
                raise PlatformUnreachable(host=self.platform, reason=self._unreachable(self.stop.detail))
            case StopReason.UNREADABLE:
                raise PlatformUnreadable(host=self.platform, problem=self.stop.detail, reason=self.answers_text)
            case StopReason.MOVED:
                raise PlatformMoved(hospital=self.hospital, host=self.platform, left=self.left)
            case StopReason.THROTTLED:
                raise PlatformLimits(hospital=self.hospital, problem=self.stop.detail, reason=self.answers_text)
            case StopReason.INTERRUPTED:
                raise DeliveryInterrupted(hospital=self.hospital, left=self.left)
            case StopReason.QUOTA | StopReason.OUT_OF_QUOTA | StopReason.DRAIN | StopReason.DEADLINE:
                pass
            case StopReason.FENCED:
                pass

    def _unreachable(self, detail: str) -> str:
        """The answers, or whose certificate was not accepted and why."""
        if not detail.startswith(CERTIFICATE):
            return self.answers_text
        url = self.platform if "://" in self.platform else f"https://{self.platform}"
        address = urlsplit(url)
        return refused_certificate(detail, address.hostname or "", address.port or 443, proxy=proxy_for(url))
