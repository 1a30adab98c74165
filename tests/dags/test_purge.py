"""The nightly task purges every hospital by its file, once, under its own name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import ledgers
import planted
import pytest
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.schema import purged
from card_usage_airflow import retention
from sqlalchemy import select

PAST = datetime(2026, 12, 1, 1, tzinfo=UTC)


def test_the_nightly_task_purges_every_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledgers.sqlite(tmp_path) as ledger:
        with ledger.write() as connection:
            planted.plant(connection, {"quarantined": 6, "rejected": 4, "ready": 2})
        monkeypatch.setenv("CARD_USAGE_LEDGER_URL", ledgers.sqlite_url(tmp_path))
        monkeypatch.setenv("CARD_USAGE_KEY", ledgers.KEY)
        monkeypatch.setenv("CARD_USAGE_HOSPITALS", str(SHIPPED / "hospitals"))
        monkeypatch.setenv("CARD_USAGE_STATEMENTS", str(tmp_path / "statements"))
        monkeypatch.setenv("CARD_USAGE_REPORTS", str(tmp_path / "reports"))
        monkeypatch.setattr(retention, "present", lambda: PAST)
        done = retention.purge_all(by="purge_card_usage")
        assert {row["kind"]: row["count"] for row in done} == {"quarantined": 6, "rejected": 4}
        assert retention.purge_all(by="purge_card_usage") == []
        with ledger.read() as connection:
            assert set(connection.execute(select(purged.c.by)).scalars()) == {"purge_card_usage"}
