"""Demo result: counts of ledger and sandbox, compared with what the demo HIS was generated with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from rich.table import Table

CLEAN, VOIDED = "clean", "voided"
DIFFERENCES = (
    "late_in_source",
    "vanished_from_source",
    "refunds_not_staged",
    "voided_after_delivery",
    "changed_after_delivery",
    "open",
    "remainder",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DayResult:
    """One local day, counted in events. `expected`: outcomes by name, as the demo HIS was generated."""

    day: date
    rows: int
    expected: Mapping[str, int]
    states: Mapping[str, int]
    causes: Mapping[str, int]
    on_platform: int
    differences: int

    @property
    def staged(self) -> int:
        """Events in the ledger."""
        return sum(self.states.values())

    @property
    def faults(self) -> list[str]:
        """Differences from what is expected; empty if there are none."""
        rules = {name: count for name, count in self.expected.items() if name not in (CLEAN, VOIDED)}
        pairs = [
            ("staged", self.staged, self.rows),
            ("delivered", self.states.get("delivered", 0), self.expected.get(CLEAN, 0)),
            ("on the platform", self.on_platform, self.expected.get(CLEAN, 0)),
            ("refunded", self.states.get("voided", 0), self.expected.get(VOIDED, 0)),
            ("quarantined", self.states.get("quarantined", 0), sum(rules.values())),
            ("differences", self.differences, 0),
            *((rule, self.causes.get(rule, 0), rules.get(rule, 0)) for rule in sorted({*rules, *self.causes})),
        ]
        return [
            f"{self.day}: {name} {found:,}, expected {wanted:,}" for name, found, wanted in pairs if found != wanted
        ]


def day_result(
    ledger: Ledger,
    hospital: str,
    expected: Mapping[str, Any],
    accepted: Mapping[str, int],
    reconciled: Mapping[str, Any],
) -> DayResult:
    """Read one day: `expected` as the demo HIS's JSON has it, `accepted` the sandbox's count by day."""
    day = date.fromisoformat(expected["day"])
    states: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    with ledger.read() as connection:
        for counted in counts.cells(connection, hospital, day, day):
            states[counted.cell.status] += counted.events
        for cause in counts.causes(connection, hospital, day, day):
            causes[cause.rule] += cause.events
    return DayResult(
        day=day,
        rows=expected["rows"],
        expected=expected["outcomes"],
        states=states,
        causes=causes,
        on_platform=accepted.get(day.isoformat(), 0),
        differences=sum(int(reconciled[name]) for name in DIFFERENCES),
    )


def table(results: Sequence[DayResult]) -> Table:
    """A table with days as columns and the stages of the events as rows."""
    shown = Table(title=None, box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    for result in results:
        shown.add_column(result.day.isoformat(), justify="right")

    def line(name: str, figures: Sequence[int], style: str | None = None) -> None:
        shown.add_row(name, *(f"{figure:,}" for figure in figures), style=style)

    line("in the HIS", [result.rows for result in results])
    line("staged", [result.staged for result in results])
    line("  refunded before sending", [result.states.get("voided", 0) for result in results])
    line("  quarantined", [result.states.get("quarantined", 0) for result in results])
    for rule in sorted({rule for result in results for rule in result.causes}):
        line(f"    {rule}", [result.causes.get(rule, 0) for result in results], style="dim")
    line("  delivered", [result.states.get("delivered", 0) for result in results], style="bold")
    line("on the platform", [result.on_platform for result in results])
    line("differences", [result.differences for result in results])
    shown.add_row("as the demo HIS was made", *("no" if result.faults else "yes" for result in results))
    return shown
