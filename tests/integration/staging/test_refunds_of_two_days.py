"""A key that the HIS has in two days is one use: refunded if any day's copy says so, whichever was staged last."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, time, timedelta
from pathlib import Path

import planted
import pytest
from card_usage import pipeline
from card_usage.config.connections import Connection
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.events import CardUse, event_key
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.staging.changes import days_of, days_text
from card_usage.staging.drafts import Draft
from card_usage.staging.intake import take_in
from card_usage.windows import day_window
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import KEYRING
from planted import NOW
from sqlalchemy import delete, select, update

OWN = date(2026, 3, 2)
OTHER, THIRD = OWN + timedelta(days=1), OWN + timedelta(days=2)
COLUMNS = (
    "feed, source_id, occurred_at, scene, department, department_name, card_type, channel, cost_type, id_number, name,"
    " qr_code_text, voided"
)
SENT = ("in_flight", "unknown", "delivered", "unconfirmed", "rejected")


def copy(day: date, *, refunded: bool = False, version: int = 0) -> Draft:
    """What the HIS has of the key in a day."""
    key, digest = event_key("h", "payment", "1"), KEYRING.digest(f"1 {version}")
    use = CardUse(
        occurred_at=datetime.combine(day, time(8)),
        scene="010105",
        department=None,
        card_type="10",
        channel="0100",
        cost_type=None,
        id_number="N1",
        name="甲",
        qr_code_text=None,
    )
    return Draft(
        key=key,
        source_id="1",
        day=day,
        card_use=use,
        department_name=None,
        status="voided" if refunded else "ready",
        digest=digest,
        key_id="t",
        findings=(),
        form=None,
        seal=lambda: None if refunded else KEYRING.seal(b"{}", bound_to=key.encode()),
        digest_by=lambda _: digest,
        was=lambda *_: False,
    )


def stage(ledger: Ledger, *copies: Draft) -> None:
    """One staging a copy, in this order; a refund that may be taken back comes at its end, as in a day's staging."""
    for each in copies:
        with ledger.write() as connection:
            taken = take_in(connection, "h", "payment", [each], lane=0, now=NOW, put_off=True)
            if taken.put_off:
                take_in(connection, "h", "payment", taken.put_off, lane=0, now=NOW)


def begun(ledger: Ledger, status: str) -> None:
    """The use staged in its own day, and sent."""
    with ledger.write() as connection:
        connection.execute(delete(event))
    stage(ledger, copy(OWN))
    with ledger.write() as connection:
        connection.execute(update(event).values(status=status))


def ended(ledger: Ledger) -> tuple[str, date, bool, bool, str | None]:
    with ledger.read() as connection:
        row = connection.execute(select(event)).one()
    return row.status, row.day, row.voided_at is not None, row.changed_at is not None, row.refund_days


@pytest.mark.parametrize("status", SENT)
def test_a_refund_in_the_other_days_copy_alone_stays_when_the_own_day_is_staged_again(
    ledger: Ledger, status: str
) -> None:
    begun(ledger, status)
    stage(ledger, copy(OTHER, refunded=True))
    assert ended(ledger) == (status, OWN, True, False, str(OTHER))
    stage(ledger, copy(OWN), copy(OWN))
    assert ended(ledger) == (status, OWN, True, False, str(OTHER))
    stage(ledger, copy(OTHER))
    assert ended(ledger) == (status, OWN, False, False, None), "taken back in the one copy that said it"


