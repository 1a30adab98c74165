"""Fields that are sent only where they are known: what an upgrade or another setting means for events in the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from card_usage.config.day_keys import DayKeys
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.reconciliation.records import CONTENT_CHANGES, LedgerRow
from card_usage.staging.drafts import Drafter
from card_usage.staging.stage import Staged, stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from hypothesis import given
from hypothesis import strategies as st
from ledgers import KEYRING
from sqlalchemy import select, update

DAY = day_window(date(2026, 3, 2))
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
DEMO = load_hospital(SHIPPED / "hospitals", "demo_hospital")
TABLES = load_tables()
ALIASES = load_aliases(SHIPPED / "code_aliases", DEMO.id, TABLES)
OPTIONAL = ("department", "cost_type", "id_number", "name", "qr_code_text")
SENT = ("in_flight", "unknown", "delivered", "rejected", "unconfirmed")
WAITING = ("ready", "held")


def hospital(also_send: Iterable[str] | None, **platform: object) -> Hospital:
    settings = {"also_send": None if also_send is None else tuple(also_send), **platform}
    return DEMO.model_copy(update={"platform": DEMO.platform.model_copy(update=settings)})


def charge(**changes: Any) -> SourceRow:
    """A payment by health card: no rule requires department, cost type, number and name of it."""
    row = SourceRow(
        source_id="S1",
        occurred_at="2026-03-02 08:00:00",
        scene="0101051",
        department="0300",
        department_name="内科",
        card_type="11",
        channel="0100",
        cost_type="0100",
        id_number="11010519491231002X",
        name="张三",
        qr_code_text="ab" * 32 + ":1",
        voided=0,
    )
    return row._replace(**changes)


def take(ledger: Ledger, of: Hospital, row: SourceRow) -> Staged:
    return stage(
        iter([[row]]),
        hospital=of,
        feed="payment",
        window=DAY,
        ledger=ledger,
        tables=TABLES,
        aliases=ALIASES,
        backfill=False,
        now=NOW,
    )


def stored(ledger: Ledger) -> Any:
    with ledger.read() as connection:
        return connection.execute(select(event)).one()


@pytest.mark.parametrize("status", SENT)
def test_an_event_that_was_sent_has_not_changed_because_an_upgrade_sends_its_department(
    embedded: Ledger, status: str
) -> None:
    assert take(embedded, hospital(()), charge()).new == 1
    with embedded.write() as connection:
        connection.execute(update(event).values(status=status))
    before = stored(embedded)
    for _ in range(2):
        again = take(embedded, hospital(None), charge())
        assert (again.changed, again.marked, again.unchanged) == (0, 0, 1)
    assert stored(embedded) == before
    # Its department was not sent: whatever becomes of it there, what was sent is still true.
    assert take(embedded, hospital(None), charge(department="0400", department_name="外科")).marked == 0
    changed = take(embedded, hospital(None), charge(channel="0401"))
    assert (changed.changed, changed.marked) == ((1, 0) if status == "rejected" else (0, 1))


@pytest.mark.parametrize("status", WAITING)
def test_an_event_that_waits_follows_the_settings_and_the_his(embedded: Ledger, status: str) -> None:
    take(embedded, hospital(()), charge())
    with embedded.write() as connection:
        connection.execute(update(event).values(status=status))
    before = stored(embedded)
    assert take(embedded, hospital(None), charge()).changed == 1
    after = stored(embedded)
    assert (after.request_id, after.status) == (before.request_id, "ready")
    assert (after.form, after.digest) != (before.form, before.digest)
    assert take(embedded, hospital(None), charge(department="0400", department_name="外科")).changed == 1, (
        "it is what is sent now"
    )


def test_a_department_that_was_sent_and_is_corrected_in_the_his_is_a_change(embedded: Ledger) -> None:
    take(embedded, hospital(None), charge())
    with embedded.write() as connection:
        connection.execute(update(event).values(status="delivered"))
    assert take(embedded, hospital(None), charge(department="0400", department_name="外科")).marked == 1
    assert stored(embedded).changed_at is not None
    assert take(embedded, hospital(None), charge()).marked == 1, "and taken back"
    assert stored(embedded).changed_at is None


KEYS = DayKeys(KEYRING).of("h")
some = st.sets(st.sampled_from(OPTIONAL))
texts = st.sampled_from([None, "0300", "0400"])
rows = st.builds(charge, department=texts, name=st.sampled_from([None, "张三", "李四"]), cost_type=texts)


@given(some, some, rows, rows, st.sampled_from(["v2.1", "current"]))
def test_digests_of_two_settings_are_the_same_content_exactly_where_what_was_sent_is_still_so(
    then: set[str], now: set[str], was: SourceRow, now_is: SourceRow, profile: str
) -> None:
    """And the comparison of records with the HIS says what staging says."""
    old, new = (
        Drafter(hospital(also, profile=profile), "payment", TABLES, ALIASES, KEYS).draft(row, DAY)
        for also, row in ((then, was), (now, now_is))
    )
    if old.findings or new.findings:
        return
    sent = {"department", "cost_type", "name"} & then | ({"cost_type"} if profile == "current" else set())
    same = all(getattr(was, name) == getattr(now_is, name) for name in sent)
    if same:
        assert new.was(old.key_id, old.digest)
    elif all(getattr(was, name) and getattr(now_is, name) for name in sent):
        assert not new.was(old.key_id, old.digest)
    marks = {"voided": False, "vanished": False, "changed": False}
    row = LedgerRow(1, "S1", "delivered", **marks, digest=old.digest, at=None, digest_key=old.key_id)
    assert (row.against(new) in CONTENT_CHANGES) == (new.digest != old.digest and not new.was(old.key_id, old.digest))
