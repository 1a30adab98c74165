"""Normalize: a row of the HIS in standard form, one function a field, the same result for the same row, never a guess.

What cannot be read is absent and, if it said something, a finding: an unreadable time is `time.format`, a code that
nobody mapped is `<field>.code`. Nothing becomes a default: no "other", no midnight for a date without a time of day, no
current time. Normal form is a fixed point: normalizing it again changes nothing.

Staging comes through here for every row of the HIS. Codes are looked up once for all rows that have the same ones, and
clean text is recognized by string methods before anything slower is tried.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from card_usage.events import CardUse, Finding, SourceRow, maker
from card_usage.standard import id_numbers
from card_usage.standard.aliases import Aliases
from card_usage.standard.characters import as_text, has_letter, says_something, spaced
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.standard.rules import BY_ID
from card_usage.windows import local

PLACEHOLDERS: Final = frozenset(
    [
        *(
            "无",
            "无名",
            "无名氏",
            "无卡",
            "没有",
            "未带",
            "不详",
            "不祥",
            "不知",
            "未知",
            "未填",
            "未提供",
            "待查",
            "待补",
        ),
        *("空", "空值", "暂无", "保密", "null", "none", "nil", "n/a", "na", "nan", "undefined", "unknown", "nobody"),
    ]
)
"""What people and programs write where there is nothing, in lower case. Text without letters and digits says nothing
too, nor does a name without letters or a number that repeats one digit."""

YEARS: Final = range(2000, 2100)
"""Years in which a card use can be: 1900-01-01, 1899-12-30 and 9999-12-31 are how databases spell "none"."""

_COMPACT: Final = re.compile("[!-~]*")
_LONGEST_PLACEHOLDER: Final = max(map(len, PLACEHOLDERS))
_LONGEST_CODE: Final = 64
_CACHED_CODES: Final = 10_000
_CACHED_TIMES: Final = 1_000
_UNREADABLE_TIME: Final = BY_ID["time.format"].finding()

_card_use: Final = maker(CardUse)

_Resolved = tuple[str | None, Finding | None]


class Codes(NamedTuple):
    """What the columns of a row come to that hold codes: standard codes, the HIS's own name of the department as it may
    be sent, and findings for what nobody mapped."""

    scene: str | None
    department: str | None
    card_type: str | None
    channel: str | None
    cost_type: str | None
    department_name: str | None
    unmapped: tuple[Finding, ...]


def occurred_at(value: object) -> datetime | None:
    """Naive local time (Asia/Shanghai) in whole seconds; None if the value does not say one (document 2.7.4, 时间).

    Reads datetimes (aware ones are converted), ISO text with a time of day, `yyyymmddhh:mm:ss` as in char(16) and
    `yyyymmddhhmmss`. A date alone is refused: midnight would be an invention. So is 24:00:00, which an SQL window over
    text counts to the one day and ISO 8601 to the next.
    """
    moment = value if isinstance(value, datetime) else _moment(value)
    if moment is None or not 1 < moment.year < 9999:
        return None
    if moment.tzinfo is not None:
        moment = local(moment)
    if moment.year not in YEARS:
        return None
    return moment.replace(microsecond=0) if moment.microsecond else moment


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    text = fold(value)
    if len(text) == 16 and text[10] == ":":
        text = f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:]}"
    elif len(text) == 14:
        text = f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:]}"
    else:
        text = text.replace("/", "-", 2)
    # fromisoformat alone would also take a date without time, week dates and any separator.
    if not (len(text) >= 16 and text[4] == text[7] == "-" and text[10] in " T" and text[13] == ":"):
        return None
    if text[11:13] == "24":  # newer Pythons read it as the next day
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def id_number(value: object, *, upgrade: bool = False) -> str | None:
    """NFKC, no spaces and control characters, a resident ID's x in upper case; None for placeholders (身份证号码).

    `upgrade`: whether a resident ID of 15 digits becomes one of 18.
    """
    text = _compact(value)
    if text is None:
        return None
    if text[-1] == "x" and len(text) == 18 and text[:17].isdigit():
        text = text[:17] + "X"
    return id_numbers.upgraded(text) if upgrade else text


def qr_code_text(value: object) -> str | None:
    """NFKC, no spaces and control characters; None for placeholders (二维码文本)."""
    return _compact(value)


def name(value: object) -> str | None:
    """Without padding (half or full width) and control characters, Chinese as written; None for placeholders (姓名).

    Characters that few systems know (private use, new ones) stay. A space between Chinese characters (张　三) is
    typesetting and goes; between other words one stays. Names of test patients (测试, test01) are absent.
    """
    text = as_text(value)
    if not text:
        return None
    if not text.isalpha():
        words = spaced(text).split()
        text = "".join(words)
        if not has_letter(text):
            return None
        if not all(c >= "\u2e80" or c == "·" for c in text):
            text = " ".join(words)
    lowered = text.casefold()
    if lowered in PLACEHOLDERS or "测试" in text:
        return None
    if lowered.startswith("test") and not lowered[4:].strip("0123456789 _-"):
        return None
    return text


def department_name(value: object) -> str | None:
    """The HIS's own name of a department, folded like a code; None for placeholders. Sent as "his_name" (rules.py)."""
    text = fold(as_text(value))
    return None if _is_empty(text) else text


