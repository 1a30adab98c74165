"""Page: the report of an upgrade as HTML, in the language of the hospital's reports. Counts, no patient."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from card_usage.config.hospital import Hospital
from card_usage.platform.outcome import meanings
from card_usage.upgrade.figures import CLASSES, Figures
from card_usage.windows import local
from card_usage.words.catalogue import Words

_SETTLED = ("registered", "existed", "refused")


def page(hospital: Hospital, figures: Figures) -> str:
    """The page of these figures."""
    words = Words(hospital.report.language)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )

    def meaning(code: str) -> str:
        return meanings().get(int(code), "") if code != "-" else words("upgrade.no_code")

    return environment.get_template("report.html.jinja").render(
        w=words,
        hospital=hospital.label,
        f=figures,
        read_at=figures.read_at and f"{local(figures.read_at):%Y-%m-%d %H:%M}",
        classes=CLASSES,
        settled=_SETTLED,
        balanced=figures.balanced,
        causes=[(each, meaning(each.rpartition(":")[2]), number) for each, number in figures.causes.items()],
        codes=[(code, meaning(code), number) for code, number in figures.refused_by_code.items()],
    )
