"""Charts: every chart of the reports, and where on which page it stands.

A new chart is declared here and put into its pages below; `make docs` then writes the published schemas and the list of
their keys again. Nothing else knows the charts by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from card_usage.report import drawings, usage
from card_usage.report.chart import (
    COUNT,
    TEXT,
    Basis,
    Chart,
    Figures,
    Form,
    Page,
    Piece,
    Schema,
    UseRow,
    described,
    list_of,
    value_at,
)
from card_usage.report.drawings import MOST_BARS
from card_usage.words.catalogue import Texts, Words

HALF: Final = 420
"""Width in px of a chart that shares its row with another."""

_HEALTH_CARD: Final = described(COUNT, "of these with a health card")
_EVENTS: Final = described(COUNT, "how many")


def share_chart(
    *,
    title: Texts,
    key: str,
    figure: Callable[[Basis], Any],
    schema: Schema,
    note: Texts | None = None,
    fields: Mapping[str, object] | None = None,
    table: str = "",
) -> Chart:
    """Bars of shares of all uses. The figure is a list of `code`, `name` and `events`, the first ones are drawn.

    `table`: the standard code table of its codes, which names its rows in the sheet; without one, its title does.
    """

    def draw(figures: Figures, words: Words, label: str, wide: int) -> Markup:
        return drawings.shares(value_at(figures, key), figures["uses"]["events"], words, label, wide)

    def rows(figures: Figures, words: Words) -> Sequence[UseRow]:
        heading = words(f"table.{table}") if table else words.text(title)
        return [
            UseRow(heading, entry["code"] if table else None, entry["name"], entry["events"], entry.get("health_card"))
            for entry in value_at(figures, key)
        ]

    return Chart(
        title=title,
        note=note,
        fields=lambda figures: fields or {},
        draw=draw,
        key=key,
        figure=figure,
        schema=schema,
        rows=rows,
    )


def _dimension(
    name: str, title: Texts, meaning: str, *, code: str = "not recognized", said: str = "its name", most: bool = False
) -> Chart:
    """Uses by one of the dimensions with a standard code table. `most`: the title says how many are drawn."""
    return share_chart(
        title=title,
        note=("占有效用卡的比例", "share of valid uses"),
        fields={"n": MOST_BARS} if most else None,
        table=name,
        key=f"uses.{name}s",
        figure=lambda basis: usage.by_code(basis.uses, name, basis.tables, basis.words),
        schema=list_of(
            meaning,
            code={"description": f"standard code; null: {code}", "type": ["string", "null"]},
            name=described(TEXT, said),
            events=_EVENTS,
            health_card=_HEALTH_CARD,
        ),
    )


def _group(key: str, title: Texts, meaning: str, figure: Callable[[Basis], Any]) -> Chart:
    """Uses by a handful of groups that the document asks for."""
    schema = list_of(meaning, code=described(TEXT, "which"), name=described(TEXT, "its name"), events=_EVENTS)
    return share_chart(title=title, key=key, figure=figure, schema=schema)


def _hour_unknown(figures: Figures, words: Words) -> str:
    unknown = figures["uses"]["hour_unknown"]
    texts = ("另有 {n} 笔时间不明，未计入图中。", "{n} more have no readable time and are not drawn.")
    return words.text(texts, n=unknown) if unknown else ""


_HOUR: Final[Mapping[str, Schema]] = {
    "hour": described(COUNT, "0 to 23"),
    "events": described(COUNT, "uses in it"),
    "health_card": _HEALTH_CARD,
}
_SCENES_OF_HOUR: Final[Schema] = {
    "description": "by scene code; the empty key: scene not recognized",
    "type": "object",
    "additionalProperties": _EVENTS,
}

FLOW: Final = Chart(
    title=("数据去向", "Where the records went"),
    note=("从医院系统到开放平台，每一笔都有去处", "From the HIS to the open platform, each record has its place"),
    draw=drawings.flow,
)
TREND: Final = Chart(
    title=("近 30 天", "The last 30 days"),
    note=("截至各日最近一次对账", "as each day was last reconciled"),
    draw=drawings.trend("trend", every=2),
)
DAYS_OF_MONTH: Final = Chart(
    title=("本月逐日", "The month by day"),
    note=("截至各日最近一次对账", "as each day was last reconciled"),
    draw=drawings.trend("days", every=1),
)
HOURS_BY_SCENE: Final = Chart(
    title=("各时段用卡", "Uses by hour"),
    note=("有效用卡 {n} 笔（不含退费作废），按环节分色", "{n} valid uses (refunds left out), coloured by scene"),
    fields=lambda figures: {"n": figures["uses"]["events"]},
    foot=_hour_unknown,
    draw=drawings.hours_by_scene,
    key="uses.hours",
    figure=lambda basis: usage.by_hour(basis.uses, basis.scenes_by_hour),
    schema=list_of("24 hours of local time", **_HOUR, scenes=_SCENES_OF_HOUR),
)
HOURS_BY_CARD: Final = Chart(
    title=("各时段用卡", "Uses by hour"),
    note=("有效用卡（不含退费作废）", "valid uses (refunds left out)"),
    foot=_hour_unknown,
    draw=drawings.hours_by_card,
    key="uses.hours",
    figure=lambda basis: usage.by_hour(basis.uses),
    schema=list_of("24 hours of local time", **_HOUR),
)
SCENES: Final = _dimension("scene", ("用卡环节", "Scenes"), "by scene, the most frequent first")
CHANNELS: Final = _dimension("channel", ("用卡渠道", "Channels"), "by channel")
CARD_TYPES: Final = _dimension("card_type", ("证件类型", "Card types"), "by card type")
DEPARTMENTS: Final = _dimension(
    "department",
    ("用卡科室（前 {n} 位）", "Departments (first {n})"),
    "by department",
    code="none, or not recognized",
    said="its name, in Chinese",
    most=True,
)
CARD_GROUPS: Final = _group(
    "usage.card_groups",
    ("卡种占比", "Kinds of cards"),
    "uses by kind of card",
    lambda basis: usage.card_groups(basis.uses, basis.words),
)
VISIT_KINDS: Final = _group(
    "usage.visit_kinds",
    ("就诊类型占比", "Kinds of visits"),
    "uses by kind of visit",
    lambda basis: usage.visit_kinds(basis.uses, basis.words),
)
DELAYS: Final = Chart(
    title=("上报时延", "Delay"),
    note=("从用卡到平台接收", "from the use to the platform's answer"),
    draw=drawings.delays,
    key="delays",
    figure=lambda basis: usage.delays(basis.uses),
    schema=list_of(
        "delivered events by the time from the use to the platform's answer",
        minutes={
            "description": "up to so many minutes; null: longer than the last bound",
            "type": ["integer", "null"],
            "minimum": 0,
        },
        events=_EVENTS,
    ),
)

_USAGE: Final = Piece("usage.html.jinja")
_REGIONS: Final = Piece("regions.html.jinja")
_CODES: Final = (((CHANNELS,), (CARD_TYPES,)), ((SCENES,), (DEPARTMENTS,)))
_GROUPS: Final = ((_USAGE,), (CARD_GROUPS, VISIT_KINDS))

PAGES: Final[dict[Form, Page]] = {
    "day": Page(trend=((TREND,),), usage=(((HOURS_BY_SCENE,),), *_CODES, ((DELAYS,), (_USAGE,)))),
    "month": Page(trend=((DAYS_OF_MONTH,),), usage=(_GROUPS, ((HOURS_BY_CARD,),), *_CODES, ((DELAYS,),))),
    "fleet": Page(trend=((TREND,),), usage=(_GROUPS, ((HOURS_BY_CARD,),), *_CODES, ((DELAYS,), (_REGIONS,)))),
}

ALWAYS: Final = (HOURS_BY_CARD, SCENES, CHANNELS, CARD_TYPES, DEPARTMENTS, CARD_GROUPS, VISIT_KINDS, DELAYS)
"""Charts whose figures are in every report's JSON and sheets, on whatever page they are drawn."""


def charts_of(form: Form) -> dict[str, Chart]:
    """Charts with a figure in this report, by the key of the figure: those of every report, then its page's own."""
    charts = {chart.key: chart for chart in ALWAYS}
    return charts | {chart.key: chart for chart in PAGES[form].charts if chart.figure is not None}


def figures_of(form: Form, parent: str, basis: Basis) -> Figures:
    """Figures of the report's charts that stand below a key of the JSON, by their own last key ("": at its top)."""
    figures: Figures = {}
    for key, chart in charts_of(form).items():
        above, _, name = key.rpartition(".")
        if above == parent and chart.figure is not None:
            figures[name] = chart.figure(basis)
    return figures
