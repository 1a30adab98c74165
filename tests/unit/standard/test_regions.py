"""Regions: six digits and the names of what they stand for, as GB/T 2260 has them."""

from __future__ import annotations

import pytest
from card_usage.standard.regions import Region, load_regions, region_of


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("", ("", "", "")),
        ("440000", ("广东省", "", "")),
        ("440300", ("广东省", "深圳市", "")),
        ("440305", ("广东省", "深圳市", "南山区")),
        ("110101", ("北京市", "北京市", "东城区")),
        ("419001", ("河南省", "济源市", "济源市")),
        ("659001", ("新疆维吾尔自治区", "石河子市", "石河子市")),
        ("371202", ("山东省", "莱芜市", "莱城区")),
        ("440399", ("广东省", "深圳市", "440399")),
        ("999999", ("990000", "990000", "999999")),
    ],
)
def test_a_division_has_the_names_of_what_it_lies_in(code: str, names: tuple[str, str, str]) -> None:
    region = region_of(code, load_regions())
    assert (region.province, region.city, region.county) == names


def test_every_county_lies_in_a_province_that_has_a_name() -> None:
    names = load_regions()
    for code in names:
        region = region_of(code, names)
        assert region.province == names[region.province_code]
        assert names[code] in region
    assert region_of("", names) == Region()
