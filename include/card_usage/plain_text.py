"""Plain text: what a HIS, a file or a server wrote, so that nothing reads it as more than text.

`visible` for terminals, logs and error texts, `harmless` for cells of a spreadsheet, `without_markup` for chats and
`unlinked` for Markdown whose marks are escaped already. All of them change nothing in ordinary text.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, ends of lines, and marks that turn the direction of text around."""
_FORMULA: Final = re.compile(r"'*\s*[=+\-@＝＋－＠\t\r\n]")
_MARKS: Final = str.maketrans("[]<>*`#|\\~&", "［］＜＞＊｀＃｜＼～＆")
_PLACES: Final = 6
_SCHEME: Final = re.compile(r"(?<=\w)://")
_DOMAIN: Final = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2})")


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with \u001b in place of an escape character, and so on: it moves no cursor and forges no line.

    `keep`: characters that stay. JSON stays JSON.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def harmless(cell: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula: behind an apostrophe. `unquoted` takes it off again."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unquoted(cell: str) -> str:
    """What `harmless` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


def unlinked(text: str) -> str:
    """The text with full-width characters where a program would make it a link or a mention."""
    return _DOMAIN.sub("．", _SCHEME.sub("：／／", text)).replace("@", "＠")


def without_markup(text: str) -> str:
    """The text with full-width characters in place of Markdown's and HTML's, for chats, which know no escape.

    Addresses of mail and names of files stay as they are; of text that may be anybody's they are `unlinked` first.
    """
    return _SCHEME.sub("：／／", text).translate(_MARKS)


def raised_at(error: BaseException) -> str:
    """An unexpected exception for a log: its class and the last places in the code, never its text, which may quote
    what it stumbled over."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' > '.join(places[-_PLACES:])}"


def make_log_lines_visible() -> None:
    """From now on no argument of a log line of ours moves a terminal's cursor or begins a line of its own."""
    made = logging.getLogRecordFactory()
    if getattr(made, "visible", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        line = made(*args, **kwargs)
        if str(line.name).startswith("card_usage"):
            with suppress(TypeError, ValueError):  # arguments that do not fit: the handler says so
                line.msg, line.args = visible(line.getMessage()), ()
        return line

    record.visible = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
