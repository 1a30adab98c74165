"""Rebuild: a ledger that was lost or restored learns from packs what was sent; nothing is reported twice or lost."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import ledgers
import planted
import pytest
from card_usage.config.keyring import Keyring
from card_usage.evidence.keep import keep_day, keep_missing, latest_path
from card_usage.evidence.pack import read_records
from card_usage.evidence.rebuild import Rebuilt, pack_files, rebuild
from card_usage.evidence.seal import seal_day, verify
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import attempt, binding, event, evidence, platform_move
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine
from planted import HOSPITAL, NOW, SECRETS
from platform_sandbox import Config
from sqlalchemy import delete, select, update

NEXT = DAY + timedelta(days=1)
FIRST = ("--hospital", HOSPITAL, "--from", f"{DAY}", "--to", f"{DAY}")
SECOND = ("--hospital", HOSPITAL, "--from", f"{NEXT}", "--to", f"{NEXT}")
CORRECTED = (
    "UPDATE SF_BRXXK SET hzxm = hzxm || '改' WHERE patid % 3 = 0",
    "UPDATE GH_GHZDK SET ksdm = '11010' WHERE ksdm NOT IN ('11010', '21010', '21020')",
)
PLATFORMS = {"accepted": "on_acceptance", "seen": "on_sight", "gate": "on_sight"}


@contextmanager
def at_a_desk(tmp_path: Path, command_line: CommandLine, repeat: str) -> Iterator[Desk]:
    with opened(tmp_path, command_line, platform=Config(repeat=repeat, seed=5), uses=100) as desk:
        yield desk


def ask(desk: Desk, query: str) -> list[Any]:
    with sqlite3.connect(desk.environment["CARD_USAGE_LEDGER_URL"].partition("///")[2]) as connection:
        return connection.execute(query).fetchall()


def states(desk: Desk) -> Counter[str]:
    query = "select status, count(*) from event where status not in ('quarantined', 'voided') group by 1"
    return Counter(dict(ask(desk, query)))


def correct(desk: Desk) -> None:
    with sqlite3.connect(desk.home / "his.db") as his:
        assert all(his.execute(correction).rowcount > 10 for correction in CORRECTED)


def lose_the_ledger(desk: Desk) -> None:
    """The database alone: data keys lie apart from it."""
    remove_the_ledger(desk)
    assert desk.run("ledger", "migrate").returncode == 0


def remove_the_ledger(desk: Desk) -> None:
    for path in desk.home.glob("ledger.db*"):
        if path.is_file():
            path.unlink()


def rebuilt(desk: Desk) -> dict[str, Any]:
    return desk.json("ledger", "rebuild", "--from", str(desk.home / "evidence"))


def sent(desk: Desk, repeat: str) -> None:
    """Both days delivered, some events under a later generation, the last ones with an outcome that nobody knows."""
    desk.json("stage", *SPAN)
    desk.json("platform", "calibrate", *FIRST[:2])
    desk.sandbox.faults(evict_every=30, refuse=0.05)
    desk.run("deliver", *FIRST)
    desk.sandbox.faults(refuse=0.0)
    assert desk.run("redeliver", *FIRST, "--yes").returncode == 0
    assert states(desk)["rejected"] == 0
    assert ask(desk, "select count(*) > 0 from event where status = 'delivered' and generation > 0") == [(1,)]
    desk.sandbox.calm()
    desk.sandbox.faults(gateway_403=1.0)
    told_to_end(desk)
    desk.sandbox.calm()
    assert states(desk)["unknown"] > 0


def told_to_end(desk: Desk) -> None:
    """A delivery of the second day behind a gateway that hides what was accepted: it would go on for minutes."""
    once = len(desk.sandbox.accepted())
    process = subprocess.Popen(
        desk.command("deliver", *SECOND), env=desk.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(desk.sandbox.accepted()) < once + 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 143


@pytest.mark.parametrize("repeat", PLATFORMS)
def test_a_lost_ledger_is_rebuilt_and_nothing_is_sent_twice_whatever_the_his_corrected_since(
    tmp_path: Path, command_line: CommandLine, repeat: str
) -> None:
    with at_a_desk(tmp_path, command_line, repeat) as desk:
        sent(desk, repeat)
        query = "select key, request_id, generation, status from event where attempts > 0 and status = 'delivered'"
        before, unknown = sorted(ask(desk, query)), states(desk)["unknown"]
        accepted = {record.request_id for record in desk.sandbox.accepted()}
        correct(desk)
        lose_the_ledger(desk)
        told = rebuilt(desk)
        assert told["events"]["restored"] >= len(before) + unknown
        assert sorted(ask(desk, query)) == before
        assert rebuilt(desk)["events"]["restored"] == 0, "it is safe to repeat"
        # Nothing is sent before the days are staged again: the packs have no content.
        desk.run("deliver", *SPAN)
        assert {record.request_id for record in desk.sandbox.accepted()} == accepted
        desk.json("stage", *SPAN)
        desk.json("platform", "calibrate", *FIRST[:2])
        again = desk.run("deliver", *SPAN)
        records = desk.sandbox.accepted()
        assert accepted <= {record.request_id for record in records}
        events = states(desk)
        assert len(records) == sum(events.values()), "one acceptance for each event: none lost, none doubled"
        if PLATFORMS[repeat] == "on_acceptance":
            assert again.returncode == 0
            assert events == {"delivered": len(records)}
        else:
            # There 10054 proves nothing, with or without a lost ledger.
            assert again.returncode == 1
            assert events == {"delivered": len(records) - unknown, "unconfirmed": unknown}
        reconciled = json.loads(desk.run("reconcile", *SPAN, "--json").stdout)["reconcile"]
        assert reconciled["remainder"] == 0
        assert reconciled["clean"] is True
        assert ask(desk, "select count(*) > 5 from event where changed_at is not null") == [(1,)]


@pytest.mark.parametrize("repeat", PLATFORMS)
@pytest.mark.parametrize("packs", [True, False])
def test_a_restored_backup_with_a_correction_in_the_his_doubles_nothing_that_its_packs_or_its_ids_tell(
    tmp_path: Path, command_line: CommandLine, repeat: str, packs: bool
) -> None:
    with at_a_desk(tmp_path, command_line, repeat) as desk:
        desk.json("stage", *SPAN)
        desk.json("platform", "calibrate", *FIRST[:2])
        desk.json("deliver", *FIRST)
        backup = desk.home / "backup.db"
        ledger = Path(desk.environment["CARD_USAGE_LEDGER_URL"].partition("///")[2])
        with sqlite3.connect(ledger) as source, sqlite3.connect(backup) as copy:
            source.backup(copy)
        desk.sandbox.faults(evict_every=30)
        desk.json("deliver", *SECOND)
        desk.sandbox.calm()
        later = ask(desk, "select count(*) from event where generation > 0")[0][0]
        correct(desk)
        remove_the_ledger(desk)
        shutil.copy(backup, ledger)
        once = len(desk.sandbox.accepted())
        if packs:
            told = rebuilt(desk)
            assert told["events"]["brought_up"] > 50
            assert told["events"]["conflicts"] == 0
        desk.json("platform", "calibrate", *FIRST[:2])
        desk.json("stage", *SPAN)
        done = desk.run("deliver", *SPAN)
        events, doubled = states(desk), len(desk.sandbox.accepted()) - once
        if packs:
            assert (doubled, done.returncode, events) == (0, 0, {"delivered": once})
            assert desk.json("reconcile", *SPAN)["reconcile"]["clean"] is True
        elif PLATFORMS[repeat] == "on_acceptance":
            assert later == 0, "there the id stays when a token is lost"
            assert (doubled, done.returncode, events) == (0, 0, {"delivered": once})
        else:
            # What docs/production.md says of a backup without packs: nothing is believed, and later ids are not known.
            assert done.returncode == 1
            assert events["unconfirmed"] > 0
            assert doubled <= later


SOON = "import sys, card_usage.evidence.keep as keep; keep.KEEP_SECONDS = 0.3; from card_usage.cli.main import main; "


def test_a_ledger_that_is_lost_with_a_killed_delivery_knows_what_that_had_sent_until_its_last_packs(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        desk.json("stage", *FIRST)
        desk.json("platform", "calibrate", *FIRST[:2])
        desk.sandbox.faults(latency_ms=300)
        process = subprocess.Popen(
            [sys.executable, "-c", f"{SOON}sys.exit(main())", "deliver", *FIRST],
            env=desk.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pack = latest_path(desk.home / "evidence", HOSPITAL, DAY)
        deadline = time.monotonic() + 60
        while not (pack.exists() and len(desk.sandbox.accepted()) > 20) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "it is still under way"
        process.kill()
        process.wait(timeout=30)
        desk.sandbox.calm()
        correct(desk)
        lose_the_ledger(desk)
        assert rebuilt(desk)["events"]["restored"] > 0
        desk.json("stage", *FIRST)
        desk.json("platform", "calibrate", *FIRST[:2])
        desk.json("deliver", *FIRST)
        assert states(desk) == {"delivered": len(desk.sandbox.accepted())}, "none lost, none doubled"


MIX = {"delivered": 40, "quarantined": 5, "voided": 4, "rejected": 3, "unconfirmed": 2, "unknown": 3, "ready": 2}
LATER = NOW + timedelta(hours=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def packed(ledger: Ledger, folder: Path) -> tuple[Ledger, Path]:
    """A sealed day, one that is not, and another hospital's."""
    with ledger.write() as connection:
        planted.plant(connection, MIX, day=DAY, lane=1, marks=0.3)
        planted.plant(connection, MIX, seed=2, day=NEXT)
        planted.plant(connection, MIX, seed=3, day=DAY, hospital="other")
    seal_day(ledger, HOSPITAL, DAY, folder, now=NOW)
    seal_day(ledger, "other", DAY, folder, now=NOW)
    keep_day(ledger, HOSPITAL, NEXT, folder, now=NOW)
    return ledger, folder


