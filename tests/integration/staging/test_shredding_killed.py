"""Data keys over processes that are killed (SIGKILL), at every step that reaches the disk."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from card_usage.config.keyring import Sealed
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, shredded_key
from card_usage.staging.shredding import shred
from ledgers import opened, sqlite_url
from shredded_day import HOSPITAL, LATER, deliver, row, sealed_parts, take
from sqlalchemy import Engine, select
from sqlalchemy import event as hooks

ROWS = 5
STEPS = {"os.link", "os.remove", "os.rename", "os.mkdir"}


def life(ledger: Ledger) -> None:
    """A day, from its first row to the end of its key."""
    take(ledger, [row(number) for number in range(ROWS)])
    keys = ledger.day_keys.of(HOSPITAL.id)
    for key, key_id, blob in sealed_parts(ledger):
        assert b"idCardNumber" in keys.open(Sealed(key_id, blob), bound_to=key.encode())
    deliver(ledger)
    shred(ledger, HOSPITAL, now=LATER)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Work in another process that is killed just before this step; False: it came to its end before."""
    pid = os.fork()
    if pid == 0:
        steps = count(1)

        def reached(*_: object) -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        def audited(name: str, given: tuple[object, ...]) -> None:
            if name in STEPS or (name == "open" and ".keys" in str(given[0])):
                reached()

        try:
            sys.addaudithook(audited)
            hooks.listen(Engine, "commit", reached)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def test_a_kill_at_any_step_loses_no_row_and_leaves_no_key_behind_that_opens_anything(tmp_path: Path) -> None:
    for step in count(1):
        url = sqlite_url(tmp_path, f"after{step}")

        def work(url: str = url) -> None:
            with opened(url) as ledger:
                life(ledger)

        killed = killed_at(step, work)
        with opened(url) as ledger:
            life(ledger)
            shred(ledger, HOSPITAL, now=LATER)
            with ledger.read() as connection:
                events = connection.execute(select(event.c.status, event.c.sealed, event.c.digest_key)).all()
                ends = set(connection.scalars(select(shredded_key.c.destroyed_at)))
        assert [(each.status, each.sealed) for each in events] == [("delivered", None)] * ROWS
        assert None not in ends
        left = [file for file in tmp_path.glob(f"after{step}.db.keys/**/*") if file.is_file()]
        # What was cut off before it had its name was never used.
        assert all(file.name.startswith(".") for file in left)
        assert not {file.read_text().splitlines()[0] for file in left} & {each.digest_key for each in events}
        if not killed:
            break
    print(f"{step - 1} kills")
    assert step > 15
