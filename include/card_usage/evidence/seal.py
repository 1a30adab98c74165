"""Seal: a chain of evidence over settled days that makes any later change of the ledger visible, and says of which row.

The events of a day lie in a pack (`card_usage.evidence.pack`). A link in the ledger (table `evidence`) covers the
pack's digest, its counts and the link before it, for each hospital one chain (`.chain`); its seal is keyed, so that
whoever can write the ledger cannot mend the chain without the key. The head of the chain belongs on paper: a chain that
was made anew from its first link has another head. Links stand in the order in which days were sealed, not in that of
the days: history that is loaded later is sealed after the days that follow it.

What may change later leaves a trace: more calls at the end of the chain of attempts, a row staged after the seal, a
mark of reconciliation. Such a day gets a new link that supersedes the earlier one; no link is ever rewritten. What
changed without a trace is `broken` and cannot be sealed over (`.changes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from card_usage.context import Context
from card_usage.errors import EvidenceBroken
from card_usage.evidence import anchors, figures, unsealed
from card_usage.evidence.chain import GENESIS, Link, append, links, problems
from card_usage.evidence.changes import BROKEN, GROWN, Change, changes
from card_usage.evidence.keep import keep_missing, latest_path
from card_usage.evidence.pack import write
from card_usage.ledger import decisions
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, reconciliation, verified
from card_usage.reconciliation import watermark
from card_usage.windows import day_windows, local

MOST_NAMED: Final = 100
"""Rows of a day that are named one by one; all are counted."""

WATCHED: Final = timedelta(days=40)
"""How long every sealed day is looked at for changes that left a trace: the month before, recounted on its 3rd, is
among them. An older one is looked at whenever it was reconciled again after it was sealed."""

MOST_DAYS: Final = 366
"""New days that are sealed at a time: after a load of history that is hours of work."""


def seal_days(context: Context, *, now: datetime, most_days: int = MOST_DAYS) -> list[Link]:
    """Seal the days that are verified and not sealed yet, and again those that moved since, with their traces.

    At most `most_days` new ones at a time, the oldest first. Raises EvidenceBroken when all others are sealed, if
    something was changed without a trace.
    """
    ledger, hospital = context.ledger, context.hospital
    with ledger.read() as connection:
        days_verified = watermark.verified_days(connection, hospital)
        sealed = {link.day: link for link in links(connection, hospital.id)}
        worked_on = _worked_on(connection, hospital.id)
        moved = [
            day
            for day, link in sealed.items()
            if (local(now).date() - day <= WATCHED or (day in worked_on and worked_on[day] > link.at))
            and touched_since(connection, hospital.id, day, link.at)
        ]
    windows = [] if days_verified is None else day_windows(*days_verified)
    unsealed = [window.day for window in windows if window.day not in sealed][:most_days]
    made: list[Link] = []
    broken: EvidenceBroken | None = None
    for day in sorted({*unsealed, *moved}):
        try:
            link = seal_day(ledger, hospital.id, day, context.settings.evidence, now=now)
        except EvidenceBroken as problem:
            broken = broken or problem
        else:
            made += [link] if link else []
    keep_missing(ledger, hospital.id, context.settings.evidence, now=now)
    if broken is not None:
        raise broken
    return made


def seal_day(ledger: Ledger, hospital: str, day: date, folder: Path, *, now: datetime) -> Link | None:
    """Seal a day, or seal it again if it changed since; None: it is as it was sealed.

    Raises EvidenceBroken if something of it changed without a trace: that is for people, and nothing is sealed over it.
    """
    with ledger.read() as connection:
        chain = links(connection, hospital)
        before = next((link for link in reversed(chain) if link.day == day), None)
        reason = "day verified"
        if before is not None:
            kinds: dict[str, int] = {}
            broken: list[Change] = []
            for change in changes(connection, folder, before):
                kinds[change.how] = kinds.get(change.how, 0) + 1
                if change.how in BROKEN:
                    broken.append(change)
            if broken:
                row = f"{broken[0].key}, {broken[0].how}"
                raise EvidenceBroken(hospital=hospital, day=day, count=len(broken), row=row)
            if not kinds:
                return None
            reason = ", ".join(f"{how}: {count}" for how, count in sorted(kinds.items()))
        written = write(connection, ledger.keyring, hospital, day, folder, figures.lines(connection, hospital, day))
    if written.forged:
        written.path.unlink()
        key, how = written.forged[0]
        raise EvidenceBroken(hospital=hospital, day=day, count=len(written.forged), row=f"{key}, {how}")
    link = append(ledger, hospital, day, folder, written, before, reason, now)
    latest_path(folder, hospital, day).unlink(missing_ok=True)  # what it has stands in the sealed one
    return link


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What came of looking at a hospital's chain. `grown`: changes with a trace that no link covers yet; `unsealed`:
    how many rows have no MAC, for they were made before there were any."""

    hospital: str
    links: int
    days: int
    head: str
    chain: tuple[str, ...]
    broken: tuple[Change, ...]
    grown: tuple[Change, ...]
    counts: dict[str, int]
    unsealed: dict[str, object]

    @property
    def sound(self) -> bool:
        """The chain holds, and nothing changed without a trace."""
        return not (self.chain or self.broken)

    def summary(self) -> dict[str, object]:
        """Days, keys and counts, nothing about patients."""
        rows = [
            {"day": change.day.isoformat(), "row": change.key, "what": change.how}
            for change in (*self.broken, *self.grown)
        ]
        told: dict[str, object] = {
            "hospital": self.hospital,
            "sound": self.sound,
            "links": self.links,
            "days": self.days,
            "head": self.head,
            "changes": self.counts,
            "chain": [{"problem": problem} for problem in self.chain],
            "rows": rows,
        }
        return told | ({"not sealed": self.unsealed} if self.unsealed else {})