def emptied(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for table in (attempt, event, evidence):
            connection.execute(delete(table))


def all_of(ledger: Ledger, *states: str) -> list[Any]:
    left_out = {"id", "key_id", "sealed", "claimed_by", "attempts"}
    columns = [column for column in event.c if column.name not in left_out]
    with ledger.read() as connection:
        query = select(*columns).where(event.c.status.in_(states)).order_by(event.c.key)
        return [tuple(row) for row in connection.execute(query)]


def again(ledger: Ledger, folder: Path, **named: Any) -> Rebuilt:
    return rebuild(ledger, pack_files([folder]), {HOSPITAL, "other"}, now=LATER, **named)


def test_what_was_called_comes_back_column_by_column_and_the_chain_with_it(packed: tuple[Ledger, Path]) -> None:
    ledger, folder = packed
    settled = ("delivered", "rejected")
    before = all_of(ledger, *settled)
    emptied(ledger)
    found = again(ledger, folder)
    assert found.clean
    assert found.counts["restored"] == 3 * (40 + 3 + 2 + 3)
    assert all_of(ledger, *settled) == before
    assert found.links == 2
    with ledger.read() as connection:
        unknown = select(event.c.status, event.c.sealed).where(event.c.reason == "rebuilt.unknown")
        assert [tuple(row) for row in connection.execute(unknown)] == [("unconfirmed", None)] * 9
        assert connection.scalar(select(attempt.c.id).where(attempt.c.answer == "no_answer").limit(1)) is not None
    gone = {change.how for change in verify(ledger, HOSPITAL, folder).broken}
    assert gone <= {"row is gone", "state changed without a call"}, "what was never sent comes from the HIS"


def test_it_is_safe_to_repeat_and_to_interrupt(packed: tuple[Ledger, Path]) -> None:
    ledger, folder = packed
    before = all_of(ledger, *MIX)
    found = again(ledger, folder)
    assert found.counts["restored"] == found.counts["brought_up"] == found.links == 0
    assert all_of(ledger, *MIX) == before
    emptied(ledger)
    again(ledger, folder, only="other")
    again(ledger, folder)
    once = all_of(ledger, *MIX)
    again(ledger, folder)
    assert all_of(ledger, *MIX) == once


def torn(path: Path, ledger: Ledger) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def damaged(path: Path, ledger: Ledger) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def rewritten(path: Path, ledger: Ledger) -> None:
    text = gzip.decompress(path.read_bytes()).decode().replace("rejected", "voided", 1)
    lines, link = text[: text.index("#link")], text[text.index("#link") :]
    path.write_bytes(gzip.compress(lines.encode()) + gzip.compress(link.encode()))


def empty(path: Path, ledger: Ledger) -> None:
    path.write_bytes(b"")


def no_pack(path: Path, ledger: Ledger) -> None:
    path.write_bytes(gzip.compress(b"something else\n"))


def of_a_former_version(path: Path, ledger: Ledger) -> None:
    path.write_bytes(gzip.compress(f"# card-usage-evidence/1 {HOSPITAL} {DAY}\n".encode()))


def foreign(path: Path, ledger: Ledger) -> None:
    stranger = Ledger(ledger.engine, Keyring.parse(Keyring.new_key("x")))
    keep_day(stranger, HOSPITAL, NEXT, path.parent / "foreign", now=NOW)
    latest_path(path.parent / "foreign", HOSPITAL, NEXT).replace(path)


def with_another_link(path: Path, ledger: Ledger) -> None:
    own = gzip.decompress(path.read_bytes()).decode()
    other = gzip.decompress((path.parent.parent / "other" / f"{DAY}.1.tsv.gz").read_bytes()).decode()
    lines, link = own[: own.index("#link")], other[other.index("#link") :]
    path.write_bytes(gzip.compress(lines.encode()) + gzip.compress(link.encode()))


BAD: dict[Callable[[Path, Ledger], None], str] = {
    torn: "torn",
    damaged: "cannot be read|changed or torn",
    rewritten: "changed or torn",
    empty: "no pack|cannot be read",
    no_pack: "no pack",
    of_a_former_version: "0.2.0",
    foreign: "seal is not ours",
    with_another_link: "that of another pack",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_pack_is_named_and_holds_up_no_other(
    embedded: Ledger, folder: Path, spoil: Callable[[Path, Ledger], None]
) -> None:
    with embedded.write() as connection:
        planted.plant(connection, MIX, day=DAY)
        planted.plant(connection, MIX, seed=2, day=NEXT)
        planted.plant(connection, MIX, seed=3, day=DAY, hospital="other")
    seal_day(embedded, HOSPITAL, DAY, folder, now=NOW)
    seal_day(embedded, "other", DAY, folder, now=NOW)
    spoil((folder / HOSPITAL / f"{DAY}.1.tsv.gz"), embedded)
    keep_day(embedded, HOSPITAL, NEXT, folder, now=NOW)
    emptied(embedded)
    found = again(embedded, folder)
    assert not found.clean
    (refused,) = [pack for pack in found.packs if pack.result == "refused"]
    assert refused.pack.endswith(f"{HOSPITAL}/{DAY}.1.tsv.gz")
    assert any(part in refused.problem for part in BAD[spoil].split("|")), refused.problem
    assert found.counts["restored"] == 2 * (40 + 3 + 2 + 3)


def test_a_pack_of_another_hospital_is_refused_by_name(packed: tuple[Ledger, Path]) -> None:
    ledger, folder = packed
    emptied(ledger)
    found = again(ledger, folder, only=HOSPITAL)
    assert [pack.problem for pack in found.packs if pack.result == "refused"] == [
        f"it is of the hospital other: leave it out, or --hospital {HOSPITAL}"
    ]
    found = rebuild(ledger, pack_files([folder]), {HOSPITAL}, now=LATER)
    assert any("there is no hospital other here" in pack.problem for pack in found.packs)


def bound_to(ledger: Ledger, host: str) -> None:
    with ledger.write() as connection:
        connection.execute(delete(binding))
        where = {"host": host, "app_id": "app", "platform_hospital": "10086", "origin": "first", "bound_at": NOW}
        connection.execute(binding.insert().values(hospital=HOSPITAL, **where))


def test_what_went_to_a_sandbox_is_not_taken_for_reported_and_a_moved_platform_is_the_same(
    embedded: Ledger, folder: Path
) -> None:
    with embedded.write() as connection:
        planted.plant(connection, MIX, day=DAY)
        planted.plant(connection, MIX, seed=2, day=NEXT)
    bound_to(embedded, "sandbox.example")
    keep_day(embedded, HOSPITAL, DAY, folder, now=NOW)
    bound_to(embedded, "platform.example")
    keep_day(embedded, HOSPITAL, NEXT, folder, now=LATER)
    emptied(embedded)
    with embedded.write() as connection:
        connection.execute(delete(binding))
    found = again(embedded, folder)
    assert found.counts["restored"] == 48
    (refused,) = [pack for pack in found.packs if pack.result == "refused"]
    assert refused.pack.endswith(f"{DAY}.latest.tsv.gz")
    assert "went to sandbox.example" in refused.problem
    with embedded.read() as connection:
        assert connection.scalars(select(binding.c.host)).all() == ["platform.example"]
    # The same platform, once it is on record that it had that address.
    move = {"from_host": "sandbox.example", "from_app_id": "app", "from_hospital": "10086"}
    move |= {"to_host": "platform.example", "to_app_id": "app", "to_hospital": "10086"}
    with embedded.write() as connection:
        values = {"hospital": HOSPITAL, "kind": "moved", "events": 0, "reason": "", "moved_by": "wang", "at": NOW}
        connection.execute(platform_move.insert().values(**values, **move))
    found = again(embedded, folder)
    assert found.clean
    assert found.counts["restored"] == 48


def test_an_older_pack_of_the_day_is_taken_where_the_newer_one_is_bad(embedded: Ledger, folder: Path) -> None:
    with embedded.write() as connection:
        planted.plant(connection, MIX, day=DAY)
    seal_day(embedded, HOSPITAL, DAY, folder, now=NOW)
    keep_day(embedded, HOSPITAL, DAY, folder, now=LATER)
    latest_path(folder, HOSPITAL, DAY).write_bytes(b"torn")
    emptied(embedded)
    found = again(embedded, folder)
    assert found.counts["restored"] == 48
    assert sorted(pack.result for pack in found.packs) == ["refused", "used"]


def test_what_the_ledger_knows_better_stays_and_what_was_sent_twice_is_named(packed: tuple[Ledger, Path]) -> None:
    ledger, folder = packed
    with ledger.write() as connection:
        of_day = (event.c.hospital == HOSPITAL, event.c.day == DAY)
        rejected, delivered = (
            connection.execute(select(event).where(*of_day, event.c.status == state).limit(1)).one()
            for state in ("rejected", "delivered")
        )
        call = {"at": LATER, "answer": "accepted", "result_code": 0, "status": "delivered"}
        planted.plant_call(connection, rejected.id, rejected.key, request_id=rejected.request_id, **call)
        connection.execute(update(event).where(event.c.id == rejected.id).values(status="delivered"))
        connection.execute(update(attempt).where(attempt.c.event_id == delivered.id).values(at=LATER))
    before = all_of(ledger, *MIX)
    found = again(ledger, folder)
    assert (found.counts["kept"], found.counts["conflicts"]) == (1, 1)
    assert found.conflicts == [delivered.key]
    assert not found.clean
    assert all_of(ledger, *MIX) == before


def test_packs_hold_no_patient_and_no_key_of_the_his_that_is_not_sealed(packed: tuple[Ledger, Path]) -> None:
    _, folder = packed
    texts = [gzip.decompress(path.read_bytes()) for path in folder.rglob("*.gz")]
    assert len(texts) == 3
    assert not [secret for secret in SECRETS for text in texts if secret.encode() in text]
    path = latest_path(folder, HOSPITAL, NEXT)
    (batch,) = read_records(path, ledgers.KEYRING, HOSPITAL, NEXT)
    assert all(kept.source_id.startswith(SECRETS[3]) for kept in batch)


def test_days_without_a_pack_to_rebuild_from_get_one_and_the_seal_takes_its_place(
    embedded: Ledger, folder: Path
) -> None:
    from card_usage.staging.coverage import open_window
    from card_usage.windows import day_window

    with embedded.write() as connection:
        planted.plant(connection, MIX, day=DAY)
        for day in (DAY, NEXT):
            window = day_window(day)
            open_window(connection, hospital=HOSPITAL, feed="payment", start=window.start, end=window.end)
    assert keep_missing(embedded, HOSPITAL, folder, now=NOW, most=1) == [NEXT]
    assert keep_missing(embedded, HOSPITAL, folder, now=NOW) == [DAY]
    assert keep_missing(embedded, HOSPITAL, folder, now=NOW) == []
    assert seal_day(embedded, HOSPITAL, DAY, folder, now=NOW) is not None
    assert sorted(path.name for path in (folder / HOSPITAL).iterdir()) == [f"{DAY}.1.tsv.gz", f"{NEXT}.latest.tsv.gz"]


def test_a_pack_of_a_chain_that_was_lost_is_never_overwritten(embedded: Ledger, folder: Path) -> None:
    with embedded.write() as connection:
        planted.plant(connection, MIX, day=DAY)
    seal_day(embedded, HOSPITAL, DAY, folder, now=NOW)
    first = (folder / HOSPITAL / f"{DAY}.1.tsv.gz").read_bytes()
    with embedded.write() as connection:
        connection.execute(delete(evidence))
    seal_day(embedded, HOSPITAL, DAY, folder, now=LATER)
    assert first in [path.read_bytes() for path in (folder / HOSPITAL).iterdir()]
    assert len(list((folder / HOSPITAL).iterdir())) == 2


def test_a_folder_without_packs_is_one_line(tmp_path: Path, command_line: CommandLine) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        done = desk.run("ledger", "rebuild", "--from", str(tmp_path / "nothing"))
        assert done.returncode == 2
        assert "there is no pack" in one_line(done)


def test_an_evidence_folder_that_cannot_be_written_is_a_warning_and_no_failed_delivery(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        (tmp_path / "evidence").write_text("a file stands where the folder should be")
        desk.json("stage", *FIRST)
        done = desk.run("deliver", *FIRST)
        assert done.returncode == 0
        assert "no pack to rebuild the ledger from" in done.stderr
