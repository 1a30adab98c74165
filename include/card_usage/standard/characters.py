"""Characters: which say something, which nobody sees, and which few systems know; the same on every Python.

Methods of str (isprintable, isalpha) and `unicodedata` know the characters of the Unicode version that a Python was
built with, so that a rare character of a name would be kept by one and dropped by another. What is asked here is asked
of Unicode 3.2, which never changes; a character that is newer counts as a letter, for new Chinese characters are.
"""

import re
from typing import Final
from unicodedata import ucd_3_2_0

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_RARE: Final = re.compile("[\ue000-\uf8ff\U0002a700-\U0010ffff]")
"""Private use, and Chinese characters since Unicode 5.2, which fonts and systems lack; pictographs are none of them."""
_PICTOGRAPHS: Final = range(0x1F000, 0x1FB00)

_INVISIBLE: Final = (
    *(0xAD, 0x61C, 0x180E, 0xFEFF),
    *(n for first, last in ((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F)) for n in range(first, last + 1)),
)
_SPACES: Final = (
    *(*range(0x09, 0x0E), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)
_DROPPED: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *_INVISIBLE, 0x2028, 0x2029])
_SPACED: Final = _DROPPED | dict.fromkeys(_SPACES, " ")


def as_text(value: object) -> str:
    """Text of whatever the driver gave; bytes are the Chinese code page of old databases."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("gb18030", "replace")
    return str(value)


def compatible(text: str) -> str:
    """NFKC as of Unicode 3.2."""
    return ucd_3_2_0.normalize("NFKC", text)


def visible(text: str) -> str:
    """Without controls and characters that nobody sees; half a surrogate pair is dropped, a whole one joined."""
    return whole(text, "ignore").translate(_DROPPED)


def spaced(text: str) -> str:
    """The same, but every kind of space is a space, and half a surrogate pair leaves U+FFFD: something was there."""
    return whole(text, "replace").translate(_SPACED)


def whole(text: str, errors: str) -> str:
    """Surrogate pairs joined, and halves treated as `errors` says: "ignore" or "replace"."""
    if not _SURROGATES.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATES.sub("" if errors == "ignore" else "\ufffd", joined)


def says_something(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(map(_speaks, text))


def has_letter(text: str) -> bool:
    """Whether there is a letter in it."""
    return any(_speaks(c) and ucd_3_2_0.category(c)[0] != "N" for c in text)


def is_rare(text: str) -> bool:
    """Whether it has a character that the receiver may not know."""
    return _RARE.search(text) is not None


def source_key(value: object) -> str:
    """A record's own key in the HIS as it is stored, compared and derived from: trimmed, without surrogate halves,
    which no encoding writes, and with U+2400 for NUL, which PostgreSQL refuses: keys that differ by it stay different.
    """
    text = str(value).strip()
    if text.isascii() and text.isalnum():
        return text
    return _SURROGATES.sub("", text).replace("\0", "\u2400")


def _speaks(character: str) -> bool:
    if character.isascii():
        return character.isalnum()
    category = ucd_3_2_0.category(character)
    return category[0] in "LN" or (category in ("Cn", "Co") and ord(character) not in _PICTOGRAPHS)