def _compact(value: object) -> str | None:
    """Folded text with no space left in it; None if it says nothing or repeats one character."""
    if value is None:
        return None
    text = as_text(value)
    if not _COMPACT.fullmatch(text):
        while (tighter := "".join(fold(text).split())) != text:
            text = tighter
    if _is_empty(text) or (text[0] == text[-1] and text.count(text[0]) == len(text)):
        return None
    return text


def _is_empty(text: str) -> bool:
    if len(text) <= _LONGEST_PLACEHOLDER and text.casefold() in PLACEHOLDERS:
        return True
    return not (text[:1].isalnum() or says_something(text))


class Normalizer:
    """Standard form of a hospital's rows, with its tables, its aliases and its choices.

    Caches what each local code means, so it lives as long as its tables and aliases: one a task.
    """

    def __init__(
        self, tables: Mapping[str, CodeTable], aliases: Aliases, *, upgrade_15_digit_ids: bool = False
    ) -> None:
        self._tables = tables
        self._aliases = aliases
        self._upgrade = upgrade_15_digit_ids
        self._codes_of: dict[tuple[object, ...], Codes] = {}
        self._code_of: dict[tuple[str, object, object], _Resolved] = {}
        self._times: dict[object, tuple[datetime | None, tuple[Finding, ...]]] = {}

    def card_use(self, row: SourceRow) -> tuple[CardUse, tuple[Finding, ...]]:
        """The row in standard form, and findings for what it says but cannot be read (time, codes).

        Hand the findings to `rules.check`, which adds its own and knows which of them matter here.
        """
        return self.with_codes(row, self.codes(row))

    def with_codes(self, row: SourceRow, codes: Codes) -> tuple[CardUse, tuple[Finding, ...]]:
        """The same, for a caller who has the row's `codes` already."""
        _, time, _, _, _, _, _, _, number, named, qr, _ = row
        scene, department, card_type, channel, cost_type, _, findings = codes
        moment, unreadable = self._times.get(time) or self._time(time)
        if unreadable:
            findings = (*unreadable, *findings)
        upgrade = self._upgrade and card_type == id_numbers.RESIDENT_ID
        number = id_number(number, upgrade=upgrade)
        return _card_use(
            (moment, scene, department, card_type, channel, cost_type, number, name(named), qr_code_text(qr))
        ), findings

    def _time(self, time: object) -> tuple[datetime | None, tuple[Finding, ...]]:
        """When it was, and a finding if the row says a time that cannot be read. Rows come in the order of time: at a
        busy hospital many share a second."""
        moment = occurred_at(time)
        readable = moment is not None or time is None or (isinstance(time, str) and _is_empty(fold(time)))
        result = (moment, () if readable else (_UNREADABLE_TIME,))
        if len(self._times) >= _CACHED_TIMES:
            self._times.clear()
        self._times[time] = result
        return result

    def codes(self, row: SourceRow) -> Codes:
        """The standard codes of the row: looked up once for all rows that have the same local ones."""
        local = row[2:8]
        return self._codes_of.get(local) or self._resolve(local)

    def is_cached(self, row: SourceRow) -> bool:
        """Whether the codes of the row are cached: not all are, for a HIS may hold any text, and any number of them."""
        return row[2:8] in self._codes_of

    def _resolve(self, local: tuple[object, ...]) -> Codes:
        """Look local codes up, and cache the result unless the cache is full or the codes are long."""
        scene, department, local_department, card_type, channel, cost_type = local
        unmapped: list[Finding] = []
        standard_type = self._standard("card_type", card_type, None, unmapped)
        codes = Codes(
            scene=self._standard("scene", scene, None, unmapped),
            department=self._standard("department", department, local_department, unmapped),
            card_type=standard_type,
            channel=self._standard("channel", channel, None, unmapped),
            cost_type=self._standard("cost_type", cost_type, None, unmapped),
            department_name=department_name(local_department),
            unmapped=tuple(unmapped),
        )
        if len(self._codes_of) < _CACHED_CODES and sum(len(as_text(value)) for value in local) <= 8 * _LONGEST_CODE:
            self._codes_of[local] = codes
        return codes

    def _standard(self, table: str, value: object, label: object, unmapped: list[Finding]) -> str | None:
        code, finding = self._code_of.get((table, value, label)) or self._look_up(table, value, label)
        if finding is not None:
            unmapped.append(finding)
        return code

    def _look_up(self, table: str, value: object, label: object) -> _Resolved:
        local_code, local_name = fold(as_text(value)), fold(as_text(label))
        code = self._tables[table].standard(self._aliases[table], local_code, local_name)
        present = [text for text in (local_code, local_name) if not _is_empty(text)]
        finding = BY_ID[f"{table}.code"].finding(present[0][:_LONGEST_CODE]) if present and code is None else None
        if len(self._code_of) < _CACHED_CODES and len(local_code) + len(local_name) <= 4 * _LONGEST_CODE:
            self._code_of[table, value, label] = (code, finding)
        return code, finding
