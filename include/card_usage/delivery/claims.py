"""Claims: the events that one deliverer has taken from the ledger; live events come before backfill."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from card_usage.delivery.binding import stands
from card_usage.delivery.bodies import is_due_for_sealing, is_readable, sealed_again
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.run import Run
from card_usage.delivery.transitions import Claimed, Settled, claim, history, recover, release, reseal, settle, untimely
from card_usage.delivery.workload import InFlight
from card_usage.ledger import sealed_parts
from card_usage.ledger.scope import BACKFILL, LIVE
from card_usage.standard.payload import Form

log = logging.getLogger(__name__)

BATCH: Final = 256


class Claims:
    """Of one deliverer `worker`. Methods that take a connection run inside the caller's transaction.

    `left_platform`: the hospital is bound to another platform by now, so that nothing may be claimed for this one.
    """

    def __init__(self, run: Run, worker: int, budget: CallBudget) -> None:
        self._run, self._worker, self._budget = run, worker, budget
        self._newest_first = run.hospital.platform.backfill_order == "newest"
        self._taken: dict[int, InFlight] = {}
        self._retries_seen = run.executor.retries
        self._form = Form.of(run.hospital.platform, run.tables)
        self._form_of_0_2 = Form.of_0_2(run.hospital.platform, run.tables)
        self.left_platform = False

    def claim_batch(self, connection: Connection) -> list[InFlight]:
        """Claim the next batch. To be given to `track` once the transaction is committed, and not before: a batch whose
        commit was never confirmed is found by the next call, and given up."""
        now = self._run.clock.now()
        if self._run.executor.retries != self._retries_seen:
            # A claim whose commit was never confirmed may stand in our name: nobody else would ever touch it.
            self._retries_seen = self._run.executor.retries
            recover(connection, self._worker, now=now, detail="ledger lost", keep=list(self._taken))
        claimed: list[Claimed] = []
        self._budget.exhausted = False
        self.left_platform = not stands(connection, self._run.hospital.id, self._run.target)
        if self.left_platform:
            return []
        for lane in (LIVE, BACKFILL):
            wanted = BATCH - len(claimed)
            room = self._budget.reserve(connection, lane, wanted, others_reserved=bool(self._taken))
            if room:
                batch = claim(
                    connection,
                    self._run.scope,
                    lane=lane,
                    worker=self._worker,
                    limit=room,
                    now=now,
                    newest_first=lane == BACKFILL and self._newest_first,
                    except_ids=self._taken.keys(),
                )
                self._budget.refund(connection, lane, room - len(batch))
                claimed += batch
        claimed = self._with_bodies(connection, self._readable(connection, claimed))
        answers, dated = history(connection, claimed), untimely(connection, claimed)
        return [InFlight(event, answers.get(event.id, []), untimely=dated.get(event.id, 0)) for event in claimed]

    def _readable(self, connection: Connection, claimed: list[Claimed]) -> list[Claimed]:
        """Those whose sealed part opens; every other one is set aside, and costs no other its turn."""
        unreadable = [event for event in claimed if not is_readable(self._run.keys, event)]
        if not unreadable:
            return claimed
        for lane in (LIVE, BACKFILL):
            self._budget.refund(connection, lane, sum(event.lane == lane for event in unreadable))
        sealed_parts.set_aside(connection, [event.id for event in unreadable if event.before != "unknown"])
        unknown = [event.id for event in unreadable if event.before == "unknown"]
        sealed_parts.leave_unconfirmed(connection, unknown, now=self._run.clock.now())
        log.warning("%d events cannot be opened: set aside, see `keys status`", len(unreadable))
        ids = {event.id for event in unreadable}
        return [event for event in claimed if event.id not in ids]

    def _with_bodies(self, connection: Connection, claimed: list[Claimed]) -> list[Claimed]:
        """The same events, each with a body that may be sent; what is new of it is written down before it is sent."""
        keys = self._run.keys
        sealed = {
            # What may have been sent before bodies were sealed goes as it went then.
            event.id: sealed_again(keys, event, self._form_of_0_2 if event.before == "unknown" else self._form)
            for event in claimed
            if is_due_for_sealing(event, self._form)
        }
        used = {str(event.key_id) for event in sealed.values()}
        if (key_id := sealed_parts.closed(connection, self._run.hospital.id, used)) is not None:
            keys.leave(key_id)
            return self._with_bodies(connection, claimed)
        reseal(connection, sealed.values())
        return claimed if not sealed else [sealed.get(event.id, event) for event in claimed]

    def track(self, batch: Iterable[InFlight]) -> None:
        """These events were claimed, and that is committed."""
        self._taken.update((event.claimed.id, event) for event in batch)

    def untrack(self, ids: Iterable[int]) -> None:
        """These events are settled or released, and that is committed."""
        for event_id in ids:
            self._taken.pop(event_id, None)

    def release(self, connection: Connection, unsent: Iterable[InFlight]) -> None:
        """Give back events whose turn did not come. One that was called takes the state that its last answer gave."""
        unsent = list(unsent)
        called = [
            Settled(event.claimed, event.calls[-1].status, None, None, tuple(event.calls))
            for event in unsent
            if event.calls
        ]
        settle(connection, called, worker=self._worker, now=self._run.clock.now())
        for lane in (LIVE, BACKFILL):
            fresh = [event.claimed for event in unsent if not event.calls and event.claimed.lane == lane]
            self._budget.refund(connection, lane, release(connection, fresh, worker=self._worker))
