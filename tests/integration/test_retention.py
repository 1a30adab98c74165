"""What is past its time goes, with a record of it; what is open, inside the look-back or evidence stays."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ledgers
import planted
import pytest
from card_usage.cli.main import main
from card_usage.config.hospital import Hospital, Retention
from card_usage.delivery.redelivery import send_again, undecided
from card_usage.evidence.seal import seal_day, verify
from card_usage.files.shipped import SHIPPED
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import STATES, attempt, event, finding, purged, report_file
from card_usage.ledger.scope import Scope
from card_usage.retention import due, purge, purge_files
from planted import DAY, HOSPITAL
from pydantic import ValidationError
from sqlalchemy import func, insert, select

MIX = dict(zip(STATES, (6, 7, 5, 3, 4, 30, 6, 2, 5), strict=True))
LAST_KEPT = datetime(2026, 3, 4, 12, tzinfo=UTC) + timedelta(days=180)
PAST = LAST_KEPT + timedelta(days=1)


def with_retention(**days: int | None) -> Hospital:
    return planted.hospital().model_copy(update={"retention": Retention(**days)})


def plant(ledger: Ledger, **more: Any) -> None:
    with ledger.write() as connection:
        planted.plant(connection, MIX, **more)


def sealed(ledger: Ledger) -> dict[str, int]:
    """Events with patient fields, by state."""
    with ledger.read() as connection:
        query = select(event.c.status, func.count(event.c.sealed)).group_by(event.c.status)
        return {status: count for status, count in connection.execute(query) if count}


def counts(ledger: Ledger) -> list[Any]:
    with ledger.read() as connection:
        states = connection.execute(select(event.c.status, func.count()).group_by(event.c.status)).all()
        rest = [connection.scalar(select(func.count()).select_from(table)) for table in (finding, attempt)]
        return [*sorted(map(tuple, states)), *rest]


def test_quarantined_and_rejected_events_lose_their_patient_fields_and_keep_their_counts(
    ledger: Ledger, tmp_path: Path
) -> None:
    plant(ledger)
    plant(ledger, day=DAY + timedelta(days=1))
    before, whole = sealed(ledger), counts(ledger)
    assert purge(ledger, with_retention(), Store(tmp_path), by="test", now=LAST_KEPT) == []
    done = purge(ledger, with_retention(), Store(tmp_path), by="test", now=PAST)
    assert [(one.kind, one.day, one.events) for one in done] == [
        ("quarantined", DAY, MIX["quarantined"]),
        ("rejected", DAY, MIX["rejected"]),
    ]
    halved = {"quarantined": MIX["quarantined"], "rejected": MIX["rejected"]}
    assert sealed(ledger) == before | halved, "the next day, and whatever is open, keeps them"
    assert counts(ledger) == whole
    with ledger.read() as connection:
        rows = connection.execute(
            select(purged.c.kind, purged.c.day, purged.c.count, purged.c.reason, purged.c.by)
        ).all()
    assert [tuple(row) for row in rows] == [
        (one.kind, DAY, one.events, "past 180 days ([retention] of the hospital's file)", "test") for one in done
    ]
    assert purge(ledger, with_retention(), Store(tmp_path), by="test", now=PAST) == [], "once"


def test_what_lost_its_patient_fields_is_not_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    plant(ledger)
    scope = Scope(hospital=HOSPITAL, first=DAY, last=DAY)
    with ledger.read() as connection:
        assert undecided(connection, scope, ("rejected",)).total() == MIX["rejected"]
    purge(ledger, with_retention(), Store(tmp_path), by="test", now=PAST)
    with ledger.write() as connection:
        assert undecided(connection, scope, ("rejected",)).total() == 0
        assert send_again(connection, scope, ("rejected",)) == 0


def test_evidence_stays_sound(ledger: Ledger, tmp_path: Path) -> None:
    plant(ledger)
    assert seal_day(ledger, HOSPITAL, DAY, tmp_path / "evidence", now=LAST_KEPT) is not None
    packs = {path: path.read_bytes() for path in (tmp_path / "evidence").rglob("*") if path.is_file()}
    assert purge(ledger, with_retention(), Store(tmp_path / "reports"), by="test", now=PAST)
    with ledger.read() as connection:
        found = verify(ledger, HOSPITAL, tmp_path / "evidence")
        assert connection.scalar(select(func.count()).select_from(attempt))
    assert found.sound
    assert packs
    assert packs == {path: path.read_bytes() for path in (tmp_path / "evidence").rglob("*") if path.is_file()}


def test_nothing_is_deleted_where_the_file_says_for_ever(ledger: Ledger, tmp_path: Path) -> None:
    plant(ledger)
    kept = with_retention(quarantined_days=None, rejected_days=None, drop_folder_days=None)
    with ledger.read() as connection:
        assert due(connection, kept, now=PAST + timedelta(days=9_999)) == []


def test_reports_go_with_their_rows_and_younger_ones_stay(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path)
    days = (DAY, DAY + timedelta(days=1))
    with ledger.write() as connection:
        for day in days:
            store.write(f"{HOSPITAL}/{day}.html", b"page")
            row = {"hospital": HOSPITAL, "day": day, "kind": "html", "path": f"{HOSPITAL}/{day}.html", "at": LAST_KEPT}
            connection.execute(insert(report_file).values(row))
    done = purge(ledger, with_retention(reports_days=180), store, by="test", now=PAST)
    assert [(one.kind, one.day, one.events) for one in done] == [("report", DAY, 1)]
    assert [path.name for path in tmp_path.rglob("*.html")] == [f"{days[1]}.html"]
    with ledger.read() as connection:
        assert connection.execute(select(report_file.c.day)).scalars().all() == [days[1]]


def test_of_the_drop_folder_what_was_put_away_goes_and_what_waits_stays(ledger: Ledger, tmp_path: Path) -> None:
    old = (PAST - timedelta(days=400)).timestamp()
    (tmp_path / "outside.csv").write_text("x")
    for name in ("imported/a.csv", "refused/b.csv", "refused/b.csv.txt", "waiting.csv", "imported/new.csv"):
        path = tmp_path / "drop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        when = PAST.timestamp() if "new" in name else old
        os.utime(path, (when, when))
    (tmp_path / "drop/imported/link.csv").symlink_to(tmp_path / "outside.csv")
    homes = [with_retention(), with_retention(drop_folder_days=300)]
    done = purge_files(ledger, tmp_path / "drop", homes, by="test", now=PAST)
    assert [(one.hospital, one.kind, one.events) for one in done] == [("*", "statement_file", 3)]
    left = sorted(str(path.relative_to(tmp_path / "drop")) for path in (tmp_path / "drop").rglob("*.*"))
    assert left == ["imported/link.csv", "imported/new.csv", "waiting.csv"]
    assert (tmp_path / "outside.csv").exists()


def test_a_time_inside_the_look_back_is_refused() -> None:
    with pytest.raises(ValidationError):
        Retention(quarantined_days=29)
    whole = planted.hospital(his={"look_back_days": 92}).model_dump() | {"retention": {"rejected_days": 92}}
    with pytest.raises(ValidationError, match="look_back_days"):
        Hospital.model_validate(whole)


def test_the_verb_lists_then_deletes_then_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger)
        path = tmp_path / "var"
        environment = {
            "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(tmp_path),
            "CARD_USAGE_KEY": ledgers.KEY,
            "CARD_USAGE_HOSPITALS": str(SHIPPED / "hospitals"),
            "CARD_USAGE_STATEMENTS": str(path / "statements"),
            "CARD_USAGE_REPORTS": str(path / "reports"),
        }
        told: list[dict[str, Any]] = []
        for arguments in (["--dry-run"], [], ["--recorded"], ["--dry-run"]):
            assert main(["purge", "--hospital", HOSPITAL, "--json", *arguments], environment) == 0
            told.append(json.loads(capsys.readouterr().out))
        assert told[0]["would be deleted"] == told[1]["deleted"]
        assert {row["kind"]: row["count"] for row in told[1]["deleted"]} == {"quarantined": 6, "rejected": 6}
        assert [row["reason"] for row in told[2]["purged"]] == 2 * [
            "past 180 days ([retention] of the hospital's file)"
        ]
        assert told[3]["would be deleted"] == "nothing is past its time"
        assert not any(secret in json.dumps(told, ensure_ascii=False) for secret in planted.SECRETS)
