"""Patient data in a column that should hold none: a code, a department's name, a record's own key in the HIS.

Two ways to notice it. Compared with the row's own patient fields: exact, any document, any name. And by shape, where
the row does not have it: a resident ID with its check digit, a mobile number, the text of a static or dynamic health
card QR code (document 3.2.2, 3.2.10). A text that a table or an alias knows is never judged: a person has said what it
is. Record 29 (docs/adr) has the thresholds and how often they err.

A key is kept out of sight more readily than a record is held back: `may_name` errs on the safe side, for a masked key
costs nothing but its looks; `in_key` decides about quarantine.
"""

import re
from typing import Final

from card_usage.events import CardUse, SourceRow, event_key
from card_usage.plain_text import visible
from card_usage.standard import id_numbers
from card_usage.standard.characters import as_text, source_key

_PROVINCE: Final = "1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91"
_RESIDENT_ID: Final = re.compile(rf"(?=((?:{_PROVINCE})\d{{15}}[\dXx]))", re.ASCII)
"""A resident ID by its province, anywhere in a text: the check digit is another matter."""
_MOBILE: Final = re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d(?:\d{8}|([ -])\d{4}\1\d{4})(?!\d)", re.ASCII)
_QR_TEXT: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{64}:(?:1(?![0-9A-Za-z])|0:\S)", re.ASCII)
_BIRTHS: Final = ("19000101", "20991231")
_FRESH_YEARS: Final = 1
"""In a key, a resident ID that is younger is an area and a date of today: see record 29."""

_LETTERS: Final = re.compile(r"[^\W\d_]+")
_SHORTEST_LATIN: Final = 6
_LONG_NUMBER: Final = 15
_SHORTEST_DOCUMENT: Final = 8
_SHORTEST_CARD: Final = 16
_QUOTED: Final = 40

MASK: Final = "masked-"
"""How a masked key begins; the event's own key follows."""


def masked_key(key: str) -> str:
    """What stands for a HIS key that is itself patient data: made of the event's key, which derives from it."""
    return MASK + key


def shown_key(hospital: str, feed: str, source_id: str) -> str:
    """A HIS key as a list may show it that was read without its row: masked if it may name somebody.

    Without the row nobody can compare: so two letters beyond ASCII in a row count, for a name has no fewer.
    """
    if may_name(source_id) or _has_word_beyond_ascii(source_id):
        return masked_key(event_key(hospital, feed, source_id))
    return source_id


def said_key(row: SourceRow) -> str:
    """A row's own key as a log may say it; "(masked)" if it may name its patient or another one."""
    text = source_key(row.source_id)
    own = (as_text(value).strip().casefold() for value in (row.id_number, row.name, row.qr_code_text))
    folded = text.casefold()
    if may_name(text) or _has_word_beyond_ascii(text) or any(len(value) > 3 and value in folded for value in own):
        return "(masked)"
    return text


def _has_word_beyond_ascii(text: str) -> bool:
    """Whether two letters of another alphabet follow each other, whatever space is between them."""
    return any(len(run) > 1 and not run.isascii() for run in _LETTERS.findall("".join(text.split())))


def may_name(text: str) -> bool:
    """Whether a resident ID, a mobile number or a QR text may stand anywhere in it, however it is joined."""
    return len(text) > 10 and (
        bool(_ids(text)) or _MOBILE.search(text) is not None or _QR_TEXT.search(text) is not None
    )


def quoted(text: str) -> str:
    """A cell of somebody's file for an error line: in quotes and cut short, or described if it may name a patient."""
    if may_name(text):
        return f"a text of {len(text)} characters that may be a patient's number"
    return f"'{visible(text[:_QUOTED])}'"


def is_mobile(text: str) -> bool:
    """Whether all of it looks like a mobile number."""
    return _MOBILE.fullmatch(text) is not None


def by_shape(text: str) -> bool:
    """Whether a code or name (folded) holds a resident ID, a mobile number or a QR text."""
    tight = "".join(text.split())
    return may_name(text) or may_name(tight)


