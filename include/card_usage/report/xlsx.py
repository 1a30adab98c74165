"""XLSX: the figures as sheets, one tidy table each, for those who want to filter, sum and draw by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Final

from card_usage.files.xlsx import Column, Sheet, Value, workbook
from card_usage.reconciliation.classes import CLASSES, DIFFERENCES
from card_usage.report.chart import Figures, Form, form_of
from card_usage.report.charts import DELAYS, HOURS_BY_CARD, TREND, charts_of
from card_usage.report.fleet import title
from card_usage.report.usage import delay_name
from card_usage.words.catalogue import Words

_COUNTS: Final = ("source", "staged", "delivered", "voided", "waiting", "for_people")


def render(figures: Figures) -> bytes:
    """The workbook of a day, a month or the fleet, in the figures' own language."""
    words = Words(figures["language"])
    form = form_of(figures)
    sheets = [_summary(figures, words), *_OF_FORM[form](figures, words), _actions(figures, words)]
    if form == "day":
        sheets.append(_codes(figures, words))
    sheets += [_uses(figures, words), _hours(figures, words), _delays(figures, words)]
    made_at = datetime.fromisoformat(figures["made_at"])
    return workbook(sheets, title=f"{_about(figures, words)} {_when(figures)}", made_at=made_at)


def _about(figures: Figures, words: Words) -> str:
    return str(figures["hospital"]["name"]) if "hospital" in figures else title(figures, words)


def _when(figures: Figures) -> str:
    return str(figures["month"] if "month" in figures else figures["day"])


def _summary(figures: Figures, words: Words) -> Sheet:
    """Figure and value, one a row; texts stand in a column of their own so that figures stay numbers."""
    totals, usage = figures["totals"], figures["usage"]
    rows: list[tuple[Value, ...]] = [
        (words("fleet.hospital"), None, _about(figures, words)),
        (words("head.day"), None, _when(figures)),
        (words("head.state"), None, figures["verdict"]["text"]),
    ]
    counted = [
        ("leg.source", totals["source"]),
        ("leg.staged", totals["staged"]),
        ("leg.delivered", totals["delivered"]),
    ]
    counted += [(f"class.{name}", figures["classes"][name]) for name in CLASSES if name != "delivered"]
    counted += [(f"class.{name}", figures["differences"][name]) for name in DIFFERENCES]
    counted += [("head.difference", totals["remainder"])]
    names = ("uses", "health_card", "visits", "health_card_visits", "uses_per_visit", "issued_cards")
    counted += [(f"usage.{name}", usage[name]) for name in (*names, "uses_per_issued_card")]
    rows += [
        (words(key), value, words(f"{key}.meaning") if words.has(f"{key}.meaning") else "") for key, value in counted
    ]
    rows += [(missing["name"], None, missing["reason"]) for missing in usage["missing"]]
    columns = (Column(words("head.what")), Column(words("head.records"), "number"), Column(words("head.meaning")))
    return Sheet(title=words("sheet.summary"), columns=columns, rows=rows)


def _day(figures: Figures, words: Words) -> list[Sheet]:
    names = ["source", "staged", *CLASSES, *(name for name in DIFFERENCES if not name.startswith("platform_"))]
    heads = [Column(words("leg.source"), "count"), Column(words("leg.staged"), "count")]
    heads += [Column(words(f"class.{name}"), "count") for name in names[2:]]
    rows = [
        (words.known("feed", feed["feed"]), *(feed[name] for name in names), feed["remainder"])
        for feed in figures["feeds"]
    ]
    columns = (Column(words("head.feed")), *heads, Column(words("head.difference"), "count"))
    return [Sheet(title=words("sheet.feeds"), columns=columns, rows=rows), _trend(figures["trend"], words)]


def _month(figures: Figures, words: Words) -> list[Sheet]:
    rows = [
        (
            date.fromisoformat(day["day"]),
            words(f"level.{day['level']}"),
            *(day[name] for name in (*_COUNTS, "remainder", "uses", "health_card")),
        )
        for day in figures["days"]
    ]
    columns: tuple[Column, ...] = (Column(words("head.day"), "day"), Column(words("head.state")), *_count_heads(words))
    columns += (Column(words("head.difference"), "count"), Column(words("usage.uses"), "count"))
    columns += (Column(words("usage.health_card"), "count"),)
    return [Sheet(title=words("month.days"), columns=columns, rows=rows)]


