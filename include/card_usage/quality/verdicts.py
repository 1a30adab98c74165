"""Verdicts: what the check came to about a window, why, and what a person decided about it. Values only.

A withheld window (level hold or stop) sends nothing until somebody decides or a later check lets it pass:

released   everything of the window that is ready goes
clean      the feeds go that no reason of level hold or stop concerns; those it concerns stay
rejected   nothing goes; may be decided anew at any time (`python -m card_usage decide`)

Quarantined events never go, whatever is decided: they go when their cause is fixed. A decision holds for as long as no
later check finds the window worse (a new reason to hold, or one that grew by more than a tenth). Where the hospital's
file asks for two people, the first one's answer is kept beside and lets nothing go. The texts are in
`verdict_texts`, the rows of the ledger in `verdict_store`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from card_usage.ledger.scope import Withheld
from card_usage.quality.expectations import SEVERITY, Level, ReasonCode, Severity
from card_usage.windows import Window

LEVELS: Final[tuple[Level, ...]] = ("pass", "info", "warn", "hold", "stop")

Decision = Literal["released", "clean", "rejected"]
DECISIONS: Final[tuple[Decision, ...]] = ("released", "clean", "rejected")
RELEASED: Final = "released"
"""The decision of a person that lets a held window go."""

WITHHOLDING: Final = ("hold", "stop")
_WORSE: Final = 1.1
"""A reason that grew by more than this factor needs a new decision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that speaks against a window: `count` events `of` so many; `limit` is what the hospital allows.

    `rule` names a broken rule, `feed` the one feed that it is about, `table` and `value` a standard code, `usual` what
    history has (a share for shares; for counts it is `of`). `feeds`: the feeds that it concerns, for "only the clean
    part"; empty: all. For `quiet` count and `of` are minutes.
    """

    code: ReasonCode
    level: Level
    count: int
    of: int
    limit: float | None = None
    rule: str | None = None
    feed: str | None = None
    table: str | None = None
    value: str | None = None
    usual: float | None = None
    feeds: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """critical, warning or info."""
        return SEVERITY[self.level]

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies the same reason in another check."""
        return (self.code, self.level, self.rule or "", self.feed or "", self.table or "", self.value or "")

    @property
    def extent(self) -> float:
        """How bad: a share where there is one."""
        return self.count / self.of if self.of else float(self.count)

    def filled(self) -> dict[str, Any]:
        """The fields that have a value, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the check came to. `events`: looked at, refunded ones left out. `seconds`: the check's own time."""

    hospital: str
    window: str
    level: Level
    reasons: tuple[Reason, ...]
    events: int
    seconds: float = 0.0

    @property
    def withholding(self) -> tuple[Reason, ...]:
        """The reasons for which the window is withheld."""
        return tuple(reason for reason in self.reasons if reason.level in WITHHOLDING)

    @property
    def concerned(self) -> tuple[str, ...] | None:
        """The feeds that reasons to withhold concern; None: all of them."""
        if any(not reason.feeds for reason in self.withholding):
            return None
        return tuple(sorted({feed for reason in self.withholding for feed in reason.feeds}))

    def is_worse_than(self, earlier: Verdict) -> bool:
        """Whether it withholds for a reason that the earlier one lacks, or that has grown by more than a tenth."""
        extents = {reason.key: reason.extent for reason in earlier.reasons}
        return any(
            reason.key not in extents or reason.extent > _WORSE * extents[reason.key] for reason in self.withholding
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """What one person has decided where two are asked for; nothing goes yet. `by`: as authenticated."""

    decision: Decision
    by: str

    def is_confirmed_by(self, decision: Decision, name: str) -> bool:
        """Whether somebody else decides the same. One name is one person, in Airflow and at the command line."""
        return self.decision == decision and self.by.casefold() != name[:64].casefold()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVerdict:
    """A verdict as the ledger has it, with what a person decided about it. `id`: of its row."""

    id: int
    window: Window
    verdict: Verdict
    at: datetime
    asked_at: datetime | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    first: First | None = None

    @property
    def level(self) -> Level:
        """The verdict's level."""
        return self.verdict.level

    @property
    def withholds(self) -> bool:
        """Whether some of the window's events are not delivered."""
        return self.level in WITHHOLDING and self.decision != RELEASED

    @property
    def awaits_decision(self) -> bool:
        """Whether a person has to decide."""
        return self.level in WITHHOLDING and self.decision is None

    @property
    def withheld(self) -> Withheld | None:
        """What a delivery must leave out."""
        if not self.withholds:
            return None
        feeds = self.verdict.concerned if self.decision == "clean" else None
        return Withheld(self.window.start, self.window.end, feeds or ())