def in_text(text: str, use: CardUse) -> bool:
    """Whether a code or name (folded) holds this patient's ID number, name or QR text."""
    tight = "".join(text.split())
    return (
        (use.id_number is not None and _holds_number(tight, use.id_number))
        or (use.name is not None and _holds_name(text, tight, use.name))
        or (use.qr_code_text is not None and _holds_qr(tight, use.qr_code_text))
    )


def in_key(source_id: str, use: CardUse, *, judge_shape: bool) -> bool:
    """Whether a record's own key in the HIS is, or holds, patient data.

    `judge_shape`: whether its looks alone are enough. A mobile number's are not: one in fourteen numbers of eleven
    digits has them.
    """
    _, _, _, _, _, _, number, name, qr = use
    length = len(source_id)
    # Staging asks of every row: what cannot be is left out first.
    if number is not None and length >= _SHORTEST_DOCUMENT and _holds_number(source_id, number):
        return True
    nameless = source_id.isascii() and (name is None or not name.isascii() or source_id.isdigit())
    if name is not None and not nameless and _names(source_id, name):
        return True
    if length < _LONG_NUMBER:
        return False
    if qr is not None and length >= _SHORTEST_CARD and _holds_qr(source_id, qr):
        return True
    if not judge_shape or length < 18:
        return False
    return _QR_TEXT.search(source_id) is not None or any(_is_alone(source_id, at, use) for at in _ids(source_id))


def _ids(text: str) -> list[int]:
    """Where in a text a valid resident ID begins."""
    if len(text) < 18:
        return []
    return [
        match.start()
        for match in _RESIDENT_ID.finditer(text)
        if _BIRTHS[0] <= match[1][6:14] <= _BIRTHS[1] and id_numbers.is_resident_id(match[1].upper())
    ]


def _is_alone(text: str, at: int, use: CardUse) -> bool:
    """No digit touches the ID, and its owner is born a year and more before the card use."""
    before, after = text[at - 1 : at], text[at + 18 : at + 19]
    if before.isdigit() or after.isdigit():
        return False
    return use.occurred_at is None or int(text[at + 6 : at + 10]) < use.occurred_at.year - _FRESH_YEARS


def _holds_number(text: str, number: str) -> bool:
    """Long numbers anywhere, in their form of 15 digits too; shorter documents only with a letter, which a patient's
    serial number at the hospital does not have."""
    if len(number) >= _LONG_NUMBER:
        if len(text) < _LONG_NUMBER:
            return False
        if not text.isdigit():
            text = text.upper()
        if number.upper() in text:
            return True
        return len(number) == 18 and id_numbers.has_resident_shape(number) and number[:6] + number[8:17] in text
    return len(number) >= _SHORTEST_DOCUMENT and not number.isdigit() and number.upper() in text.upper()


def _holds_name(text: str, tight: str, name: str) -> bool:
    """All of it, or one of its words; a longer name anywhere in it.

    Two characters inside of a word are no sign: 高原 is a name, and 高原病科 a department.
    """
    name = "".join(name.split()).casefold()
    tight = tight.casefold()
    if name == tight:
        return len(name) > 1
    if name.isascii():
        return len(name) >= _SHORTEST_LATIN and name in tight
    return name in tight and (len(name) > 2 or (len(name) == 2 and name in _LETTERS.findall(text)))


def _names(source_id: str, name: str) -> bool:
    """A key is made of no words, so that two characters of a name in it are enough."""
    name = "".join(name.split()).casefold()
    least = _SHORTEST_LATIN if name.isascii() else 2
    return len(name) >= least and name in "".join(source_id.split()).casefold()


def _holds_qr(text: str, qr: str) -> bool:
    """The text, or the card's id in front of its colon."""
    card, _, _ = qr.partition(":")
    return len(card) >= _SHORTEST_CARD and card.casefold() in text.casefold()
