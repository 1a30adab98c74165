"""Binding: what `platform forget` takes out of a ledger, and what it leaves."""

from __future__ import annotations

from card_usage.delivery.binding import _OF_HOSPITAL
from card_usage.ledger.schema import metadata

# Who decided and what was told stays; so do runs, turns and decisions about codes, which stand for no platform, and
# what the warehouse has to write anew. A data key that is closed stays so.
KEPT = {
    *("code_decision", "decision", "deliverer", "failed_run", "hold", "incident", "outbox", "platform_move", "purged"),
    *("replica_turn", "shredded_key", "warehouse_day", "warehouse_hospital", "upgrade_run"),
}


def test_each_table_of_a_hospital_is_either_forgotten_or_kept_on_purpose() -> None:
    of_a_hospital = {table.name for table in metadata.sorted_tables if "hospital" in table.c}
    forgotten = {table.name for table in _OF_HOSPITAL}
    assert forgotten | KEPT == of_a_hospital
    assert not forgotten & KEPT
