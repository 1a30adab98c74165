"""Evidence: a change without a trace is named by day and row, what left one is sealed anew, nothing is rewritten."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import planted
import pytest
from card_usage.config.keyring import Keyring
from card_usage.errors import EvidenceBroken
from card_usage.evidence.seal import BROKEN, GROWN, Link, links, seal_day, touched_since, verify
from card_usage.ledger.database import Ledger
from card_usage.ledger.macs import begin
from card_usage.ledger.schema import attempt, event, evidence, meta
from planted import DAY, HOSPITAL, NOW, SECRETS
from sqlalchemy import Connection, delete, insert, select, update

NEXT = DAY + timedelta(days=1)
MIX = {"delivered": 40, "quarantined": 5, "voided": 4, "rejected": 3}
SEALED = NOW + timedelta(hours=1)
LATER = NOW + timedelta(hours=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def sealed(ledger: Ledger, folder: Path) -> tuple[Ledger, Path]:
    """Two days of a version without MACs, sealed, and somebody else's chain beside them."""
    with ledger.write() as connection:
        planted.plant(connection, MIX)
        planted.plant(connection, MIX, seed=2, day=NEXT)
        planted.plant(connection, MIX, seed=3, hospital="other")
        for table in (event, attempt):
            connection.execute(update(table).values(mac=None))
        connection.execute(delete(meta).where(meta.c.name == "macs_since"))
        begin(connection, SEALED)
    for hospital, day in ((HOSPITAL, DAY), (HOSPITAL, NEXT), ("other", DAY)):
        assert seal_day(ledger, hospital, day, folder, now=SEALED) is not None
    assert verify(ledger, HOSPITAL, folder).sound
    return ledger, folder


def some(connection: Connection, status: str = "delivered") -> Any:
    query = select(event).where(event.c.hospital == HOSPITAL, event.c.day == DAY, event.c.status == status)
    return connection.execute(query.order_by(event.c.key).offset(1).limit(1)).one()


def change(**values: Any) -> Callable[[Connection], str]:
    def tamper(connection: Connection) -> str:
        row = some(connection)
        connection.execute(update(event).where(event.c.id == row.id).values(**values))
        return str(row.key)

    return tamper


def drop_row(connection: Connection) -> str:
    row = some(connection)
    connection.execute(delete(attempt).where(attempt.c.event_id == row.id))
    connection.execute(delete(event).where(event.c.id == row.id))
    return str(row.key)


def forge_row(connection: Connection) -> str:
    row = some(connection)._asdict()
    row |= {"id": 10**6, "key": "a" * 32, "source_id": "FORGED", "request_id": "A" * 32}
    connection.execute(insert(event).values(**row))
    return "a" * 32


def forge_row_as_if_staged_late(connection: Connection) -> str:
    key = forge_row(connection)
    connection.execute(update(event).where(event.c.key == key).values(staged_at=LATER))
    return key


def drop_call(connection: Connection) -> str:
    row = some(connection)
    connection.execute(delete(attempt).where(attempt.c.event_id == row.id))
    return str(row.key)


def change_call(connection: Connection) -> str:
    row = some(connection, "rejected")
    connection.execute(update(attempt).where(attempt.c.event_id == row.id).values(result_code=0, answer="accepted"))
    return str(row.key)


def deliver_without_a_call(connection: Connection) -> str:
    row = some(connection, "quarantined")
    connection.execute(update(event).where(event.c.id == row.id).values(status="delivered", reason=None))
    return str(row.key)


def forge_an_early_call(connection: Connection) -> str:
    row = some(connection, "rejected")
    call = {"event_id": row.id, "request_id": row.request_id, "deliverer": 1, "at": NOW, "answer": "accepted"}
    connection.execute(insert(attempt).values(**call, result_code=0, status="delivered"))
    connection.execute(update(event).where(event.c.id == row.id).values(status="delivered"))
    return str(row.key)


