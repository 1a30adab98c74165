"""Chain: the links of a hospital, each over a pack and over the link before it, sealed with our key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select

from card_usage.config.keyring import Keyring
from card_usage.evidence.pack import Written, add_link, hashed, instant_text
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import evidence

GENESIS: Final = "0" * 64
_COVERED: Final = "card-usage-evidence/1"  # of what a link covers; the form of packs has a number of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One link of a hospital's chain, as the ledger keeps it."""

    hospital: str
    serial: int
    day: date
    supersedes: int | None
    events: int
    attempts: int
    reason: str
    digest: str
    previous: str
    link: str
    seal: str
    at: datetime

    @property
    def covers(self) -> str:
        """What the link's own hash must be."""
        parts = (_COVERED, self.hospital, self.serial, self.day, self.supersedes or 0, self.events, self.attempts)
        return hashed(*parts, self.reason, self.digest, self.previous, instant_text(self.at))

    def is_ours(self, keyring: Keyring) -> bool:
        """Whether it says what was sealed with our key."""
        return self.covers == self.link and keyring.digest(self.link) == self.seal

    @property
    def text(self) -> str:
        """As JSON, to stand behind the pack."""
        values = {name: getattr(self, name) for name in Link.__dataclass_fields__}
        return json.dumps(values | {"day": self.day.isoformat(), "at": instant_text(self.at)})

    @classmethod
    def parse(cls, text: str) -> Link:
        """The inverse. Raises ValueError, TypeError or KeyError."""
        values = json.loads(text)
        at = {"day": date.fromisoformat(values["day"]), "at": datetime.fromisoformat(values["at"])}
        return cls(**values | at)

    def path(self, folder: Path) -> Path:
        """Where its pack lies."""
        return folder / self.hospital / f"{self.day.isoformat()}.{self.serial}.tsv.gz"

    def summary(self) -> dict[str, object]:
        """Fit for logs and XCom."""
        return {
            "day": self.day.isoformat(),
            "serial": self.serial,
            "supersedes": self.supersedes,
            "events": self.events,
            "attempts": self.attempts,
            "reason": self.reason,
            "head": self.link,
        }


def links(connection: Connection, hospital: str, day: date | None = None) -> list[Link]:
    """A hospital's chain, from its first link on, or those links of it that are about one day."""
    query = select(*(evidence.c[name] for name in Link.__dataclass_fields__)).where(evidence.c.hospital == hospital)
    if day is not None:
        query = query.where(evidence.c.day == day)
    return [Link(**row) for row in connection.execute(query.order_by(evidence.c.serial)).mappings()]


def append(
    ledger: Ledger,
    hospital: str,
    day: date,
    folder: Path,
    written: Written,
    before: Link | None,
    reason: str,
    now: datetime,
) -> Link:
    """Put the link at the end of the chain. Two at once: the serial is unique, so one of them fails and tries again."""
    with ledger.write() as connection:
        last = connection.execute(
            select(evidence.c.serial, evidence.c.link)
            .where(evidence.c.hospital == hospital)
            .order_by(evidence.c.serial.desc())
            .limit(1)
        ).one_or_none()
        draft = Link(
            hospital=hospital,
            serial=last.serial + 1 if last else 1,
            day=day,
            supersedes=before.serial if before else None,
            events=written.events,
            attempts=written.attempts,
            reason=reason[:200],
            digest=written.digest,
            previous=last.link if last else GENESIS,
            link="",
            seal="",
            at=now,
        )
        link = sealed(ledger.keyring, draft)
        add_link(written, ledger.keyring, link.text)
        path = link.path(folder)
        if path.is_file():
            # Of a chain that the ledger lost: it stays, for a ledger can be rebuilt from it.
            path.replace(path.with_name(f"{day.isoformat()}.{link.serial}.{instant_text(now).replace(':', '')}.tsv.gz"))
        written.path.replace(path)
        connection.execute(insert(evidence).values(**columns(link)))
    return link


def sealed(keyring: Keyring, draft: Link) -> Link:
    """The same with its hash and its seal."""
    return replace(draft, link=draft.covers, seal=keyring.digest(draft.covers))


def columns(link: Link) -> dict[str, object]:
    """Its values in the table."""
    return {name: getattr(link, name) for name in Link.__dataclass_fields__}


def problems(keyring: Keyring, chain: list[Link]) -> Iterator[str]:
    """What is wrong with the links themselves, without a look at packs or events."""
    previous, last_of_day = GENESIS, dict[date, int]()
    for position, link in enumerate(chain, start=1):
        where = f"link {link.serial}, {link.day}"
        if link.serial != position:
            yield f"{where}: link {position} is missing"
            return
        if link.previous != previous:
            yield f"{where}: does not follow the link before it"
        if link.covers != link.link:
            yield f"{where}: was changed after it was made"
        if keyring.digest(link.link) != link.seal:
            yield f"{where}: its seal is not ours"
        if link.supersedes != last_of_day.get(link.day):
            yield f"{where}: does not supersede the link of its day"
        previous, last_of_day[link.day] = link.link, link.serial
