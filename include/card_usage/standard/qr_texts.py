"""QR texts: what can be read from a health card's QR text without asking the platform (document 3.2.2, 3.2.10)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_STATIC: Final = re.compile(r"([^:\s]{1,128}):1", re.ASCII)
_DYNAMIC: Final = re.compile(r"([^:\s]{1,128}):0:[^\s]+", re.ASCII)


class QrText(NamedTuple):
    """A QR text's card, and whether it is a dynamic one, which is good for a short time only."""

    card_id: str
    dynamic: bool


def parsed(text: str) -> QrText | None:
    """`<card>:1` is static, `<card>:0:<code>::<issuer>` dynamic; None for anything else."""
    if found := _STATIC.fullmatch(text):
        return QrText(found[1], dynamic=False)
    if found := _DYNAMIC.fullmatch(text):
        return QrText(found[1], dynamic=True)
    return None


def card_id(qr_code_text: str, health_card_id: str = "") -> str:
    """The card's id: as answered, or from the text where a static one comes without (3.2.2). "" if neither has it."""
    if health_card_id:
        return health_card_id
    found = parsed(qr_code_text)
    return found.card_id if found else ""