TAMPERED: dict[str, Callable[[Connection], str]] = {
    "a state": change(status="rejected"),
    "a request id": change(request_id="B" * 32),
    "a generation": change(generation=1),
    "a scene": change(scene="010104"),
    "a channel": change(channel="0299"),
    "a card type": change(card_type="11"),
    "a time": change(occurred_at=datetime(2026, 3, 4, 5, 6, 7)),  # noqa: DTZ001 - local
    "a payload's digest": change(digest="e" * 32),
    "a key of the HIS": change(source_id="OTHER"),
    "a day": change(day=NEXT),
    "a row that is gone": drop_row,
    "a row more": forge_row,
    "a row more, dated later": forge_row_as_if_staged_late,
    "a call that is gone": drop_call,
    "a call": change_call,
    "a call more, dated before": forge_an_early_call,
    "a delivery without a call": deliver_without_a_call,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_change_without_a_trace_is_named_by_day_and_row(sealed: tuple[Ledger, Path], what: str) -> None:
    ledger, folder = sealed
    with ledger.write() as connection:
        key = TAMPERED[what](connection)
    found = verify(ledger, HOSPITAL, folder)
    assert not found.sound
    assert (DAY, key) in {(one.day, one.key) for one in found.broken}
    assert len([one for one in found.broken if one.day == DAY]) == 1
    assert verify(ledger, "other", folder).sound
    with pytest.raises(EvidenceBroken, match=key):
        seal_day(ledger, HOSPITAL, DAY, folder, now=LATER)


def of_chain(**values: Any) -> Callable[[Connection], None]:
    def tamper(connection: Connection) -> None:
        connection.execute(
            update(evidence).where(evidence.c.hospital == HOSPITAL, evidence.c.serial == 1).values(**values)
        )

    return tamper


def cut(connection: Connection) -> None:
    connection.execute(delete(evidence).where(evidence.c.hospital == HOSPITAL, evidence.c.serial == 1))


def swap_days(connection: Connection) -> None:
    for serial, day in ((1, NEXT), (2, DAY)):
        of_link = (evidence.c.hospital == HOSPITAL, evidence.c.serial == serial)
        connection.execute(update(evidence).where(*of_link).values(day=day))


def mended_without_the_key(connection: Connection) -> None:
    """Every hash of the chain is right again; the seals cannot be."""
    chain = links(connection, HOSPITAL)
    previous = "0" * 64
    for link in chain:
        values = {name: getattr(link, name) for name in Link.__dataclass_fields__} | {"previous": previous, "events": 1}
        draft = Link(**values)
        of_link = (evidence.c.hospital == HOSPITAL, evidence.c.serial == link.serial)
        connection.execute(update(evidence).where(*of_link).values(previous=previous, events=1, link=draft.covers))
        previous = draft.covers


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (of_chain(digest="0" * 64), "was changed after it was made"),
        (of_chain(events=1), "was changed after it was made"),
        (of_chain(reason="nothing to see"), "was changed after it was made"),
        (of_chain(at=LATER), "was changed after it was made"),
        (of_chain(link="0" * 64), "does not follow the link before it"),
        (of_chain(seal="0" * 32), "its seal is not ours"),
        (cut, "link 1 is missing"),
        (swap_days, "was changed after it was made"),
        (mended_without_the_key, "its seal is not ours"),
    ],
)
def test_a_chain_that_was_touched_says_at_which_link(
    sealed: tuple[Ledger, Path], tamper: Callable[[Connection], None], problem: str
) -> None:
    ledger, folder = sealed
    with ledger.write() as connection:
        tamper(connection)
    found = verify(ledger, HOSPITAL, folder)
    assert not found.sound
    assert any(problem in one for one in found.chain)


def rewritten(path: Path, old: str, new: str) -> None:
    with gzip.open(path, "rt") as file:
        text = file.read()
    assert old in text
    with gzip.open(path, "wt") as file:
        file.write(text.replace(old, new, 1))