def verify(
    ledger: Ledger,
    hospital: str,
    folder: Path,
    *,
    first: date | None = None,
    last: date | None = None,
    head: str | None = None,
    reports: figures.Files | None = None,
) -> Verified:
    """Check the whole chain, and the rows of the days from `first` to `last` (all, if not said) against their packs.

    `head`: one that was noted elsewhere; it must be a link of this chain, as must every one that the reports of all
    hospitals say (`reports`: where they lie; the reports themselves are checked then, too).
    """
    with ledger.read() as connection:
        chain = links(connection, hospital)
        broken_links = list(problems(ledger.keyring, chain))
        if head is not None and head not in {link.link for link in chain}:
            broken_links.append(f"the head {head} is no link of this chain: the chain is not the one it was taken from")
        broken_links += _unlinked(connection, hospital, chain)
        if reports is not None:
            broken_links += anchors.problems(connection, hospital, chain, reports)
        broken_links += decisions.problems(connection, ledger.keyring)
        newest = {link.day: link for link in chain}
        wanted = [
            link for day, link in sorted(newest.items()) if (not first or day >= first) and (not last or day <= last)
        ]
        broken_links += unsealed.problems(connection, folder, wanted)
        old = unsealed.summary(connection, hospital, (link.day for link in wanted))
        broken: list[Change] = []
        grown: list[Change] = []
        counts: dict[str, int] = {}
        of_figures = figures.problems(connection, hospital, (link.day for link in wanted), reports)
        for change in of_figures:
            counts[change.how] = counts.get(change.how, 0) + 1
            if len(broken) < MOST_NAMED:
                broken.append(change)
        for link in wanted:
            for number, change in enumerate(changes(connection, folder, link)):
                counts[change.how] = counts.get(change.how, 0) + 1
                if number < MOST_NAMED or not (broken if change.how in BROKEN else grown):
                    (broken if change.how in BROKEN else grown).append(change)
    return Verified(
        hospital=hospital,
        links=len(chain),
        days=len(wanted),
        head=chain[-1].link if chain else GENESIS,
        chain=tuple(broken_links),
        broken=tuple(broken),
        grown=tuple(grown),
        counts=counts,
        unsealed=old,
    )


def _unlinked(connection: Connection, hospital: str, chain: list[Link]) -> list[str]:
    """That there is no link, though days are verified."""
    if chain:
        return []
    through = connection.scalar(select(func.max(verified.c.through)).where(verified.c.hospital == hospital))
    return [] if through is None else [f"there is no link, though days are verified through {through}: it was emptied"]


def _worked_on(connection: Connection, hospital: str) -> dict[date, datetime]:
    """When each day was last reconciled, whatever its age."""
    of = reconciliation.c
    query = select(of.day, func.max(of.at)).where(of.hospital == hospital).group_by(of.day)
    return {day: at for day, at in connection.execute(query)}


def touched_since(connection: Connection, hospital: str, day: date, at: datetime) -> bool:
    """Whether anything of a day moved after an instant, as far as its traces say: cheaper than `seal_day`."""
    of_day = (event.c.hospital == hospital, event.c.day == day)
    newest = [func.max(event.c[name]) for name in ("staged_at", "settled_at", "voided_at", "changed_at", "vanished_at")]
    row = connection.execute(select(*newest).where(*of_day)).one()
    return any(moment is not None and moment > at for moment in row)


__all__ = ["BROKEN", "GROWN", "Change", "Link", "Verified", "links", "seal_day", "seal_days", "touched_since", "verify"]
