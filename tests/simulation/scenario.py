"""One seed: a drawn world, a stretch of trouble, calm, and what must then be true.

Asserted at every call (simulation.platform): no event is accepted twice; no other content goes out under a request id
that was accepted; no call starts for an event that a living worker already has one under way for; no second request id
goes out once the first was accepted, and none that was left for a newer one; a worker that was told 10034 makes no call
of that hospital on the platform's same day; no call starts later than 5 s after a pause.

Asserted at the end (`judge`): every event stands in a settled state; delivered means accepted once, accepted means
delivered (or unconfirmed, where the platform had said that it failed, or 'repeated' where that proves nothing), refused
and voided mean not accepted; the platform's quota was not exceeded by what we counted; tokens were asked for at most
once per loss.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Literal

from card_usage.config.hospital import Hospital
from card_usage.delivery.platform_memory import LearnedBy, learn
from card_usage.delivery.transitions import backlog
from card_usage.events import CardUse, event_key
from card_usage.ledger import holds
from card_usage.ledger.schema import event
from card_usage.ledger.scope import BACKFILL, LIVE, Scope
from card_usage.platform.outcome import Memory
from card_usage.staging.drafts import Draft
from card_usage.staging.intake import take_in
from sqlalchemy import select

from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, TOKEN_LIFE, Platform, Violation, Weather
from simulation.world import APP_ID, KEYRING, World, hospital, new_ledger

DAY = date(2026, 3, 1)
TROUBLE = (0.0, 0.0, 0.02, 0.1, 0.25)


@dataclass(frozen=True, slots=True)
class Event:
    """One card use of the simulated HIS; `version` counts its changes there."""

    label: str
    hospital: str
    number: int
    version: int = 0
    voided: bool = False


def draft(record: Event) -> Draft:
    """As staging would make it; the name carries the label to the platform."""
    use = CardUse(
        occurred_at=datetime.combine(DAY, time(8)) + timedelta(seconds=record.number),
        scene="010105",
        department=None,
        card_type="10",
        channel="0100",
        cost_type=None,
        id_number=f"N{record.number}-{record.version}",
        name=record.label,
        qr_code_text=None,
    )
    key = event_key(record.hospital, "payment", str(record.number))
    digest = KEYRING.digest(f"{record.label} {record.version}")
    sealed = KEYRING.seal(
        f'{{"idCardNumber": "{use.id_number}", "name": "{record.label}", "qrCodeText": null}}'.encode(),
        bound_to=key.encode(),
    )
    status: Literal["ready", "voided"] = "voided" if record.voided else "ready"
    return Draft(
        key=key,
        source_id=str(record.number),
        day=DAY,
        card_use=use,
        department_name=None,
        status=status,
        digest=digest,
        key_id="t",
        findings=(),
        form=None,
        seal=lambda: None if record.voided else sealed,
        digest_by=lambda _: digest,
        was=lambda *_: False,
    )


class Scenario:
    """What one seed draws, does and checks. `rough`: a quarter of the ledger's answers and of the tokens get lost."""

    def __init__(self, seed: int, *, rough: bool = False) -> None:
        self.random = random = Random(seed)
        self.loop = VirtualLoop(Random(random.random()))
        self.seen: Counter[str] = Counter()
        self.weather = Weather(**{name: random.choice(TROUBLE) / 4 for name in Weather.__dataclass_fields__})
        self.weather.token_lost = random.choice((0, 0, 0.01, 0.05))
        self.weather.unlisted = random.choice((0, 0, 0, 0.02))
        self.rationed = random.random() < 0.15
        quota = random.randint(4, 20)
        self.clinic = hospital("clinic")
        self.main = hospital(
            "main",
            concurrency=random.choice((1, 2, 4, 16)),
            live=not self.rationed,
            daily_quota=quota,
            backfill_order=random.choice(("newest", "oldest")),
        )
        self.labels = [f"甲{n}" for n in range(random.randint(3, 16))]
        refused = frozenset(label for label in self.labels if random.random() < 0.05)
        self.platform = Platform(
            loop=self.loop,
            random=Random(random.random()),
            weather=self.weather,
            seen=self.seen,
            remembers=random.choice(("acceptance", "acceptance", "acceptance", "sight", "gate")),
            skew=random.uniform(-300, 300),
            # The platform may allow less than the hospital's file believes.
            quotas={"main": quota - random.choice((0, 0, 2))} if self.rationed else {},
            refuses=refused,
        )
        self.world = World(self.loop, random, self.platform, new_ledger())
        self.known = random.random() < 0.7
        if self.known:
            self._calibrate()
        self.world.crash_share = random.choice((0, 0.002, 0.01, 0.03))
        self.world.stumble_share = random.choice((0, 0, 0.005, 0.02))
        if rough:
            self.world.stumble_share = self.weather.token_lost = 0.25
        self.his = {label: Event(label, "main", n) for n, label in enumerate(self.labels)}
        self.his |= {f"乙{n}": Event(f"乙{n}", "clinic", n) for n in range(random.choice((0, 0, 2, 5)))}
        self.hospitals = [self.main] + ([self.clinic] if len(self.his) > len(self.labels) else [])
        self.steps = 0
        self.trouble_ends = 0.0

    @property
    def proves(self) -> bool:
        """Whether the delivery knows that 10054 proves an acceptance."""
        return self.known and self.platform.remembers == "acceptance"

    def _calibrate(self) -> None:
        memory = Memory.ON_ACCEPTANCE if self.platform.remembers == "acceptance" else Memory.ON_SIGHT
        with self.world.ledger.write() as connection:
            learn(connection, memory, host="simulated", app_id=APP_ID, by=LearnedBy.CALIBRATION, now=EPOCH)
        self.seen[f"known to remember {memory}"] += 1

    # -- what happens -------------------------------------------------------------------------------------------

    def run(self) -> Counter[str]:
        """Play it to the end; raises Violation."""
        self.loop.run(self._play())
        self._judge()
        self.seen["events"] += len(self.his)
        return self.seen

    def _stage(self, some: list[Event], lane: int) -> None:
        now = EPOCH + timedelta(seconds=self.loop.time())
        for of in ("main", "clinic"):
            drafts = [draft(record) for record in some if record.hospital == of]
            if drafts:
                with self.world.ledger.write() as connection:
                    take_in(connection, of, "payment", drafts, lane=lane, now=now)

    async def _play(self) -> None:
        random = self.random
        first = [record for record in self.his.values() if random.random() < 0.7]
        self._stage(first, LIVE)
        for of in self.hospitals:
            for _ in range(random.choice((1, 1, 2, 3))):
                self._start(of)
        self.trouble_ends = random.uniform(2, 20)
        while self.loop.time() < self.trouble_ends:
            await asyncio.sleep(random.uniform(0.02, 3))
            self._something_happens()
        if random.random() < 0.15:
            await self._change_during_a_long_pause()
        await self._calm_down()
        late = [record for record in self.his.values() if record not in first]
        self._stage(late, BACKFILL)
        await self._finish()
        await asyncio.sleep(60)  # what still travels arrives

    def _start(self, of: Hospital) -> None:
        steps = 300 if self.rationed else 3600
        offset = self.random.choice((0.0, 0.0, self.random.uniform(-steps, steps)))
        self.steps += offset != 0.0
        if self.random.random() < 0.2:
            of = of.model_copy(update={"platform": of.platform.model_copy(update={"profile": "current"})})
            self.seen["other settings"] += 1
        self.world.start(of, Scope(of.id, DAY, DAY), offset=offset)

    def _something_happens(self) -> None:
        random, world = self.random, self.world
        living = world.living()
        match random.randrange(9):
            case 0 | 1 if len(living) < 4:
                self._start(random.choice(self.hospitals))
            case 2 if living and world.crash_share:
                world.kill(random.choice(living), "at an await")
            case 3 if living:
                steps = 300 if self.rationed else 3600
                world.clocks[random.choice(living)].offset += random.uniform(-steps, steps)
                self.steps += 1
                self.seen["clock steps"] += 1
            case 4 if living:
                world.loop.stalled[random.choice(living)] = self.loop.time() + random.uniform(0.1, 6)
                self.seen["stalls"] += 1
                self.platform.paused_since.clear()  # one that stalls during a pause learns of it when it can, see below
            case 5:
                self._his_changes()
            case 6:
                self._operator()
            case 7 if self.weather.token_lost:
                self.platform.evict()

    def _his_changes(self) -> None:
        """A row changes, is refunded, or arrives late."""
        record = self.his[self.random.choice(list(self.his))]
        draw = self.random.random()
        if draw < 0.4:
            record = replace(record, version=record.version + 1)
            self.seen["changed in the HIS"] += 1
        elif draw < 0.6:
            record = replace(record, voided=True)
            self.seen["voided in the HIS"] += 1
        self.his[record.label] = record
        self._stage([record], LIVE)

    def _operator(self) -> None:
        now = EPOCH + timedelta(seconds=self.loop.time())
        kind = self.random.choice(("pause", "pause", "drain", "resume", "resume"))
        with self.world.ledger.write() as connection:
            if kind == "resume":
                holds.lift(connection, hospital="main", kinds=("pause", "drain", "misconfigured"))
                self.platform.paused_since.clear()
                return
            holds.place(connection, hospital="main", kind=kind, reason="operator", by="sim", now=now)
        self.seen[kind] += 1
        # A worker that cannot reach the ledger, or is stalled, learns of a pause when it can.
        if kind == "pause" and not self.world.stumble_share and not self.seen["stalls"]:
            self.platform.paused_since.setdefault("main", self.loop.time())

    async def _change_during_a_long_pause(self) -> None:
        """Time enough to call the dead dead while nobody sends; what changes now must not give a second id."""
        with self.world.ledger.write() as connection:
            now = EPOCH + timedelta(seconds=self.loop.time())
            holds.place(connection, hospital="main", kind="pause", reason="long", by="sim", now=now)
        self._start(self.main)
        await asyncio.sleep(40)
        for _ in range(4):
            self._his_changes()
        self.seen["changed during a long pause"] += 1

    async def _calm_down(self) -> None:
        self.weather.calm()
        self.world.crash_share = self.world.stumble_share = 0.0
        self.platform.paused_since.clear()
        with self.world.ledger.write() as connection:
            holds.lift(connection, hospital="main", kinds=("pause", "drain", "misconfigured"))
            holds.lift(connection, hospital="clinic", kinds=("pause", "drain", "misconfigured"))

    async def _finish(self) -> None:
        """Runs of calm weather until nothing is open, as a scheduler would start them."""
        for _ in range(400):
            while self.world.living():
                await asyncio.sleep(1)
            waiting = [of for of in self.hospitals if self._open(of.id)]
            if not waiting:
                return
            for of in waiting:
                self._start(of)
            while self.world.living():
                await asyncio.sleep(5)
            if any(self._open(of.id) for of in waiting):
                await asyncio.sleep(8 * 3600 if self.rationed else 120)
        raise Violation("events are still open after 400 runs in calm weather")

    def _open(self, of: str) -> int:
        with self.world.ledger.read() as connection:
            return backlog(connection, Scope(of, DAY, DAY), EPOCH).open + len(self._in_flight(connection, of))

    def _in_flight(self, connection, of: str) -> list[int]:  # type: ignore[no-untyped-def]
        claimed = select(event.c.id).where(event.c.hospital == of, event.c.status == "in_flight")
        return list(connection.scalars(claimed))

    # -- what must be true --------------------------------------------------------------------------------------

    def _judge(self) -> None:
        columns = (event.c.hospital, event.c.source_id, event.c.status, event.c.sealed)
        with self.world.ledger.read() as connection:
            rows = connection.execute(select(*columns)).all()
        label = {(record.hospital, str(record.number)): record.label for record in self.his.values()}
        accepted = self.platform.of_event
        if len(rows) != len(self.his):
            raise Violation(f"{len(self.his)} events were staged, the ledger has {len(rows)}")
        for row in rows:
            name = label[row.hospital, row.source_id]
            times = len(accepted.get(name, ()))
            self.seen[f"ends {row.status}"] += 1
            fits = {
                "delivered": times == 1,
                "rejected": times == 0 and name in self.platform.refuses,
                "voided": times == 0,
                "unconfirmed": times <= 1 and self._may_be_unconfirmed(name),
            }
            if not fits.get(row.status, False):
                raise Violation(f"event {name} ends {row.status}, the platform accepted it {times} times")
            if row.status in {"delivered", "voided"} and row.sealed is not None:
                raise Violation(f"event {name} is {row.status} and its patient fields are still there")
        for (of, day), calls in self.platform.calls_of_day.items():
            if calls > self.main.platform.daily_quota:
                raise Violation(f"{of}: {calls} calls on {day}, its file allows {self.main.platform.daily_quota}")
        self._judge_tokens()

    def _may_be_unconfirmed(self, name: str) -> bool:
        """Told that it failed, or refused, in doubt; or told 'repeated' where that proves nothing. A worker that dies,
        or loses the ledger, leaves doubts of which the platform does not know."""
        platform, seen = self.platform, self.seen
        if name in platform.told_failed | platform.refuses:
            return True
        lost = any(count for what, count in seen.items() if what.startswith(("killed", "ledger lost")))
        return not self.proves and name in platform.told_repeated and (lost or name in platform.doubted)

    def _judge_tokens(self) -> None:
        """One token call a loss: the first, each that somebody else took, each expiry, and each call that went wrong or
        whose caller died before it could write the token down. A clock that steps looks like an expiry."""
        seen = self.seen
        lost = sum(count for name, count in seen.items() if name.endswith("of a token call"))
        killed = sum(count for name, count in seen.items() if name.startswith("killed"))
        stumbled = seen["ledger lost before commit"] + seen["ledger lost after commit"]
        expired = int(self.loop.time() / (TOKEN_LIFE - 400)) + 1
        allowed = 1 + self.platform.foreign + lost + killed + stumbled + expired * len(self.hospitals) + 2 * self.steps
        if seen["token calls"] > allowed:
            raise Violation(f"{seen['token calls']} token calls, {allowed} would do")