def test_packs_that_were_edited_swapped_torn_or_lost_are_told(sealed: tuple[Ledger, Path]) -> None:
    ledger, folder = sealed
    with ledger.read() as connection:
        first, second = (link.path(folder) for link in links(connection, HOSPITAL))
    kept, other = first.read_bytes(), second.read_bytes()

    def told() -> set[tuple[Any, str]]:
        found = verify(ledger, HOSPITAL, folder)
        assert not found.sound
        return {(one.day, one.how) for one in found.broken}

    rewritten(first, "\tdelivered\t", "\trejected\t")
    assert {(DAY, "pack was changed"), (DAY, "state changed without a call")} <= told()
    first.write_bytes(other)
    second.write_bytes(kept)
    assert {(DAY, "pack was changed"), (NEXT, "pack was changed"), (DAY, "row is gone")} <= told()
    second.write_bytes(other)
    first.write_bytes(kept[: len(kept) // 2])
    assert (DAY, "pack was changed") in told()
    first.unlink()
    assert (DAY, "pack is gone") in told()
    first.write_bytes(kept)
    assert verify(ledger, HOSPITAL, folder).sound


def deliver_again(connection: Connection) -> None:
    row = some(connection, "rejected")
    call = {"request_id": "C" * 32, "at": LATER, "answer": "accepted", "result_code": 0, "status": "delivered"}
    planted.plant_call(connection, row.id, row.key, **call)
    new = {"status": "delivered", "request_id": "C" * 32, "generation": 1, "result_code": 0, "settled_at": LATER}
    connection.execute(update(event).where(event.c.id == row.id).values(**new))


def stage_late(connection: Connection) -> None:
    planted.plant(connection, {"ready": 2}, seed=9, staged_at=LATER)


def mark(connection: Connection) -> None:
    connection.execute(update(event).where(event.c.id == some(connection).id).values(voided_at=LATER))


def decide(connection: Connection) -> None:
    new = {"status": "ready", "request_id": "D" * 32, "generation": 1, "settled_at": None}
    connection.execute(update(event).where(event.c.id == some(connection, "rejected").id).values(**new))


@pytest.mark.parametrize(
    ("move", "how"),
    [
        (deliver_again, "called again: 1"),
        (stage_late, "staged later: 2"),
        (mark, "marked by reconciliation: 1"),
        (decide, "decided to be sent again: 1"),
    ],
)
def test_what_left_its_trace_gets_a_link_that_supersedes_and_rewrites_nothing(
    sealed: tuple[Ledger, Path], move: Callable[[Connection], None], how: str
) -> None:
    ledger, folder = sealed
    with ledger.read() as connection:
        before = links(connection, HOSPITAL)
    with ledger.write() as connection:
        move(connection)
    seen = verify(ledger, HOSPITAL, folder)
    assert (seen.sound, seen.broken) == (True, ())
    assert {one.day for one in seen.grown} == {DAY}
    link = seal_day(ledger, HOSPITAL, DAY, folder, now=LATER)
    assert link is not None
    assert (link.serial, link.supersedes, link.reason) == (3, 1, how)
    with ledger.read() as connection:
        assert links(connection, HOSPITAL) == [*before, link]
    after = verify(ledger, HOSPITAL, folder, head=before[-1].link)
    assert (after.sound, after.grown, after.head) == (True, (), link.link)
    assert seal_day(ledger, HOSPITAL, DAY, folder, now=LATER + timedelta(hours=1)) is None


def test_a_day_that_did_not_move_is_not_sealed_twice(sealed: tuple[Ledger, Path]) -> None:
    ledger, folder = sealed
    assert seal_day(ledger, HOSPITAL, DAY, folder, now=LATER) is None
    with ledger.read() as connection:
        assert not touched_since(connection, HOSPITAL, DAY, SEALED)
    with ledger.write() as connection:
        mark(connection)
    with ledger.read() as connection:
        assert touched_since(connection, HOSPITAL, DAY, SEALED)
        assert not touched_since(connection, HOSPITAL, NEXT, SEALED)


def test_a_head_that_was_noted_elsewhere_must_be_of_this_chain(sealed: tuple[Ledger, Path]) -> None:
    ledger, folder = sealed
    strange = verify(ledger, HOSPITAL, folder, head="f" * 64)
    assert not strange.sound
    assert "no link of this chain" in strange.chain[0]


def test_only_the_days_asked_for_are_read_and_the_whole_chain_is_checked(sealed: tuple[Ledger, Path]) -> None:
    ledger, folder = sealed
    with ledger.write() as connection:
        drop_call(connection)
    assert verify(ledger, HOSPITAL, folder, first=NEXT).sound
    assert not verify(ledger, HOSPITAL, folder, last=DAY).sound
    with ledger.write() as connection:
        of_chain(events=1)(connection)
    assert not verify(ledger, HOSPITAL, folder, first=NEXT).sound


def test_another_key_does_not_pass_for_ours(sealed: tuple[Ledger, Path]) -> None:
    ledger, folder = sealed
    stranger = Ledger(ledger.engine, Keyring.parse(Keyring.new_key("x")))
    assert any("its seal is not ours" in one for one in verify(stranger, HOSPITAL, folder).chain)


def test_packs_hold_no_patient_and_no_key_of_the_his(sealed: tuple[Ledger, Path]) -> None:
    _, folder = sealed
    texts = [gzip.decompress(path.read_bytes()) for path in folder.rglob("*.gz")]
    assert len(texts) == 3
    assert not [secret for secret in SECRETS for text in texts if secret.encode() in text]


def test_the_same_day_gives_the_same_pack_on_both_databases(
    tmp_path: Path, embedded: Ledger, postgres_ledger: Ledger
) -> None:
    found = []
    for name, one in (("a", embedded), ("b", postgres_ledger)):
        with one.write() as connection:
            planted.plant(connection, MIX, marks=0.3)
        link = seal_day(one, HOSPITAL, DAY, tmp_path / name, now=SEALED)
        assert link is not None
        found.append((link.link, link.path(tmp_path / name).read_bytes()))
    assert found[0] == found[1]


def test_kinds_of_change_are_told_apart() -> None:
    assert set(BROKEN).isdisjoint(GROWN)
