"""Sections: parts of the JSON that a day, a month and the fleet have in common, each built in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from card_usage.report import usage
from card_usage.report.chart import Basis, Figures, Form
from card_usage.report.charts import figures_of
from card_usage.report.day_uses import Use
from card_usage.standard.code_tables import load_tables
from card_usage.words.catalogue import Words

VERSIONS: Mapping[Form, int] = {"day": 1, "month": 1, "fleet": 1}
"""Of each report's JSON: rises when a key changes its meaning or goes."""


def form_name(form: Form) -> str:
    """The key `form` of a report's JSON."""
    return f"card-usage-{form}/{VERSIONS[form]}"


def uses_sections(
    form: Form,
    uses: Sequence[Use],
    words: Words,
    *,
    issued_cards: int | None,
    scenes_by_hour: Sequence[Mapping[str, int]] | None = None,
) -> Figures:
    """`uses` and `usage`, and what charts have at the top: how cards were used, from sums by day."""
    basis = Basis(uses, load_tables(), words, scenes_by_hour)
    counted = figures_of(form, "uses", basis)
    hours = counted.pop("hours")
    unknown = usage.hour_unknown(uses)
    return {
        "uses": {
            "events": sum(hour["events"] for hour in hours) + unknown,
            "hours": hours,
            "hour_unknown": unknown,
            **counted,
        },
        "usage": {
            **usage.numbers(uses, issued_cards=issued_cards),
            **figures_of(form, "usage", basis),
            "missing": usage.missing(words, issued_cards=issued_cards),
        },
        **figures_of(form, "", basis),
    }
