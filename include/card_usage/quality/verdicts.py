"""Verdicts: what the gate said about a window, why, and what a person decided about it. Kept in the ledger.

A withheld window (verdict hold or stop) sends nothing until somebody decides or a later check lets it pass:

released   everything of the window that is ready goes
clean      the feeds go that no reason of level hold or stop concerns; those it concerns stay
rejected   nothing goes; may be decided anew at any time (`python -m card_usage decide`)

Quarantined events never go, whatever is decided: they go when their cause is mended. A decision holds for as long as
no later check finds the window worse (a new reason to hold, or one that grew by more than a tenth).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, insert, select, update

from card_usage.ledger.schema import verdict as verdict_table
from card_usage.ledger.scope import Withheld
from card_usage.quality.expectations import SEVERITY, Concern, Level, Severity
from card_usage.standard.code_tables import load_tables
from card_usage.standard.rules import BY_ID
from card_usage.windows import Window
from card_usage.words.catalogue import Language, Words

LEVELS: Final[tuple[Level, ...]] = ("pass", "info", "warn", "hold", "stop")

Decision = Literal["released", "clean", "rejected"]
DECISIONS: Final[tuple[Decision, ...]] = ("released", "clean", "rejected")
RELEASED: Final = "released"
"""The decision of a person that lets a held window go."""

WITHHOLDING: Final = ("hold", "stop")
_WORSE: Final = 1.1
"""A reason that grew by more than this factor asks anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that speaks against a window: `count` events `of` so many; `limit` is what the hospital allows.

    `rule` names a broken rule, `feed` the one feed that it is about, `table` and `value` a standard code, `usual` what
    history has (a share for shares; for counts it is `of`). `feeds`: the feeds that it concerns, for "only the clean
    part"; empty: all. For `quiet` count and `of` are minutes.
    """

    code: Concern
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
    def about(self) -> tuple[str, ...]:
        """What makes it the same reason in another check."""
        return (self.code, self.level, self.rule or "", self.feed or "", self.table or "", self.value or "")

    @property
    def extent(self) -> float:
        """How bad: a share where there is one."""
        return self.count / self.of if self.of else float(self.count)

    def text(self, language: Language) -> str:
        """What happened, how many, what to do."""
        words = Words(language)
        name = load_tables()[self.table].names.get(self.value or "", "") if self.table else ""
        return words(
            f"reason.{self.code}",
            count=self.count,
            of=self.of,
            share=f"{100 * self.count / self.of:.3g}%" if self.of else "",
            change=f"{abs(100 * (self.count / self.of - 1)):.0f}%" if self.of else "",
            limit="" if self.limit is None else f"{100 * self.limit:g}%" if self.limit <= 10 else f"{self.limit:g}",
            usual="" if self.usual is None else f"{100 * self.usual:.3g}%",
            rule="" if self.rule is None else getattr(BY_ID[self.rule], language),
            feed=words("gate.all_feeds") if self.feed is None else words.known("feed", self.feed),
            table="" if self.table is None else words(f"table.{self.table}"),
            value="" if self.table is None else words.code(self.table, self.value or "", name),
            hours=f"{self.count / 60:.1f}",
            usual_hours=f"{self.of / 60:.1f}",
        )

    @property
    def zh(self) -> str:
        """In Chinese."""
        return self.text("zh")

    @property
    def en(self) -> str:
        """In English."""
        return self.text("en")

    def summary(self) -> dict[str, object]:
        """Figures and both texts."""
        return {**_plain(self), "severity": self.severity, "zh": self.zh, "en": self.en}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the check came to. `events`: looked at, refunded ones left out. `seconds`: the check's own time."""

    hospital: str
    window: str
    verdict: Level
    reasons: tuple[Reason, ...]
    events: int
    seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        """Counts and texts, nothing about patients."""
        return {
            "hospital": self.hospital,
            "window": self.window,
            "verdict": self.verdict,
            "events": self.events,
            "reasons": [reason.summary() for reason in self.reasons],
            "seconds": self.seconds,
        }

    @property
    def concerned(self) -> tuple[str, ...] | None:
        """The feeds that reasons to withhold concern; None: all of them."""
        against = [reason for reason in self.reasons if reason.level in WITHHOLDING]
        if any(not reason.feeds for reason in against):
            return None
        return tuple(sorted({feed for reason in against for feed in reason.feeds}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A verdict as the ledger keeps it, with what a person decided about it. `id`: of its row."""

    id: int
    window: Window
    verdict: Verdict
    at: datetime
    asked_at: datetime | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None

    @property
    def withholds(self) -> bool:
        """Whether some of the window's events stay here."""
        return self.verdict.verdict in WITHHOLDING and self.decision != RELEASED

    @property
    def waits(self) -> bool:
        """Whether a person has to decide."""
        return self.verdict.verdict in WITHHOLDING and self.decision is None

    @property
    def withheld(self) -> Withheld | None:
        """What a delivery must leave out."""
        if not self.withholds:
            return None
        feeds = self.verdict.concerned if self.decision == "clean" else None
        return Withheld(self.window.start, self.window.end, feeds or ())


def keep(connection: Connection, found: Verdict, window: Window, *, now: datetime) -> None:
    """Write the verdict down. One that is not worse than the last one keeps that one's question and decision."""
    table = verdict_table
    reasons = [_plain(reason) for reason in found.reasons]
    text = json.dumps({"events": found.events, "reasons": reasons}, ensure_ascii=False)
    same = (table.c.hospital == found.hospital, table.c.start == window.start, table.c.end == window.end)
    last = connection.execute(select(table).where(*same).order_by(table.c.id.desc()).limit(1)).first()
    if last is not None and (last.verdict, last.reasons) == (found.verdict, text):
        connection.execute(update(table).where(table.c.id == last.id).values(at=now))
        return
    carried: dict[str, Any] = {}
    if last is not None and last.verdict in WITHHOLDING and not _is_worse(found, _read(last)):
        carried = {name: getattr(last, name) for name in ("asked_at", "decision", "decided_by", "decided_at")}
    connection.execute(
        insert(table).values(
            hospital=found.hospital,
            start=window.start,
            end=window.end,
            verdict=found.verdict,
            reasons=text,
            at=now,
            **carried,
        )
    )


def _plain(reason: Reason) -> dict[str, Any]:
    """Fields that say something."""
    return {name: value for name, value in asdict(reason).items() if value not in (None, ())}


def _is_worse(new: Verdict, old: Verdict) -> bool:
    extents = {reason.about: reason.extent for reason in old.reasons}
    against = [reason for reason in new.reasons if reason.level in WITHHOLDING]
    return any(reason.about not in extents or reason.extent > _WORSE * extents[reason.about] for reason in against)


def _read(row: Any) -> Verdict:
    kept = json.loads(row.reasons)
    known = {field.name for field in fields(Reason)}
    reasons = []
    for reason in kept["reasons"]:
        told = {name: value for name, value in reason.items() if name in known}
        reasons.append(Reason(**told | {"feeds": tuple(told.get("feeds", ()))}))
    return Verdict(
        hospital=row.hospital,
        window=str(Window(row.start, row.end)),
        verdict=row.verdict,
        reasons=tuple(reasons),
        events=kept["events"],
    )


def _given(row: Any) -> Given:
    return Given(
        id=row.id,
        window=Window(row.start, row.end),
        verdict=_read(row),
        at=row.at,
        asked_at=row.asked_at,
        decision=row.decision,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


def standing_verdicts(connection: Connection, hospital_id: str, window: Window) -> tuple[Given, ...]:
    """Verdicts in force for windows that overlap this one, oldest window first.

    A later verdict replaces earlier ones whose window lies inside its own.
    """
    table = verdict_table
    query = (
        select(table)
        .where(table.c.hospital == hospital_id, table.c.start < window.end, table.c.end > window.start)
        .order_by(table.c.at.desc(), table.c.id.desc())
    )
    found: list[Given] = []
    for row in connection.execute(query):
        of = Window(row.start, row.end)
        if not any(later.window.start <= of.start and of.end <= later.window.end for later in found):
            found.append(_given(row))
    return tuple(sorted(found, key=lambda one: one.window))


def withheld(connection: Connection, hospital_id: str, window: Window) -> tuple[Withheld, ...]:
    """What may not leave of the window until a person decides or it is checked again and found well."""
    given = standing_verdicts(connection, hospital_id, window)
    return tuple(part for one in given if (part := one.withheld) is not None)


def waiting(connection: Connection, hospital_id: str, window: Window) -> tuple[Given, ...]:
    """Withheld windows that nobody has decided about yet, oldest first."""
    return tuple(one for one in standing_verdicts(connection, hospital_id, window) if one.waits)


def ask(connection: Connection, given: Sequence[Given], *, now: datetime) -> None:
    """Note that somebody was asked about these."""
    ids = [one.id for one in given]
    connection.execute(update(verdict_table).where(verdict_table.c.id.in_(ids)).values(asked_at=now))


def decide(
    connection: Connection, verdict_id: int, decision: Decision, *, by: str, now: datetime, anew: bool = False
) -> bool:
    """Write a decision down; returns whether it counts. The first one does; `anew` changes one that was made before."""
    table = verdict_table
    parts = [table.c.id == verdict_id, table.c.verdict.in_(WITHHOLDING)]
    if not anew:
        parts.append(table.c.decision.is_(None))
    values = {"decision": decision, "decided_by": by[:64], "decided_at": now}
    return connection.execute(update(table).where(*parts).values(values)).rowcount > 0
