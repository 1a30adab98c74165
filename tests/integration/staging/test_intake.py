"""Staged rows into the ledger: the table at the top of intake.py, cell by cell, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from card_usage.config.keyring import Keyring
from card_usage.delivery import membership, quota
from card_usage.delivery.transitions import (
    LAST_GENERATION,
    Attempt,
    Claimed,
    Settled,
    backlog,
    claim,
    history,
    recover,
    release,
    settle,
)
from card_usage.errors import BadLedgerUrl, LedgerBehind, LedgerUnreachable, WrongKey
from card_usage.events import CardUse, event_key, request_id
from card_usage.ledger import holds
from card_usage.ledger.bulk import insert_many
from card_usage.ledger.database import Ledger, migrate, open_ledger
from card_usage.ledger.process import Identity
from card_usage.ledger.schema import STATES, attempt, event, metadata
from card_usage.ledger.scope import Scope
from card_usage.platform.outcome import Answer, Reply
from card_usage.staging import intake
from card_usage.staging.changes import REPLACEABLE, Change, compare, stored_events
from card_usage.staging.drafts import Draft
from card_usage.staging.intake import take_in
from ledgers import KEYRING
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 1, tzinfo=UTC)
SCOPE = Scope("h", DAY, DAY)


def draft(number: int = 0, *, version: int = 0, status: str = "ready") -> Draft:
    key = event_key("h", "payment", str(number))
    digest = KEYRING.digest(f"{number} {version}")
    use = CardUse(
        occurred_at=datetime(2026, 3, 2, 8, number // 60, number % 60),  # noqa: DTZ001 - local time
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
        source_id=str(number),
        day=DAY,
        card_use=use,
        department_name=None,
        status=status,  # type: ignore[arg-type]
        digest=digest,
        key_id="t",
        findings=(),
        form=None,
        seal=lambda: None if status == "voided" else KEYRING.seal(b"{}", bound_to=key.encode()),
        digest_by=lambda _: digest,
        was=lambda *_: False,
    )


def take(ledger: Ledger, *drafts: Draft, lane: int = 0) -> Counter[str]:
    with ledger.write() as connection:
        return take_in(connection, "h", "payment", drafts, lane=lane, now=NOW).counts


def row(ledger: Ledger, number: int = 0) -> object:
    with ledger.read() as connection:
        return connection.execute(select(event).where(event.c.source_id == str(number))).one()


def put(ledger: Ledger, status: str) -> None:
    with ledger.write() as connection:
        connection.execute(update(event).values(status=status))


def worker(ledger: Ledger, number: int = 1) -> int:
    identity = Identity(host=f"h{number}", pid=number, process_start="0")
    with ledger.write() as connection:
        return membership.register(connection, hospital="h", app_id="a", identity=identity, now=NOW)


def claimed(ledger: Ledger, by: int, limit: int = 100, **named: object) -> list[Claimed]:
    with ledger.write() as connection:
        return claim(connection, SCOPE, lane=0, worker=by, limit=limit, now=NOW, **named)  # type: ignore[arg-type]


def test_migrations_build_exactly_the_tables_that_the_code_names(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        on_postgresql = connection.dialect.name == "postgresql"  # SQLite has no widths
        context = MigrationContext.configure(connection, opts={"compare_type": on_postgresql})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(ledger: Ledger) -> None:
    take(ledger, draft())
    migrate(ledger.engine.url.render_as_string(hide_password=False))
    assert row(ledger).status == "ready"  # type: ignore[attr-defined]


def test_a_ledger_that_was_never_migrated_says_the_command(tmp_path: Path) -> None:
    with pytest.raises(LedgerBehind, match="ledger migrate"):
        open_ledger(f"sqlite:///{tmp_path}/new.db", KEYRING)


def test_a_database_that_is_away_is_one_line_without_its_password() -> None:
    with pytest.raises(LedgerUnreachable) as raised:
        open_ledger("postgresql://u:topsecret@127.0.0.1:1/x", KEYRING)
    assert "topsecret" not in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(BadLedgerUrl):
        open_ledger("mysql://x/y", KEYRING)


def test_another_founding_key_is_refused_for_it_would_give_every_event_a_second_id(ledger: Ledger) -> None:
    with pytest.raises(WrongKey):
        open_ledger(ledger.engine.url.render_as_string(hide_password=False), Keyring.parse(Keyring.new_key("x")))


def test_only_known_states_can_be_written(ledger: Ledger) -> None:
    take(ledger, draft())
    with pytest.raises(Exception, match=r"(?i)check"):
        put(ledger, "sent")


@pytest.mark.parametrize("status", STATES)
def test_the_same_row_again_changes_nothing_in_any_state(ledger: Ledger, status: str) -> None:
    take(ledger, draft())
    put(ledger, status)
    counts = take(ledger, draft())
    if status == "voided":  # the refund was taken back
        assert counts["changed"] == 1
    else:
        assert (counts["unchanged"], counts["changed"], counts["marked"]) == (1, 0, 0)
        assert row(ledger).status == status  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", STATES)
def test_a_changed_row_replaces_only_what_certainly_was_not_taken(ledger: Ledger, status: str) -> None:
    take(ledger, draft())
    put(ledger, status)
    take(ledger, draft(version=1))
    after = row(ledger)
    if status in REPLACEABLE:
        generation = int(status == "rejected")
        assert after.status == "ready"  # type: ignore[attr-defined]
        assert after.digest == draft(version=1).digest  # type: ignore[attr-defined]
        assert after.generation == generation  # type: ignore[attr-defined]
        assert after.request_id == request_id(after.key, generation)  # type: ignore[attr-defined]
    else:
        assert after.status == status  # type: ignore[attr-defined]
        assert after.request_id == request_id(after.key, 0)  # type: ignore[attr-defined]
        assert after.changed_at is not None  # type: ignore[attr-defined]
        take(ledger, draft())
        assert row(ledger).changed_at is None, "the change was taken back"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", sorted(REPLACEABLE))
def test_a_replaced_event_goes_on_from_the_generation_that_it_had(ledger: Ledger, status: str) -> None:
    """Also one of an older version, whose request id derives from its content."""
    take(ledger, draft())
    with ledger.write() as connection:
        connection.execute(update(event).values(status=status, generation=3, request_id="OLD"))
    take(ledger, draft(version=1))
    after = row(ledger)
    expected = (4, request_id(after.key, 4)) if status == "rejected" else (3, "OLD")  # type: ignore[attr-defined]
    assert (after.generation, after.request_id) == expected  # type: ignore[attr-defined]


def test_an_event_that_was_sent_since_it_was_read_is_not_replaced(ledger: Ledger) -> None:
    take(ledger, draft())
    with ledger.write() as connection:
        (stored,) = stored_events(connection, [draft().key]).values()
        connection.execute(update(event).values(generation=1, request_id="NEXT"))
        intake._replace(connection, [(stored, draft(version=1))], now=NOW)
        connection.execute(update(event).values(request_id=stored.request_id, status="rejected"))
        intake._replace(connection, [(stored, draft(version=1))], now=NOW)
    after = row(ledger)
    assert (after.status, after.digest) == ("rejected", draft().digest)  # type: ignore[attr-defined]


def test_many_rows_that_changed_since_are_replaced_in_one_batch(ledger: Ledger) -> None:
    take(ledger, *(draft(number, status="quarantined") for number in range(50)))
    counts = take(ledger, *(draft(number, version=1) for number in range(50)))
    assert counts["changed"] == 50
    with ledger.read() as connection:
        assert set(connection.scalars(select(event.c.status))) == {"ready"}


@pytest.mark.parametrize("status", STATES)
def test_a_refund_voids_what_was_not_sent_and_marks_the_rest(ledger: Ledger, status: str) -> None:
    take(ledger, draft())
    put(ledger, status)
    take(ledger, draft(status="voided"))
    after = row(ledger)
    if status in {"ready", "held", "quarantined"}:
        assert after.status == "voided"  # type: ignore[attr-defined]
        assert after.sealed is None  # type: ignore[attr-defined]
    elif status != "voided":
        assert after.status == status  # type: ignore[attr-defined]
        assert after.voided_at is not None  # type: ignore[attr-defined]


def test_what_is_not_known_is_new_whatever_it_is() -> None:
    for status in ("ready", "quarantined", "voided"):
        assert compare(None, draft(status=status)) is Change.NEW


def test_a_row_that_comes_twice_in_a_batch_is_one_event(ledger: Ledger) -> None:
    counts = take(ledger, draft(1), draft(1), draft(2))
    assert (counts["read"], counts["new"], counts["duplicate"]) == (3, 2, 1)


def test_more_keys_than_a_statement_takes_are_looked_up_all_the_same(ledger: Ledger) -> None:
    with ledger.read() as connection:
        assert stored_events(connection, [f"{n:032x}" for n in range(35_000)]) == {}


def test_a_claim_takes_the_oldest_first_and_nobody_else_gets_them(ledger: Ledger) -> None:
    take(ledger, *(draft(n) for n in (5, 3, 4, 1, 2)))
    first, second = worker(ledger, 1), worker(ledger, 2)
    assert [claim.occurred_at.second for claim in claimed(ledger, first, limit=3)] == [1, 2, 3]
    assert [claim.occurred_at.second for claim in claimed(ledger, second)] == [4, 5]
    assert claimed(ledger, first) == []


def test_backfill_can_go_newest_first(ledger: Ledger) -> None:
    take(ledger, *(draft(n) for n in (1, 2, 3)))
    assert [claim.occurred_at.second for claim in claimed(ledger, worker(ledger), newest_first=True)] == [3, 2, 1]


def test_an_outcome_is_only_written_by_the_one_who_holds_the_claim_and_only_once(ledger: Ledger) -> None:
    take(ledger, draft())
    mine, other = worker(ledger, 1), worker(ledger, 2)
    (claim,) = claimed(ledger, mine)
    outcome = Settled(claim, "delivered", None, 0, ())
    for who, moves in ((other, 0), (mine, 1), (mine, 0)):
        with ledger.write() as connection:
            assert len(settle(connection, [outcome], worker=who, now=NOW)) == moves
    after = row(ledger)
    assert (after.status, after.sealed, after.key_id) == ("delivered", None, None)  # type: ignore[attr-defined]


def test_a_new_request_id_is_written_with_the_outcome_and_the_old_calls_are_no_history_of_it(ledger: Ledger) -> None:
    take(ledger, draft(1), draft(2))
    mine = worker(ledger)
    renewed, kept = claimed(ledger, mine)
    calls = (Attempt(NOW, Reply(Answer.TOKEN, 21003, 200), "ready"),)
    with ledger.write() as connection:
        outcomes = [Settled(renewed, "ready", None, 21003, calls, True), Settled(kept, "ready", None, 21003, calls)]
        settle(connection, outcomes, worker=mine, now=NOW)
        settle(connection, outcomes, worker=mine, now=NOW)  # a retried transaction
    again = {claim.id: claim for claim in claimed(ledger, mine)}
    assert (again[renewed.id].generation, again[renewed.id].attempts) == (1, 1)
    assert again[renewed.id].request_id == request_id(renewed.key, 1)
    assert again[kept.id].request_id == kept.request_id == request_id(kept.key, 0)
    with ledger.read() as connection:
        assert history(connection, again.values()) == {kept.id: [Answer.TOKEN]}


def test_the_last_generation_that_the_column_holds_keeps_its_id(ledger: Ledger) -> None:
    take(ledger, draft())
    with ledger.write() as connection:
        connection.execute(update(event).values(generation=LAST_GENERATION))
    mine = worker(ledger)
    (claim,) = claimed(ledger, mine)
    with ledger.write() as connection:
        settle(connection, [Settled(claim, "ready", None, 21007, (), True)], worker=mine, now=NOW)
    assert row(ledger).generation == LAST_GENERATION  # type: ignore[attr-defined]


def test_what_was_never_sent_goes_back_as_it_was(ledger: Ledger) -> None:
    take(ledger, draft(1), draft(2))
    put(ledger, "unknown")
    mine = worker(ledger)
    with ledger.write() as connection:
        assert release(connection, claim(connection, SCOPE, lane=0, worker=mine, limit=9, now=NOW), worker=mine) == 2
    assert row(ledger, 1).status == "unknown"  # type: ignore[attr-defined]


def test_claims_of_the_dead_are_unknown_and_their_lost_call_is_written_down(ledger: Ledger) -> None:
    take(ledger, draft())
    dead, heir = worker(ledger, 1), worker(ledger, 2)
    claimed(ledger, dead)
    with ledger.write() as connection:
        (living,) = membership.peers(connection, hospital="h", app_id="a", worker=heir)
        assert membership.declare_dead(connection, living, NOW)
        assert recover(connection, dead, now=NOW, detail="died") == 1
        assert not membership.beat(connection, dead, 0)
    (claim,) = claimed(ledger, heir)
    with ledger.read() as connection:
        assert history(connection, [claim]) == {claim.id: [Answer.NO_ANSWER]}


def test_one_that_has_beaten_since_cannot_be_called_dead(ledger: Ledger) -> None:
    slow, watcher = worker(ledger, 1), worker(ledger, 2)
    with ledger.write() as connection:
        (seen,) = membership.peers(connection, hospital="h", app_id="a", worker=watcher)
        membership.beat(connection, slow, 0)
        assert not membership.declare_dead(connection, seen, NOW)


def test_history_is_that_of_the_present_request_id_only(ledger: Ledger) -> None:
    take(ledger, draft())
    (claim,) = claimed(ledger, worker(ledger))
    with ledger.write() as connection:
        for of, answer in ((claim.request_id, "busy"), ("0" * 32, "refused")):
            values = {"event_id": claim.id, "request_id": of, "at": NOW, "answer": answer, "status": "unknown"}
            connection.execute(insert(attempt).values(values))
        assert history(connection, [claim._replace(attempts=2)]) == {claim.id: [Answer.BUSY]}


def test_a_claim_reads_the_index_of_open_events_and_not_the_ledger(ledger: Ledger) -> None:
    take(ledger, *(draft(n) for n in range(50)))
    put(ledger, "delivered")
    take(ledger, draft(99))
    explain = "EXPLAIN QUERY PLAN " if ledger.dialect == "sqlite" else "EXPLAIN "
    query = (
        "SELECT id FROM event WHERE hospital = 'h' AND status in ('ready', 'held', 'unknown') AND lane = 0 "
        "ORDER BY occurred_at, id LIMIT 10"
    )
    with ledger.read() as connection:
        if ledger.dialect == "postgresql":  # for a few rows it would read them all
            connection.execute(text("SET enable_seqscan = off"))
        plan = "\n".join(str(line) for line in connection.execute(text(explain + query)).all())
    assert "ix_event_due" in plan


def test_the_backlog_says_what_is_due_and_when_the_next_one_is(ledger: Ledger) -> None:
    take(ledger, draft(1), draft(2))
    later = NOW.replace(hour=5)
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.source_id == "2").values(due_at=later))
        waiting = backlog(connection, SCOPE, NOW)
    assert (waiting.due, waiting.open, waiting.next_due) == (1, 2, later)


def test_a_hold_for_all_counts_for_each_and_a_persons_before_the_platforms(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for kind, hospital in (("quota", "h"), ("pause", holds.EVERYONE)):
            holds.place(connection, hospital=hospital, kind=kind, reason="r", by="me", now=NOW)
        blocking = holds.blocking(holds.active(connection, "h", NOW))
        assert blocking is not None
        assert blocking.kind == "pause"
        assert holds.lift(connection, hospital=holds.EVERYONE) == 1
        assert holds.lift(connection, hospital="h") == 1
        assert holds.active(connection, "h", NOW) == []


def test_calls_are_reserved_up_to_the_limit_and_given_back_unless_the_day_is_used_up(ledger: Ledger) -> None:
    named = {"hospital": "h", "interface": quota.REPORT, "day": DAY}
    with ledger.write() as connection:
        assert quota.reserve(connection, 70, limit=100, **named) == 70  # type: ignore[arg-type]
        assert quota.reserve(connection, 70, limit=100, **named) == 30  # type: ignore[arg-type]
        quota.give_back(connection, 10, **named)  # type: ignore[arg-type]
        assert quota.used(connection, **named) == 90  # type: ignore[arg-type]
        quota.exhausted(connection, limit=100, now=NOW, **named)  # type: ignore[arg-type]
        quota.give_back(connection, 10, **named)  # type: ignore[arg-type]
        assert quota.reserve(connection, 1, limit=100, **named) == 0  # type: ignore[arg-type]


def test_what_live_events_need_is_kept_free_of_backfill(ledger: Ledger) -> None:
    take(ledger, *(draft(n) for n in range(30)))
    named = {"hospital": "h", "interface": quota.REPORT, "day": date(2026, 3, 3), "limit": 100}
    with ledger.write() as connection:
        assert quota.reserve(connection, 100, for_live=False, **named) == 70  # type: ignore[arg-type]
        assert quota.reserve(connection, 100, for_live=True, **named) == 30  # type: ignore[arg-type]


def test_rows_in_bulk_lie_in_the_database_as_sqlalchemy_would_have_written_them(ledger: Ledger) -> None:
    names = ("key", "hospital", "feed", "source_id", "day", "occurred_at", "status", "digest", "request_id")
    names += ("sealed", "staged_at", "voided_at")
    moment = datetime(2026, 3, 2, 9, 5, 7)  # noqa: DTZ001 - local time
    rest = ("h", "payment", "7", date(2026, 3, 2), moment, "ready", "d", "r", b"\x00\xff", NOW, None)
    with ledger.write() as connection:
        insert_many(connection, event, names, [("bulk", *rest), ("none", *rest[:4], None, *rest[5:])])
        connection.execute(insert(event), dict(zip(names, ("core", *rest), strict=True)))
    raw = ", ".join(names[1:])
    with ledger.read() as connection:
        said = {key: tuple(of) for key, *of in connection.exec_driver_sql(f"select key, {raw} from event")}
    assert said["bulk"] == said["core"]
    assert said["none"][names.index("occurred_at") - 1] is None


def test_two_stagings_of_the_same_rows_at_once_make_one_event_each(postgres_ledger: Ledger) -> None:
    from concurrent.futures import ThreadPoolExecutor

    drafts = [draft(n) for n in range(300)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: take(postgres_ledger, *drafts), range(4)))
    with postgres_ledger.read() as connection:
        assert connection.scalar(select(func.count()).select_from(event)) == 300


def test_claimers_at_once_never_share_an_event(postgres_ledger_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    opened: Callable[[], Ledger] = lambda: open_ledger(postgres_ledger_url, KEYRING)  # noqa: E731
    ledger = opened()
    take(ledger, *(draft(n) for n in range(400)))
    ids = [worker(ledger, n) for n in range(4)]

    def work(by: int) -> list[int]:
        own, taken = opened(), []
        while claims := claimed(own, by, limit=7):
            taken += [claim.id for claim in claims]
        own.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [event_id for part in pool.map(work, ids) for event_id in part]
    assert len(taken) == len(set(taken)) == 400
    ledger.close()


def test_a_reply_carries_no_text_of_the_platforms() -> None:
    assert Reply(Answer.BUSY, 10005).detail == ""


def test_a_value_that_the_database_refuses_is_an_error_that_does_not_quote_it(postgres_ledger: Ledger) -> None:
    with pytest.raises(DBAPIError) as raised:
        take(postgres_ledger, draft(1), draft(2)._replace(source_id="SECRETSECRET" * 20))
    assert "SECRET" not in str(raised.value)
    assert take(postgres_ledger, draft(1))["new"] == 1
