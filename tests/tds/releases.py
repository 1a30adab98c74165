"""Releases of SQL Server: what each calls itself, which TDS it speaks, and what it does not know yet.

A batch with something newer is refused with the number and the words of that release. What stands here is what scripts
and feeds are likely to use, not all of T-SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Version = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """`version`: as SERVERPROPERTY('ProductVersion') begins. `tds`: the highest that it speaks."""

    name: str
    version: Version
    tds: int

    @property
    def product_version(self) -> str:
        """As SERVERPROPERTY says it."""
        return ".".join(map(str, self.version)) + ".0"

    @property
    def compatibility_level(self) -> int:
        """Of a database that was made there: 100 for 2008 R2, 160 for 2022."""
        return self.version[0] * 10

    def refusal(self, batch: str, code: Callable[[str], str]) -> tuple[int, int, str] | None:
        """Number, class and words of the error for a batch; None if all of it is known.

        `code`: takes literals and comments out, which is asked for only where something newer seems to be used.
        """
        for pattern, since, number, words in _NEWER:
            if self.version >= since or not pattern.search(batch):
                continue
            if found := pattern.search(code(batch)):
                return number, 16 if number in {207, 208} else 15, words.format(found[1])
        return None


_7_3, _7_4 = 0x730B0003, 0x74000004
RELEASES: Mapping[str, Release] = {
    release.name: release
    for release in (
        Release(name="2008 R2", version=(10, 50, 6000), tds=_7_3),
        Release(name="2012", version=(11, 0, 7001), tds=_7_4),
        Release(name="2014", version=(12, 0, 6024), tds=_7_4),
        Release(name="2016 RTM", version=(13, 0, 1601), tds=_7_4),
        Release(name="2016", version=(13, 0, 6300), tds=_7_4),
        Release(name="2017", version=(14, 0, 3456), tds=_7_4),
        Release(name="2019", version=(15, 0, 4198), tds=_7_4),
        Release(name="2022", version=(16, 0, 4003), tds=_7_4),
    )
}

_2012, _2014, _2016, _2016_SP1 = (11, 0, 0), (12, 0, 0), (13, 0, 0), (13, 0, 4001)
_2017, _2019, _2022 = (14, 0, 0), (15, 0, 0), (16, 0, 0)
_KEYWORD = "Incorrect syntax near the keyword '{}'."
_SYNTAX = "Incorrect syntax near '{}'."
_FUNCTIONS: Mapping[Version, str] = {
    _2012: (
        "TRY_CONVERT TRY_CAST TRY_PARSE PARSE CONCAT IIF CHOOSE FORMAT EOMONTH DATEFROMPARTS DATETIMEFROMPARTS"
        " DATETIME2FROMPARTS TIMEFROMPARTS LAG LEAD FIRST_VALUE LAST_VALUE PERCENT_RANK CUME_DIST"
    ),
    _2016: "STRING_SPLIT STRING_ESCAPE JSON_VALUE JSON_QUERY ISJSON OPENJSON DATEDIFF_BIG COMPRESS SESSION_CONTEXT",
    _2017: "STRING_AGG TRIM CONCAT_WS TRANSLATE",
    _2019: "APPROX_COUNT_DISTINCT",
    _2022: "GREATEST LEAST DATETRUNC DATE_BUCKET GENERATE_SERIES JSON_OBJECT JSON_ARRAY BIT_COUNT",
}


def _newer(pattern: str, since: Version, number: int, words: str) -> tuple[re.Pattern[str], Version, int, str]:
    return re.compile(pattern, re.IGNORECASE), since, number, words


_NEWER = [
    *(
        _newer(rf"\b({'|'.join(names.split())})\s*\(", since, 195, "'{}' is not a recognized built-in function name.")
        for since, names in _FUNCTIONS.items()
    ),
    _newer(r"\bCREATE\s+(OR)\s+ALTER\b", _2016_SP1, 156, _KEYWORD),
    _newer(r"\b(?:DROP\s+\w+|DROP\s+COLUMN|DROP\s+CONSTRAINT)\s+(IF)\s+EXISTS\b", _2016, 156, _KEYWORD),
    _newer(r"\b(OFFSET)\s+\S+\s+ROWS?\b", _2012, 102, _SYNTAX),
    _newer(r"(?:^|;|\bBEGIN)\s*(THROW)\b", _2012, 102, _SYNTAX),
    _newer(r"\b(AT)\s+TIME\s+ZONE\b", _2016, 102, _SYNTAX),
    _newer(r"\bALTER\s+ROLE\s+\S+\s+(ADD)\s+MEMBER\b", _2012, 156, _KEYWORD),
    _newer(r"\bIS\s+(?:NOT\s+)?(DISTINCT)\s+FROM\b", _2022, 156, _KEYWORD),
    _newer(r"\bsys\.(dm_hadr_\w+|availability_\w+)", _2012, 208, "Invalid object name 'sys.{}'."),
    _newer(r"\bsys\.(fn_hadr_is_primary_replica)", _2014, 208, "Invalid object name 'sys.{}'."),
    _newer(r"\b(is_primary_replica)\b", _2014, 207, "Invalid column name '{}'."),
    _newer(r"\bsys\.(query_store_\w+|database_scoped_configurations)", _2016, 208, "Invalid object name 'sys.{}'."),
]
