"""What stays readable of a settled day, for who has every byte of the database and the master key."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from card_usage.config.day_keys import DayKeys
from card_usage.config.keyring import Keyring, Sealed
from card_usage.errors import FileUnusable, WrongKey
from card_usage.events import SourceRow
from card_usage.ledger import sealed_parts as sealed_parts_module
from card_usage.ledger.database import Ledger, migrate, open_ledger, take_over_keys
from card_usage.ledger.schema import event, shredded_key
from card_usage.staging import shredding
from card_usage.staging import stage as stage_module
from card_usage.staging.drafts import Drafter
from card_usage.staging.shredding import shred
from card_usage.windows import day_window
from ledgers import KEYRING, sqlite
from shredded_day import ALIASES, DAY, FEED, HOSPITAL, LATER, NOW, TABLES, deliver, row, sealed_parts, take
from sqlalchemy import select, update

CANDIDATES = 40


def digests(ledger: Ledger) -> dict[str, tuple[str | None, str]]:
    with ledger.read() as connection:
        return {
            row.source_id: (row.digest_key, row.digest)
            for row in connection.execute(select(event.c.source_id, event.c.digest_key, event.c.digest))
        }


def remains(ledger: Ledger) -> bytes:
    """Every byte of the database: file and -wal with free pages; heap and WAL of a server, and a dump."""
    url = ledger.engine.url
    if ledger.dialect == "sqlite":
        path = Path(str(url.database))
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file())
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        home = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar()))
        heap = str(connection.exec_driver_sql("SELECT pg_relation_filepath('event')").scalar())
        toast = str(
            connection.exec_driver_sql(
                "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'event'"
            ).scalar()
        )
    files = [home / heap, home / toast, *(home / "pg_wal").glob("0*")]
    dumped = url.set(drivername="postgresql").render_as_string(hide_password=False)
    dump = subprocess.run(["pg_dump", "--dbname", dumped], capture_output=True, check=True).stdout
    return b"".join(file.read_bytes() for file in files if file.is_file()) + dump


def opened(parts: list[tuple[str, str, bytes]], keys: Callable[[Sealed, bytes], bytes]) -> int:
    """How many of these can be opened."""
    count = 0
    for key, key_id, blob in parts:
        try:
            keys(Sealed(key_id, blob), key.encode())
        except WrongKey:
            continue
        count += 1
    return count


def by_thief(ledger: Ledger) -> Callable[[Sealed, bytes], bytes]:
    """Who has the database, the key folder as it is now, and the master key."""
    keys = DayKeys(Keyring.parse("t:" + "A" * 43 + "="), ledger.day_keys.home).of(HOSPITAL.id)
    return lambda sealed, bound_to: keys.open(sealed, bound_to=bound_to)


def named(ledger: Ledger) -> int:
    """Events that a list of candidates names, with the master key and all that is left of other keys."""
    keys = DayKeys(KEYRING, ledger.day_keys.home).of(HOSPITAL.id, kept=False)
    drafter = shredding_drafter(keys)
    found = 0
    for source_id, (key_id, digest) in digests(ledger).items():
        row_number = int(source_id.removeprefix("S"))
        draft = drafter(row(row_number))
        found += any(draft.digest_by(each) == digest for each in (key_id, None))
    return found


def shredding_drafter(keys: Any) -> Callable[[SourceRow], Any]:
    drafter = Drafter(HOSPITAL, FEED, TABLES, ALIASES, keys)
    return lambda each: drafter.draft(each, day_window(DAY))


def test_after_its_key_is_destroyed_nothing_of_a_day_opens_or_is_named_whatever_the_database_keeps(
    ledger: Ledger,
) -> None:
    take(ledger, [row(number) for number in range(CANDIDATES)])
    before = sealed_parts(ledger)
    assert len(before) == CANDIDATES
    assert opened(before, by_thief(ledger)) == CANDIDATES
    assert named(ledger) == CANDIDATES
    deliver(ledger)
    shred(ledger, HOSPITAL, now=LATER)
    bytes_left = remains(ledger)
    found = [part for part in before if part[2] in bytes_left or part[2].hex().encode() in bytes_left]
    print(f"{ledger.dialect}: {len(found)} of {len(before)} erased ciphertexts found")
    if ledger.dialect == "postgresql":
        assert found  # else this test attacks nothing
    assert opened(before, by_thief(ledger)) == 0
    assert named(ledger) == 0
    assert list(ledger.day_keys.files(HOSPITAL.id)) == []  # other tests may leave keys of other hospitals


def test_a_key_stays_until_its_day_is_past_the_look_back_and_nothing_is_on_its_way(embedded: Ledger) -> None:
    take(embedded, [row(1), row(2)])
    shred(embedded, HOSPITAL, now=LATER)  # ready
    assert len(list(embedded.day_keys.files())) == 1
    deliver(embedded)
    shred(embedded, HOSPITAL, now=NOW)  # within the look-back
    assert len(list(embedded.day_keys.files())) == 1
    assert shred(embedded, HOSPITAL, now=LATER).keys == 1
    assert shred(embedded, HOSPITAL, now=LATER).keys == 0


def test_what_waits_for_somebody_is_sealed_anew_and_does_not_keep_the_rest_readable(embedded: Ledger) -> None:
    take(embedded, [row(number) for number in range(10)])
    before = sealed_parts(embedded)
    deliver(embedded, refused=1)
    done = shred(embedded, HOSPITAL, now=LATER)
    assert (done.keys, done.events, done.moved) == (1, 10, 1)
    assert opened(before, by_thief(embedded)) == 0
    assert opened(sealed_parts(embedded), by_thief(embedded)) == 1
    assert shred(embedded, HOSPITAL, now=LATER).keys == 0  # no new key each night
    with embedded.write() as connection:
        connection.execute(update(event).values(status="delivered", sealed=None, key_id=None))
    assert shred(embedded, HOSPITAL, now=LATER).keys == 1
    assert list(embedded.day_keys.files()) == []


def test_a_shredded_day_that_is_staged_again_is_as_it_was_and_a_new_row_gets_a_new_key(embedded: Ledger) -> None:
    take(embedded, [row(number) for number in range(5)])
    deliver(embedded)
    old = digests(embedded)
    shred(embedded, HOSPITAL, now=LATER)
    again = take(embedded, [row(0, name="another"), *(row(number) for number in range(1, 6))], now=LATER)
    assert (again.new, again.changed, again.marked, again.unchanged) == (1, 0, 0, 5)
    after = digests(embedded)
    assert {source: after[source] for source in old} == old
    assert after["S5"][0] not in {key for key, _ in old.values()}
    assert opened(sealed_parts(embedded), by_thief(embedded)) == 1


def test_a_kill_between_closing_and_destroying_is_made_good(embedded: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    take(embedded, [row(1)])
    deliver(embedded)
    with monkeypatch.context() as killed:
        killed.setattr(shredding.HospitalKeys, "destroy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shred(embedded, HOSPITAL, now=LATER)
    assert len(list(embedded.day_keys.files())) == 1
    take(embedded, [row(2)], now=LATER)  # by another key, for the first is closed
    with embedded.read() as connection:
        closed = set(connection.scalars(select(shredded_key.c.key_id)))
    assert digests(embedded)["S2"][0] not in closed
    shred(embedded, HOSPITAL, now=LATER)
    assert {file.id for file in embedded.day_keys.files()} == {digests(embedded)["S2"][0]}


def test_a_batch_whose_key_is_closed_while_it_is_drafted_is_sealed_by_the_next_one_and_loses_no_row(
    embedded: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(embedded, [row(1)])
    deliver(embedded)
    drafts = stage_module._Staging._drafts

    def meanwhile(staging: Any, rows: list[SourceRow]) -> Any:
        drafted = drafts(staging, rows)
        assert shred(embedded, HOSPITAL, now=LATER).keys == 1
        return drafted

    monkeypatch.setattr(stage_module._Staging, "_drafts", meanwhile)
    staged = take(embedded, [row(2), row(3), row(3), row(1)], now=LATER)
    assert (staged.read, staged.new, staged.unchanged, staged.duplicate, staged.marked) == (4, 2, 1, 1, 0)
    assert opened(sealed_parts(embedded), by_thief(embedded)) == 2


def test_a_new_ledger_goes_on_with_the_data_keys_of_the_lost_one_unless_it_has_made_some(tmp_path: Path) -> None:
    with sqlite(tmp_path, "lost") as lost:
        take(lost, [row(1)])
        wanted = {(file.hospital, file.id) for file in lost.day_keys.files()}
        keyring = lost.keyring.with_folder(Path(f"{tmp_path}/lost.db.keys"))
    url = f"sqlite:///{tmp_path}/new.db"
    migrate(url)
    new = open_ledger(url, keyring)
    take_over_keys(new, {("another", "20260302:aaaaaaa")})
    assert list(new.day_keys.files()) == []
    take_over_keys(new, wanted)
    new.close()
    again = open_ledger(url, keyring)
    assert {file.id for file in again.day_keys.files()} == {key_id for _, key_id in wanted}
    again.close()
    other = f"sqlite:///{tmp_path}/other.db"
    migrate(other)
    has_made_some = open_ledger(other, keyring)
    made = has_made_some.day_keys.of(HOSPITAL.id).current(DAY).id
    take_over_keys(has_made_some, wanted)
    assert [file.id for file in has_made_some.day_keys.files()] == [made]
    has_made_some.close()


def test_an_altered_row_or_a_lost_key_sets_aside_one_event_and_staging_takes_it_in_anew(embedded: Ledger) -> None:
    take(embedded, [row(1), row(2)])
    with embedded.write() as connection:
        first = connection.execute(select(event).where(event.c.source_id == "S1")).one()
        sealed_parts_module.set_aside(connection, [first.id])
    again = take(embedded, [row(1), row(2)])
    assert (again.changed, again.unchanged) == (1, 1)
    assert opened(sealed_parts(embedded), by_thief(embedded)) == 2


@pytest.mark.parametrize("algorithm", ["aes", "sm4"])
def test_master_keys_rotate_without_a_change_to_any_event(tmp_path: Path, algorithm: Any) -> None:
    old, new = Keyring.new_key("old", algorithm), Keyring.new_key("new", "sm4")
    made = DayKeys(Keyring.parse(old), tmp_path).of("h")
    sealed, digest = made.current(DAY).seal(b"patient", bound_to=b"k"), made.current(DAY).digest("patient")
    rotated = DayKeys(Keyring.parse(f"{new},{old}"), tmp_path)
    assert (rotated.rewrap(), rotated.rewrap()) == (1, 0)
    later = DayKeys(Keyring.parse(new), tmp_path).of("h")
    assert later.open(sealed, bound_to=b"k") == b"patient"
    assert later.digest_by(sealed.key_id, "patient") == digest
    with pytest.raises(WrongKey):
        DayKeys(Keyring.parse(old), tmp_path).of("h").open(sealed, bound_to=b"k")


def test_stagers_agree_on_one_key_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(lambda _: DayKeys(KEYRING, tmp_path / "k").of("h").current(DAY).id, range(40)))
    finally:
        os.umask(before)
    assert len(ids) == 1
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "k").rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [tmp_path / "k", tmp_path / "k" / "h"]} == {0o700}
    assert [path.name for path in (tmp_path / "k" / "h").iterdir()] == ["20260302.1"]


def test_a_damaged_key_file_gives_the_day_another_key_and_a_link_is_not_followed(tmp_path: Path) -> None:
    first = DayKeys(KEYRING, tmp_path).of("h").current(DAY)
    file = tmp_path / "h" / "20260302.1"
    file.write_text(file.read_text()[:-9])
    second = DayKeys(KEYRING, tmp_path).of("h")
    assert second.current(DAY).id != first.id
    assert second.named(first.id) is None
    (tmp_path / "h" / "20260303.1").symlink_to(file)
    with pytest.raises(FileUnusable):
        DayKeys(KEYRING, tmp_path).of("h").current(DAY + timedelta(days=1))
