"""Suggestions: which standard code a local one probably means, with a score from 0 to 1 and the reason.

    same name    1.00  the standard's own name, but for words like 门诊 and 专业
    synonym      0.95  a name that hospitals and other editions of the register use (code_tables/synonyms)
    elsewhere    0.90  what other hospitals chose for the same name or code; 0.95 if several did and none otherwise
    similar      below 0.85  characters in common with a name of the table or a synonym

A suggestion is never applied by itself: a person chooses. Codes that mean different things in different editions (the
dental ones, 口腔) are suggested only one level up.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from card_usage.code_mapping.gaps import Gap
from card_usage.errors import CodeTableError
from card_usage.files.delimited import dict_reader, read_text
from card_usage.files.shipped import overlaid
from card_usage.ledger.code_decisions import Decision
from card_usage.standard.aliases import ALIAS_COLUMNS
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.words.catalogue import Words

Why = Literal["same_name", "synonym", "elsewhere", "similar"]

MOST: Final = 3
LEAST: Final = 0.45
"""Below this a similarity says nothing."""

_BESIDE: Final = 0.7
"""The share of the best one's score that another one needs."""

SURE: Final = 0.9
"""From here on a suggestion may be taken over unseen into a proposal."""

_AROUND: Final = re.compile(r"[(\[（【〔][^)\]）】〕]*[)\]）】〕]|[\s·、,，/\\_-]+")
_WORDS: Final = re.compile(
    r"专家|普通|特需|夜间|夜|便民|名医|国际|门诊|诊区|诊室|诊间|病区|病房|专业|专科|科室|院区|本部|东院|西院|南院|北院|分院"
)
_NUMBERS: Final = re.compile(r"[0-9一二三四五六七八九十]+(?=[区组部科室]?$)|^[0-9]+")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A standard code with its name; `score` 0 to 1."""

    code: str
    name: str
    score: float
    why: Why


def gap_row(gap: Gap, suggestions: Sequence[Suggestion], words: Words) -> dict[str, str | int]:
    """What people are shown of a gap in every list: whose code, how often, since when, and why the best one is that."""
    return {
        "table": gap.table,
        "local": gap.code,
        "name": gap.name or "",
        "events": gap.events,
        "first": gap.first.isoformat(),
        "last": gap.last.isoformat(),
        "feeds": words.list(words.known("feed", feed) for feed in gap.feeds),
        "why": words(f"why.{suggestions[0].why}") if suggestions else "",
    }


def stem(name: str) -> str:
    """A name without what hospitals add to it: 心血管内科专家门诊(东院) -> 心血管内."""
    text = _AROUND.sub("", fold(name))
    text = _NUMBERS.sub("", _WORDS.sub("", text))
    return text.removesuffix("区").removesuffix("组").removesuffix("科").removesuffix("室")


class Suggester:
    """Suggests for one hospital: `directory` holds the alias files of all of them, `decisions` what was decided in any
    of them, `tables` the standard codes."""

    def __init__(
        self,
        directory: Path,
        hospital_id: str,
        tables: Mapping[str, CodeTable],
        code_tables: Path,
        decisions: Sequence[Decision] = (),
    ) -> None:
        self._tables = tables
        self._synonyms = {table: _synonyms(overlaid(code_tables / "synonyms" / f"{table}.csv")) for table in tables}
        self._elsewhere = {table: _elsewhere(directory, decisions, hospital_id, table) for table in tables}

    def suggest(self, table: str, code: str, name: str | None = None) -> tuple[Suggestion, ...]:
        """The best ones for a local code and name, best first; none if nothing is alike."""
        standard = self._tables[table]
        best: dict[str, tuple[float, Why]] = {}

        def take(of: str, score: float, why: Why) -> None:
            of = _safe(table, of)
            if of in standard and score > best.get(of, (0.0, why))[0]:
                best[of] = (score, why)

        for text in filter(None, (name, code)):
            exact, bare = fold(text), stem(text)
            if bare.isascii():  # codes: they are what they are, or something else
                bare = ""
            for chosen, share, hospitals in _shares(self._elsewhere[table], exact, bare):
                take(chosen, (0.95 if share == 1 and hospitals > 1 else 0.9) * share, "elsewhere")
            for of, official in _listed(standard):
                if fold(official) == exact or (bare and stem(official) == bare):
                    take(of, 1.0, "same_name")
                elif bare:
                    take(of, 0.85 * _alike(bare, stem(official)), "similar")
            for synonym, of in self._synonyms[table].items():
                if fold(synonym) == exact or (bare and stem(synonym) == bare):
                    take(of, 0.95, "synonym")
                elif bare:
                    take(of, 0.8 * _alike(bare, stem(synonym)), "similar")
        ranked = sorted(best.items(), key=lambda pair: (-pair[1][0], pair[0]))
        # Beside a good one a weak one only confuses.
        least = max(LEAST, _BESIDE * ranked[0][1][0]) if ranked else LEAST
        return tuple(
            Suggestion(of, standard.names[of], round(score, 2), why)
            for of, (score, why) in ranked[:MOST]
            if score >= least
        )


def _safe(table: str, code: str) -> str:
    """Dental codes 1201 to 1206 are numbered anew in newer editions: 口腔科 itself is right in all of them."""
    return "1200" if table == "department" and code.startswith("12") else code


def _listed(standard: CodeTable) -> list[tuple[str, str]]:
    """Codes with names that mean what they say: in the register 内科专业 below 50 is Chinese medicine."""
    return [
        (code, name)
        for code, name in standard.names.items()
        if standard.table != "department" or standard.parent(code) != "5000" or fold(name) in standard.by_name
    ]


@lru_cache(maxsize=200_000)
def _alike(one: str, other: str) -> float:
    """Similarity of two stems, 0 to 1; one that contains the other counts more than characters in common."""
    if not one or not other:
        return 0.0
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    if len(other) > 1 and (one in other or other in one):
        ratio = max(ratio, 0.75 + 0.25 * min(len(one), len(other)) / max(len(one), len(other)))
    return ratio


@lru_cache(maxsize=16)
def _synonyms(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row["code"] for row in csv.DictReader(file)}


def _elsewhere(
    directory: Path, decisions: Sequence[Decision], hospital_id: str, table: str
) -> Mapping[str, Counter[str]]:
    """Folded local code, name or its stem -> standard codes, each with how many other hospitals chose it.

    Numbers mean something in their own HIS alone: only names count. A file that cannot be read is no help, and no harm.
    """
    votes: dict[str, Counter[str]] = {}
    rows_of: dict[str, dict[str, tuple[str, str, str]]] = {}
    for path in sorted(directory.glob(f"*/{table}.csv")):
        try:
            rows_of[path.parent.name] = {fold(row[0]): row for row in _alias_rows(path)}
        except (OSError, UnicodeDecodeError, csv.Error, CodeTableError):
            continue
    for decision in decisions:
        if decision.table == table:
            row = (decision.local, decision.standard, decision.note)
            rows_of.setdefault(decision.hospital, {})[decision.local] = row
    rows_of.pop(hospital_id, None)
    for rows in map(dict.values, rows_of.values()):
        chosen: dict[str, set[str]] = {}
        for local, standard, note in rows:
            for text in (local, note):
                for name in {fold(text), stem(text)}:
                    if len(name) > 1 and not name.isascii():
                        chosen.setdefault(name, set()).add(standard)
        for name, codes in chosen.items():
            votes.setdefault(name, Counter()).update(codes)
    return votes


def _alias_rows(path: Path) -> list[tuple[str, str, str]]:
    reader = dict_reader(read_text(path), ALIAS_COLUMNS, strict=False)
    if tuple(reader.fieldnames or ()) != ALIAS_COLUMNS:
        return []
    return [(row["local"] or "", fold(row["standard"] or ""), row["note"] or "") for row in reader]


def _shares(chosen: Mapping[str, Counter[str]], exact: str, bare: str) -> list[tuple[str, float, int]]:
    """Standard code, the share of hospitals that chose it, and how many hospitals there are."""
    votes = chosen.get(exact) or (chosen.get(bare) if bare else None)
    if not votes:
        return []
    return [(code, times / votes.total(), votes.total()) for code, times in votes.most_common()]
