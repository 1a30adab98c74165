"""The form about a withheld window: a reason that several feeds have is one line, which names them."""

from __future__ import annotations

from types import SimpleNamespace

from card_usage.quality.approval import _reasons
from card_usage.quality.verdicts import Reason
from card_usage.words.catalogue import Words


def test_a_reason_of_five_feeds_is_one_line_that_names_them() -> None:
    feeds = ("registration", "payment", "dispensing", "examination", "laboratory")
    reasons = [Reason(code="midnight", level="hold", count=5, of=100, limit=0.01, feeds=(feed,)) for feed in feeds]
    stored = SimpleNamespace(verdict=SimpleNamespace(reasons=reasons))
    words = Words("zh")
    (line,) = _reasons(words, stored)
    assert all(words.known("feed", feed) in line[1] for feed in feeds)