def _fleet(figures: Figures, words: Words) -> list[Sheet]:
    names = ("source", "staged", "delivered", "waiting", "for_people", "remainder", "open_days", "uses")
    heads = ("leg.source", "leg.staged", "leg.delivered", "head.waiting", "head.for_people", "head.difference")
    columns = (
        *(Column(words("fleet.hospital")), Column("ID", "code"), Column(words("fleet.region"), "code")),
        Column(words("head.state")),
        *(Column(words(head), "count") for head in (*heads, "head.open_days", "usage.uses")),
        *(Column(words("head.verified")), Column(words("class.held"))),
    )
    rows = [
        (
            *(hospital[name] for name in ("name", "id", "region")),
            words(f"level.{hospital['level']}"),
            *(hospital[name] for name in names),
            words.through(hospital["verified_through"]) if hospital["verified_through"] else "",
            words("head.comma").join(words(f"hold.{kind}") for kind in hospital["holds"]),
        )
        for hospital in figures["hospitals"]
    ]
    regions = Sheet(
        title=words("fleet.regions"),
        columns=(
            Column(words("fleet.region"), "code"),
            *(Column(words(head), "count") for head in ("fleet.count", "usage.uses", "usage.health_card")),
            Column(words("leg.delivered"), "count"),
        ),
        rows=[
            (
                region["region"] or words("usage.no_region"),
                region["hospitals"],
                region["uses"],
                region["health_card"],
                region["delivered"],
            )
            for region in figures["regions"]
        ],
    )
    hospitals = Sheet(title=words("fleet.hospitals"), columns=columns, rows=rows)
    return [hospitals, regions, _trend(figures["trend"], words)]


_OF_FORM: Final[Mapping[Form, Callable[[Figures, Words], list[Sheet]]]] = {
    "day": _day,
    "month": _month,
    "fleet": _fleet,
}


def _count_heads(words: Words) -> tuple[Column, ...]:
    heads = ("leg.source", "leg.staged", "leg.delivered", "class.voided", "head.waiting", "head.for_people")
    return tuple(Column(words(head), "count") for head in heads)


def _trend(days: Iterable[Figures], words: Words) -> Sheet:
    rows = [
        (date.fromisoformat(day["day"]), *(day[name] for name in _COUNTS), day["uses"])
        for day in days
        if day["staged"] is not None or day["uses"] is not None
    ]
    columns = (Column(words("head.day"), "day"), *_count_heads(words), Column(words("usage.uses"), "count"))
    return Sheet(title=words.text(TREND.title), columns=columns, rows=rows)


def _actions(figures: Figures, words: Words) -> Sheet:
    fleet = "hospitals" in figures
    columns: tuple[Column, ...] = (Column(words("head.what")), Column(words("head.records"), "count"))
    columns += (Column(words("head.todo")), Column(words("head.who")))
    rows: list[tuple[Value, ...]] = [
        (
            words.sentence(action["what"]),
            action["events"],
            words.sentence(action["to_do"]),
            words.sentence(action["who"]),
        )
        for action in figures["actions"]
    ]
    if fleet:
        columns = (Column(words("fleet.hospital")), *columns)
        rows = [(action["hospital_name"], *row) for action, row in zip(figures["actions"], rows, strict=True)]
    return Sheet(title=words("section.todo"), columns=columns, rows=rows)


def _codes(figures: Figures, words: Words) -> Sheet:
    columns = (Column(words("head.table")), Column(words("head.local_code"), "code"), Column(words("head.local_name")))
    rows = [
        (words(f"table.{cause['table']}"), code["code"], code["name"], code["events"])
        for cause in figures["quarantine"]
        for code in cause["codes"]
    ]
    return Sheet(title=words("section.codes"), columns=(*columns, Column(words("head.records"), "count")), rows=rows)


def _uses(figures: Figures, words: Words) -> Sheet:
    """Every way in which uses are told apart, below each other: filter by the first column."""
    uses = figures["uses"]
    columns = (
        *(Column(words("head.dimension")), Column(words("head.code"), "code"), Column(words("head.name"))),
        *(Column(words("usage.uses"), "count"), Column(words("head.share"), "share")),
        Column(words("usage.health_card"), "count"),
    )
    rows = [
        (row.heading, row.code, row.name, row.events, _share(row.events, uses["events"]), row.health_card)
        for chart in charts_of(form_of(figures)).values()
        for row in chart.rows(figures, words)
    ]
    return Sheet(title=words("sheet.uses"), columns=columns, rows=rows)


def _hours(figures: Figures, words: Words) -> Sheet:
    total = figures["uses"]["events"]
    columns: tuple[Column, ...] = (Column(words("head.hour"), "count"), Column(words("usage.uses"), "count"))
    columns += (Column(words("head.share"), "share"), Column(words("usage.health_card"), "count"))
    rows = [
        (hour["hour"], hour["events"], _share(hour["events"], total), hour["health_card"])
        for hour in figures["uses"]["hours"]
    ]
    return Sheet(title=words.text(HOURS_BY_CARD.title), columns=columns, rows=rows)


def _delays(figures: Figures, words: Words) -> Sheet:
    total = sum(bound["events"] for bound in figures["delays"])
    columns = (
        Column(words.text(DELAYS.title)),
        Column(words("head.records"), "count"),
        Column(words("head.share"), "share"),
    )
    rows = [
        (delay_name(bound["minutes"], words), bound["events"], _share(bound["events"], total))
        for bound in figures["delays"]
    ]
    return Sheet(title=words.text(DELAYS.title), columns=columns, rows=rows)


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
