"""The ledger's tables, a file for each noun. include/migrations builds them; a test holds both equal.

Local times (`occurred_at`, window edges) are naive Asia/Shanghai; instants are UTC. Patient fields are only ever in
`event.sealed`, encrypted, and only until the event is settled; and in `upgrade_patient`, encrypted. A new table is
named here too: the metadata knows only what was imported.
"""

from card_usage.ledger.schema.absent import absent
from card_usage.ledger.schema.bindings import binding, platform_move
from card_usage.ledger.schema.cards import patient_card
from card_usage.ledger.schema.code_decisions import code_decision
from card_usage.ledger.schema.columns import Id, Instant, metadata
from card_usage.ledger.schema.decisions import decision
from card_usage.ledger.schema.delivering import deliverer, hold, platform_memory, quota_day, token
from card_usage.ledger.schema.events import (
    CONTENT_LOST,
    IN_FLIGHT,
    OPEN,
    SETTLED_STATES,
    STATES,
    UNDECIDED,
    attempt,
    event,
    finding,
    late_change,
    shredded_key,
)
from card_usage.ledger.schema.evidence import evidence
from card_usage.ledger.schema.files import meta, report_file
from card_usage.ledger.schema.hours import staged_hour
from card_usage.ledger.schema.incidents import failed_run, incident, telling
from card_usage.ledger.schema.outbox import WAITING, channel, outbox
from card_usage.ledger.schema.profiles import window_profile
from card_usage.ledger.schema.purges import purged
from card_usage.ledger.schema.source_marks import source_mark
from card_usage.ledger.schema.statements import statement, statement_count
from card_usage.ledger.schema.turns import replica_turn
from card_usage.ledger.schema.untimed import untimed
from card_usage.ledger.schema.upgrades import upgrade_batch, upgrade_patient, upgrade_record, upgrade_run
from card_usage.ledger.schema.uses import day_use
from card_usage.ledger.schema.verified import verified, verified_move
from card_usage.ledger.schema.viewings import viewing
from card_usage.ledger.schema.warehouse import warehouse_day, warehouse_hospital, warehouse_month
from card_usage.ledger.schema.windows import feed_window, reconciliation, verdict

__all__ = [
    "CONTENT_LOST",
    "IN_FLIGHT",
    "OPEN",
    "SETTLED_STATES",
    "STATES",
    "UNDECIDED",
    "WAITING",
    "Id",
    "Instant",
    "absent",
    "attempt",
    "binding",
    "channel",
    "code_decision",
    "day_use",
    "decision",
    "deliverer",
    "event",
    "evidence",
    "failed_run",
    "feed_window",
    "finding",
    "hold",
    "incident",
    "late_change",
    "meta",
    "metadata",
    "outbox",
    "patient_card",
    "platform_memory",
    "platform_move",
    "purged",
    "quota_day",
    "reconciliation",
    "replica_turn",
    "report_file",
    "shredded_key",
    "source_mark",
    "staged_hour",
    "statement",
    "statement_count",
    "telling",
    "token",
    "untimed",
    "upgrade_batch",
    "upgrade_patient",
    "upgrade_record",
    "upgrade_run",
    "verdict",
    "verified",
    "verified_move",
    "viewing",
    "warehouse_day",
    "warehouse_hospital",
    "warehouse_month",
    "window_profile",
]
