"""Attachments: what a message carries besides its text, as the ledger stores it.

A file is a path; a content stands in the ledger itself, so that whichever worker sends the message has it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class File(NamedTuple):
    """A file by its content."""

    name: str
    content: bytes
    mimetype: str = XLSX


Attachment = str | File
"""A path, or a file by its content."""


def to_json(attachments: Sequence[Attachment]) -> str:
    """The column `attachments`."""
    return json.dumps(
        [
            attachment
            if isinstance(attachment, str)
            else attachment._asdict() | {"content": base64.b64encode(attachment.content).decode()}
            for attachment in attachments
        ],
        ensure_ascii=False,
    )


def from_json(text: str) -> tuple[Attachment, ...]:
    """The attachments of a column."""
    return tuple(
        stored if isinstance(stored, str) else File(**stored | {"content": base64.b64decode(stored["content"])})
        for stored in json.loads(text)
    )
