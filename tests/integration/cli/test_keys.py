"""`keys`: master keys are exchanged and retired, and data keys are destroyed, without losing what is still needed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from card_usage.config.keyring import Keyring
from card_usage.ledger.database import open_ledger
from card_usage.ledger.schema import token, upgrade_patient
from card_usage.upgrade import store
from desk import SPAN, Desk, one_line, opened
from forked_cli import CommandLine
from ledgers import KEY
from sqlalchemy import insert

NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
CARD = {"qrCodeText": "Q", "healthCardId": "H", "patid": "P", "openId": "O"}


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line, uses=40) as made:
        made.json("stage", *SPAN)
        yield made


def masters(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in status["master keys"]}


def with_a_card(desk: Desk, keyring: Keyring) -> None:
    """A token and a patient who got a card, sealed by this keyring's current key."""
    ledger = open_ledger(desk.environment["CARD_USAGE_LEDGER_URL"], keyring)
    sealed = keyring.seal(b"token", bound_to=b"app")
    card = keyring.seal(json.dumps(CARD).encode(), bound_to=b"k")
    of_patient = {"hospital": "demo_hospital", "key": "k", "digest": "d", "state": "registered", "changed_at": NOW}
    of_card = {"card_key_id": card.key_id, "card_sealed": card.blob}
    with ledger.write() as connection:
        of_token = {"app_id": "app", "serial": 1, "key_id": sealed.key_id, "sealed": sealed.blob}
        connection.execute(insert(token).values(of_token))
        connection.execute(insert(upgrade_patient).values(of_patient | of_card))
    ledger.close()


def test_a_key_may_be_retired_only_once_nothing_needs_it_and_everything_opens_without_it(desk: Desk) -> None:
    middle, new = Keyring.new_key("middle"), Keyring.new_key("new", "sm4")
    desk.environment["CARD_USAGE_KEY"] = f"{middle},{KEY}"
    assert desk.json("keys", "rotate")["moved to it"]["data keys"] == 2
    with_a_card(desk, Keyring.parse(f"{middle},{KEY}"))
    desk.environment["CARD_USAGE_KEY"] = f"{new},{middle},{KEY}"
    before = masters(desk.json("keys", "status"))
    assert (before["middle"]["data keys"], before["middle"]["sealed by itself"]) == (2, 2)
    assert (before["middle"]["may be retired"], before["new"]["may be retired"]) == ("no", "no")
    refused = desk.run("keys", "retire", "middle")
    assert refused.returncode == 2
    assert "it wraps 2 data keys" in one_line(refused)
    assert "2 events, tokens or patients of upgrades are sealed by it" in one_line(refused)
    moved = desk.json("keys", "rotate")["moved to it"]
    assert moved == {"data keys": 2, "tokens": 1, "cards": 1}
    assert desk.json("keys", "rotate")["moved to it"] == {"data keys": 0, "tokens": 0, "cards": 0}
    assert masters(desk.json("keys", "status"))["middle"]["may be retired"] == "yes"
    assert desk.run("keys", "retire", "middle").returncode == 0
    desk.environment["CARD_USAGE_KEY"] = f"{new},{KEY}"
    again = desk.json("stage", *SPAN)["stage"]
    assert again
    assert {(feed["changed"], feed["new"], feed["marked"]) for feed in again} == {(0, 0, 0)}
    assert desk.run("deliver", *SPAN).returncode == 0
    ledger = open_ledger(desk.environment["CARD_USAGE_LEDGER_URL"], Keyring.parse(f"{new},{KEY}"))
    with ledger.read() as connection:
        assert list(store.cards(connection, ledger.keyring, "demo_hospital")) == [CARD]
    ledger.close()


def test_the_founding_key_and_a_key_that_is_not_there_are_not_retired(desk: Desk) -> None:
    assert "founding key" in one_line(desk.run("keys", "retire", "t"))
    assert "no key 'nobody'" in one_line(desk.run("keys", "retire", "nobody"))


def test_status_names_a_master_key_that_is_missing_and_a_key_file_that_is_damaged(desk: Desk) -> None:
    new = Keyring.new_key("new")
    desk.environment["CARD_USAGE_KEY"] = f"{new},{KEY}"
    desk.json("keys", "rotate")
    desk.environment["CARD_USAGE_KEY"] = KEY
    missing = desk.run("keys", "status", "--json")
    assert missing.returncode == 1
    assert "new" in json.loads(missing.stdout)["missing"]
    desk.environment["CARD_USAGE_KEY"] = f"{new},{KEY}"
    file = next(path for path in desk.home.rglob("20260302.1"))
    file.write_text(file.read_text()[:-9])
    damaged = desk.run("keys", "status", "--json")
    assert damaged.returncode == 1
    assert json.loads(damaged.stdout)["damaged"].startswith("1 key files")


def test_data_keys_are_destroyed_by_hand_too_and_status_lists_them(desk: Desk) -> None:
    assert desk.run("deliver", *SPAN).returncode == 0
    first = desk.json("keys", "destroy", "--all")["destroyed"]
    assert first["keys"] == 2
    assert first["events"] > 0
    assert desk.json("keys", "destroy", "--hospital", "demo_hospital")["destroyed"]["keys"] == 0
    listed = desk.json("keys", "status")["destroyed"]
    assert {row["day"] for row in listed} == {"2026-03-02", "2026-03-03"}
    assert not list(desk.home.rglob("20260302.*"))


def test_a_sealed_row_that_was_altered_is_set_aside_alone_and_delivered_once_it_is_staged_again(desk: Desk) -> None:
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        ready = "select id from event where status = 'ready' and day = '2026-03-02' order by id limit 3"
        altered, of_another_key, emptied = (each for (each,) in ledger.execute(ready))
        everything = ledger.execute("select count(*) from event where status = 'ready'").fetchone()[0]
        ledger.execute("update event set sealed = substr(sealed, 1, 20) || x'00' where id = ?", (altered,))
        ledger.execute("update event set key_id = '20260302:nowhere' where id = ?", (of_another_key,))
        ledger.execute("update event set sealed = x'' where id = ?", (emptied,))
    told = desk.run("deliver", *SPAN)
    assert "Traceback" not in told.stderr
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        states = dict(ledger.execute("select status, count(*) from event group by status").fetchall())
        found = f"select status, reason, sealed from event where id in ({altered}, {of_another_key}, {emptied})"
        aside = ledger.execute(found).fetchall()
    assert states["delivered"] == everything - 3
    assert len(set(aside)) == 1
    assert (aside[0][0], aside[0][2]) == ("quarantined", None)
    desk.json("stage", *SPAN)
    assert desk.run("deliver", *SPAN).returncode == 0
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from event where status = 'delivered'").fetchone()[0] == everything
    assert len(desk.sandbox.accepted()) == everything