@pytest.mark.parametrize("status", SENT[:-1])
@given(
    last=st.permutations([OWN, OTHER, THIRD]),
    refunded=st.sets(st.sampled_from([OWN, OTHER, THIRD])),
    changed=st.booleans(),
    before=st.lists(st.tuples(st.sampled_from([OWN, OTHER, THIRD]), st.booleans()), max_size=8),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_staging_the_days_gives_the_same_end(
    embedded: Ledger,
    status: str,
    last: list[date],
    refunded: set[date],
    changed: bool,
    before: list[tuple[date, bool]],
) -> None:
    """Whatever was staged before: once each day is staged as the HIS has it now, only what it has now counts."""
    begun(embedded, status)
    stage(embedded, *(copy(day, refunded=was) for day, was in before))
    final = {day: copy(day, refunded=day in refunded, version=int(changed and day == OWN)) for day in last}
    stage(embedded, *(final[day] for day in last))
    own_refunded = OWN in refunded
    others = refunded - {OWN}
    status_now, day, voided, marked_changed, days = ended(embedded)
    assert (status_now, day, voided) == (status, OWN, bool(refunded))
    assert (days is None) == (not others)
    assert days is None or days_of(days) == frozenset(refunded)
    # A refunded copy says nothing of its content.
    assert own_refunded or marked_changed == changed
    stage(embedded, *(final[day] for day in reversed(last)))
    assert ended(embedded) == (status_now, day, voided, marked_changed, days), "again changes nothing"


def test_what_was_refused_and_is_mended_is_not_sent_again_if_another_day_says_refunded(ledger: Ledger) -> None:
    begun(ledger, "rejected")
    stage(ledger, copy(OTHER, refunded=True), copy(OWN, version=1))
    assert ended(ledger)[:3] == ("rejected", OWN, True)
    stage(ledger, copy(OTHER), copy(OWN, version=1))
    assert ended(ledger)[:3] == ("ready", OWN, False)


@pytest.mark.parametrize("order", [(OWN, OTHER), (OTHER, OWN)])
def test_a_use_that_was_not_sent_is_voided_in_any_order(ledger: Ledger, order: tuple[date, date]) -> None:
    stage(ledger, *(copy(day, refunded=day == OTHER) for day in order))
    assert ended(ledger)[:3] == ("voided", OTHER, True)


def test_a_day_that_no_longer_has_the_key_says_nothing_of_its_refund(ledger: Ledger) -> None:
    begun(ledger, "delivered")
    stage(ledger, copy(OWN, refunded=True))
    with ledger.write() as connection:
        connection.execute(update(event).values(vanished_at=NOW))
    stage(ledger, copy(OTHER))
    assert ended(ledger)[2] is False


@given(st.frozensets(st.dates(), min_size=1, max_size=5))
def test_days_travel_as_text(days: frozenset[date]) -> None:
    own = date(1, 1, 1)
    text = days_text(days, own)
    assert (text is None) == (days == {own})
    assert text is None or days_of(text) == days


@pytest.mark.parametrize("order", [(OWN, OTHER), (OTHER, OWN)])
def test_reconciling_either_day_leaves_the_refund_of_the_other_and_no_remainder(
    embedded: Ledger, tmp_path: Path, order: tuple[date, date]
) -> None:
    with sqlite3.connect(tmp_path / "his.db") as his:
        his.execute(f"CREATE TABLE V_CARD_USE ({COLUMNS})")
        for day, voided in ((OWN, 0), (OTHER, 1)):
            row = ("payment", "K-1", f"{day} 08:00:00", "0101051", "SF", "CK", "11010119900307001X", "甲", voided)
            named = "feed, source_id, occurred_at, scene, card_type, channel, id_number, name, voided"
            his.execute(f"INSERT INTO V_CARD_USE ({named}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    his.close()
    of = planted.hospital(his={"shape": "card_use_view", "feeds": ("payment",)})
    places = Settings(
        ledger_url="",
        keyring=KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=SHIPPED / "code_aliases",
        reports=tmp_path / "reports",
    )
    replica = Connection(conn_id="his", conn_type="sqlite", schema=f"{tmp_path}/his.db")
    context = Context(hospital=of, settings=places, ledger=embedded, connection_of=lambda _: replica)
    pipeline.stage(context, "payment", day_window(OWN), now=NOW)
    with embedded.write() as connection:
        connection.execute(update(event).values(status="unconfirmed"))
    pipeline.stage(context, "payment", day_window(OTHER), now=NOW)
    for day in (*order, *order):
        done = pipeline.reconcile(context, day_window(day), now=NOW)
        assert done.remainder == 0
        assert ended(embedded)[:3] == ("unconfirmed", OWN, True)
        pipeline.stage(context, "payment", day_window(day), now=NOW)
        assert ended(embedded)[:3] == ("unconfirmed", OWN, True)
