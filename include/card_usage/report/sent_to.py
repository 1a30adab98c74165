"""Sent to: the platform that a report's events stand for, as the ledger has bound it, on the pages of all forms."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from card_usage.delivery import binding
from card_usage.report.chart import Figures
from card_usage.report.totals import stamp


def of_hospital(connection: Connection, hospital_id: str) -> Figures | None:
    """The hospital's, with every recorded change of it; null: nothing was bound yet."""
    bound = binding.binding_of(connection, hospital_id)
    if bound is None:
        return None
    return {
        "host": bound.target.host,
        "app_id": bound.target.app_id,
        "assumed": bound.origin is binding.Origin.ASSUMED,
        "changes": [
            {
                "what": move.kind,
                "from": move.before.host,
                "to": move.after.host,
                "at": stamp(move.at),
                "by": move.by,
                "reason": move.reason,
            }
            for move in binding.moves(connection, hospital_id)
        ],
    }


def of_fleet(connection: Connection, hospitals: Sequence[str]) -> list[Figures]:
    """Each platform that any of the hospitals is bound to, and how many are, the most first."""
    found = binding.targets(connection, hospitals)
    listed = [{"host": host, "app_id": app_id, "hospitals": count} for (host, app_id), count in found.items()]
    return sorted(listed, key=lambda one: (-one["hospitals"], one["host"], one["app_id"]))
