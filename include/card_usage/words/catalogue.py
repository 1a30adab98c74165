"""Catalogue: every text that people outside the team read, in Chinese and English.

Each other file of this package that declares `TEXTS` is a part of it, discovered automatically. Promises: each text
exists in both languages with the same places to fill; a missing one is a KeyError, never a blank.
Tone: what happened, how many, what to do, who can help. Rules, charts and causes of alerts carry their own texts
(`card_usage.standard.rules`, `card_usage.report.charts`, `card_usage.config.alert_causes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from importlib import import_module
from pkgutil import iter_modules
from typing import Final, Literal

from card_usage import words
from card_usage.words.english_codes import ENGLISH_NAMES

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")

Texts = tuple[str, str]
"""One text in the languages of LANGUAGES, with places to fill."""


def _parts() -> Iterator[tuple[str, Mapping[str, Texts]]]:
    """Each file of this package that has texts: its name, and what it declares as TEXTS."""
    for module in iter_modules(words.__path__):
        if module.name != "catalogue":  # this file, which is being imported
            texts: Mapping[str, Texts] | None = getattr(import_module(f"{words.__name__}.{module.name}"), "TEXTS", None)
            if texts is not None:
                yield module.name, texts


def _joined() -> Mapping[str, Texts]:
    """The texts of all parts. Raises ValueError for a key that two of them have."""
    joined: dict[str, Texts] = {}
    for name, texts in _parts():
        if twice := joined.keys() & texts.keys():
            raise ValueError(f"words/{name}.py has {', '.join(sorted(twice))} again")
        joined |= texts
    return joined


TEXTS: Final[Mapping[str, Texts]] = _joined()

_WEEKDAYS: Final = (
    ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Words:
    """The catalogue in one language. Numbers that fill a text are grouped by thousands."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._at = LANGUAGES.index(language)

    def __call__(self, key: str, /, **fields: object) -> str:
        """The text of `key`, filled. Raises KeyError for a text or a place that does not exist."""
        return self.text(TEXTS[key], **fields)

    def text(self, texts: Texts, /, **fields: object) -> str:
        """The one of these texts in this language, filled: for declarations that carry their own words."""
        text = texts[self._at]
        return text.format_map({name: self.number(value) for name, value in fields.items()}) if fields else text

    def has(self, key: str) -> bool:
        """Whether the catalogue has this text."""
        return key in TEXTS

    def known(self, prefix: str, name: str) -> str:
        """The text of a name that the catalogue may lack (a feed of a new HIS): the name itself then."""
        key = f"{prefix}.{name}"
        return self(key) if key in TEXTS else name

    def code(self, table: str, code: str, name: str) -> str:
        """A standard code in words: `name` is the table's own, in Chinese."""
        return name if self.language == "zh" else ENGLISH_NAMES.get(table, {}).get(code, name)

    def list(self, texts: Iterable[str]) -> str:
        """Several texts as an enumeration."""
        return ("、" if self.language == "zh" else ", ").join(texts)

    def sentence(self, text: str) -> str:
        """With a capital at its start, for what stands alone."""
        return text[:1].upper() + text[1:]

    def number(self, value: object) -> str:
        """Whole numbers as 12,345; everything else as it is."""
        return f"{value:,}" if isinstance(value, int) else str(value)

    def share(self, part: int, of: int) -> str:
        """A share as people read it: 97.3%. What is not nothing never shows as 0%, what is not all never as 100%."""
        if of <= 0:
            return "—"
        percent = 100 * part / of
        if 0 < percent < 0.05:
            return "<0.1%"
        if 99.95 <= percent < 100:
            return ">99.9%"
        return f"{percent:.1f}%"

    def day(self, day: date) -> str:
        """A date with its weekday."""
        weekday = _WEEKDAYS[self._at][day.weekday()]
        if self.language == "zh":
            return f"{day.year}年{day.month}月{day.day}日 {weekday}"
        return f"{weekday}, {day.day} {_MONTHS[day.month - 1]} {day.year}"

    def month(self, day: date) -> str:
        """The month of a day."""
        return f"{day.year}年{day.month}月" if self.language == "zh" else f"{_MONTHS[day.month - 1]} {day.year}"

    def through(self, moment: str) -> str:
        """A local time up to which something holds; midnight is the end of the day before."""
        at = datetime.fromisoformat(moment)
        if at.time() == time():
            return f"{at.date() - timedelta(days=1)} 24:00"
        return f"{at:%Y-%m-%d %H:%M}"

    def hour(self, hour: int) -> str:
        """An hour of the day."""
        return f"{hour} 时" if self.language == "zh" else f"{hour}:00"
