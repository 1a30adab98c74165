"""Regions: names of administrative divisions after GB/T 2260, by the six digits of a hospital's `region`.

include/code_tables/region.csv is the list of April 2019, with divisions that were merged since 2015 (marked so): a
hospital's file may still name one. A code that stands in no list keeps its digits for a name, and is part of its city
and province all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from card_usage.files.shipped import SHIPPED, overlaid
from card_usage.standard.table_files import require, table_rows

_FILE: Final = SHIPPED / "code_tables" / "region.csv"
_COLUMNS: Final = ("code", "name", "note")
_DIGITS: Final = 6


class Region(NamedTuple):
    """Codes and names of a division and of those that it lies in; all empty where a hospital names none.

    A province has no city, and a city no county: their codes are empty then.
    """

    province_code: str = ""
    province: str = ""
    city_code: str = ""
    city: str = ""
    county_code: str = ""
    county: str = ""


@lru_cache(maxsize=4)
def load_regions(path: Path = _FILE) -> Mapping[str, str]:
    """Code -> name. Raises CodeTableError."""
    path = overlaid(path)
    names: dict[str, str] = {}
    for line, row in table_rows(path, _COLUMNS):
        code = row["code"]
        digits = len(code) == _DIGITS and code.isascii() and code.isdigit()
        require(digits, path, line, "code", f"'{code}' has not six digits", "correct it")
        require(code not in names, path, line, "code", f"'{code}' is there twice", "delete one of the two rows")
        require(row["name"] != "", path, line, "name", f"'{code}' has no name", "take it from GB/T 2260")
        names[code] = row["name"]
    return names


def region_of(code: str, names: Mapping[str, str]) -> Region:
    """The division of six digits, with its city and province. Beijing and its like are province and city in one, and
    what a province governs itself (419001) is city and county in one."""
    if not code:
        return Region()
    province_code, city_code = f"{code[:2]}0000", f"{code[:4]}00"
    province = names.get(province_code, province_code)
    if code == province_code:
        return Region(province_code, province)
    if code == city_code:
        return Region(province_code, province, code, names.get(code, code))
    own = names.get(code, code)
    if city_code in names:
        return Region(province_code, province, city_code, names[city_code], code, own)
    if code[2:4] == "90":
        return Region(province_code, province, code, own, code, own)
    return Region(province_code, province, city_code, province, code, own)
