"""Mail: the report as a mail: subject, plain text, and HTML that a mail client shows.

Mail clients (Outlook draws with Word) know neither SVG nor style sheets nor flex boxes: the HTML is tables with
styles on each cell, bars are coloured cells, and nothing is fetched. It says what the page's first screen says, and
links to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from card_usage.report import svg
from card_usage.report.fleet import named, title
from card_usage.report.html import environment, stamp
from card_usage.words.catalogue import Words

Figures = dict[str, Any]
MOST_ACTIONS: Final = 8
MOST_HOSPITALS: Final = 30
TONES: Final = {
    **dict.fromkeys(("complete", "explained"), "#00785a"),
    **dict.fromkeys(("open", "withheld", "provisional", "uncounted", "absent"), "#b36b00"),
    "broken": "#b3261e",
    "empty": "#5b6b7c",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """What the alert path sends."""

    subject: str
    text: str
    html: str


def mail(figures: Figures, *, link: str = "") -> Mail:
    """A day, a month or the fleet as a mail. `link`: address of the page."""
    words = Words(figures["language"])
    fleet = "hospitals" in figures
    about = title(figures, words) if fleet else figures["hospital"]["name"]
    when = figures["month"] if "month" in figures else figures["day"]
    acts = (
        [{**cause, "hospital_name": named(cause, words)} for cause in figures["causes"]]
        if fleet
        else figures["actions"]
    )
    common: Mapping[str, Any] = {
        "f": figures,
        "w": words,
        "about": about,
        "when": words.month(date.fromisoformat(figures["first"]))
        if "month" in figures
        else words.day(date.fromisoformat(figures["day"])),
        "tones": TONES,
        "tone": TONES[figures["verdict"]["level"]],
        "stamp": stamp,
        "link": link,
        "totals": {**figures["totals"], "source": _source(figures)},
        "actions": acts[:MOST_ACTIONS],
        "more_actions": len(acts[MOST_ACTIONS:]),
        "hospitals": figures.get("hospitals", [])[:MOST_HOSPITALS],
        "more_hospitals": len(figures.get("hospitals", [])[MOST_HOSPITALS:]),
        "parts": _parts(figures, words),
    }
    level = words(f"mail.level.{figures['verdict']['level']}")
    subject = words(f"mail.{'fleet' if fleet else 'hospital'}", about=about, when=when, level=level)
    return Mail(
        # One line, whatever a hospital calls itself.
        subject=" ".join(subject.split()),
        text=_text(common, words),
        html=environment().get_template("mail.html.jinja").render(**common),
    )


def _source(figures: Figures) -> int | None:
    """Records of the HIS; of the fleet, those of the hospitals that were counted."""
    total: int | None = figures["totals"]["source"]
    if total is None and "counted" in figures and figures["counted"]["hospitals"]:
        total = figures["counted"]["source"]
    return total


def _parts(figures: Figures, words: Words) -> list[dict[str, Any]]:
    """The bar: what became of what the ledger holds, in hundredths that add up to 100."""
    totals, classes = figures["totals"], figures["classes"]
    parts = [
        (words("class.delivered"), classes["delivered"], svg.TONES["delivered"]),
        (words("head.waiting"), totals["waiting"], svg.TONES["due"]),
        (words("head.for_people"), totals["for_people"], svg.TONES["quarantined"]),
        (words("class.voided"), classes["voided"], svg.TONES["voided"]),
    ]
    shown = [part for part in parts if part[1] > 0]
    whole = sum(events for _, events, _ in shown)
    widths = [max(1, round(100 * events / whole)) for _, events, _ in shown]
    if widths:
        widths[widths.index(max(widths))] += 100 - sum(widths)
    return [
        {"name": name, "events": events, "tone": tone, "width": width}
        for (name, events, tone), width in zip(shown, widths, strict=True)
    ]


def _text(common: Mapping[str, Any], words: Words) -> str:
    figures = common["f"]
    totals = common["totals"]
    source = "—" if totals["source"] is None else words.number(totals["source"])
    lines = [
        f"{common['about']}  {common['when']}",
        "",
        figures["verdict"]["text"],
        "",
        f"{words('leg.source')}  {source}",
        f"{words('leg.staged')}  {words.number(totals['staged'])}",
        f"{words('leg.delivered')}  {words.number(totals['delivered'])}",
    ]
    if common["actions"]:
        lines += ["", words("section.todo")]
        lines += [
            f"- {action['hospital_name'] + ' ' if 'hospital_name' in action else ''}{words.sentence(action['what'])}"
            f" ({words.number(action['events'])}){words('head.colon')}{action['to_do']} [{action['who']}]"
            for action in common["actions"]
        ]
    troubled = [hospital for hospital in common["hospitals"] if hospital["level"] not in ("complete", "empty")]
    if troubled:
        lines += ["", words("fleet.hospitals")]
        lines += [
            f"- {hospital['name']}{words('head.colon')}{words('level.' + hospital['level'])}" for hospital in troubled
        ]
    if common["link"]:
        lines += ["", f"{words('mail.whole')} {common['link']}"]
    if figures.get("heads"):
        lines += ["", words("report.heads")]
        lines += [f"{head['hospital']} {head['serial']} {head['head']}" for head in figures["heads"]]
    return "\n".join([*lines, "", words("report.no_patients"), ""])
