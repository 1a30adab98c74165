"""Log lines of the command line: text for people, or JSON for what collects logs (`CARD_USAGE_LOG=json`).

A line of JSON has `time` (UTC), `level`, `logger`, `message`, `command`, and of a command about one hospital
`hospital` and `window`. A traceback is never written: its last line may quote a patient's value.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from card_usage.errors import SettingsError
from card_usage.plain_text import make_log_lines_visible, raised_at

VARIABLE: Final = "CARD_USAGE_LOG"
FORMS: Final = ("text", "json")


class JsonLine(logging.Formatter):
    """One JSON object a line; `about`: fields that every line of this process has."""

    def __init__(self, about: Mapping[str, str]) -> None:
        super().__init__()
        self._about = dict(about)

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; of an exception its class and place alone."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._about,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = raised_at(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def write_to_stderr(environment: Mapping[str, str], about: Mapping[str, str]) -> None:
    """Log from `warning` on to standard error, in the form that the environment names. Raises SettingsError."""
    form = environment.get(VARIABLE) or "text"
    if form not in FORMS:
        raise SettingsError(problem=f"{VARIABLE} is '{form}'", remedy=f"set it to one of {', '.join(FORMS)}")
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(levelname)s %(message)s")
    handler.setFormatter(JsonLine(about) if form == "json" else plain)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    make_log_lines_visible()


def writes_json() -> bool:
    """Whether this process logs JSON."""
    return any(isinstance(handler.formatter, JsonLine) for handler in logging.getLogger().handlers)
