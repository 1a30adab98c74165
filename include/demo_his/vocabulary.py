"""The demo hospital's own vocabulary: departments, card types, channels, cost types and how often each occurs.

Local codes are letters or five digits, so that none can be mistaken for a standard code. What they mean in standard
codes stands in include/code_aliases/demo_hospital/, on purpose without the two departments of UNMAPPED_DEPARTMENTS.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

T = TypeVar("T")

DEPARTMENTS: Final[Mapping[str, tuple[str, float]]] = {
    # local code: (name, share of visits by day)
    "11010": ("呼吸与危重症医学科", 5.0),
    "11020": ("消化内科门诊", 6.5),
    "11030": ("神经内科门诊", 5.0),
    "11040": ("心血管内科门诊", 7.0),
    "11050": ("血液内科门诊", 1.5),
    "11060": ("肾内科门诊", 3.0),
    "11070": ("内分泌科门诊", 6.0),
    "11080": ("风湿免疫科", 2.0),
    "11090": ("老年医学科", 2.0),
    "12010": ("普外科门诊", 4.5),
    "12020": ("甲状腺乳腺外科", 2.0),
    "12030": ("骨科门诊", 6.0),
    "12040": ("泌尿外科门诊", 3.5),
    "13010": ("妇科门诊", 5.0),
    "13020": ("产科门诊", 5.0),
    "14010": ("儿科门诊", 8.0),
    "14020": ("儿童保健科", 2.0),
    "15010": ("眼科门诊", 4.5),
    "15020": ("耳鼻咽喉头颈外科", 4.5),
    "15030": ("口腔科门诊", 4.0),
    "15040": ("皮肤科门诊", 6.0),
    "16010": ("心理门诊", 2.0),
    "16020": ("感染科门诊", 1.5),
    "17010": ("肿瘤科门诊", 2.5),
    "18010": ("急诊科", 6.0),
    "19010": ("康复医学科", 2.0),
    "20010": ("中医科门诊", 3.5),
    "20020": ("针灸推拿科", 1.5),
}
NIGHT_DEPARTMENTS: Final[Mapping[str, float]] = {"18010": 62, "14010": 28, "13020": 10}
UNMAPPED_DEPARTMENTS: Final[Mapping[str, str]] = {"21010": "睡眠医学门诊", "21020": "多学科联合门诊"}
"""Opened last month; nobody has told the interface team yet."""

HEALTH_CARD: Final = "JK"
RESIDENT_ID: Final = "SF"
CARD_TYPES: Final[Mapping[str, float]] = {
    HEALTH_CARD: 33.0,
    RESIDENT_ID: 24.0,
    "YB": 27.0,  # 医保卡
    "JZ": 14.5,  # 就诊卡
    "GA": 0.7,  # 港澳居民来往内地通行证
    "TB": 0.3,  # 台湾居民来往内地通行证
    "HZ": 0.5,  # 护照
}
CHILDRENS_DEPARTMENTS: Final = frozenset({"14010", "14020"})
CHILDRENS_CARD_TYPES: Final[Mapping[str, float]] = {
    HEALTH_CARD: 38.0,
    "HK": 16.0,  # 户口簿
    "CS": 6.0,  # 出生医学证明
    "YB": 20.0,
    "JZ": 20.0,
}

WINDOW, MACHINE, DOCTOR, ACCOUNT, MINI_PROGRAM = "CK", "ZZ", "YS", "FW", "XC"
CHANNELS: Final[Mapping[str, Mapping[str, float]]] = {
    # what is done: {local channel: share}
    "walk_in": {WINDOW: 38, MACHINE: 52, ACCOUNT: 4, MINI_PROGRAM: 6},
    "booking": {MINI_PROGRAM: 55, ACCOUNT: 33, DOCTOR: 7, WINDOW: 5},
    "number": {MACHINE: 72, WINDOW: 28},
    "payment": {MACHINE: 36, WINDOW: 24, MINI_PROGRAM: 23, ACCOUNT: 10, DOCTOR: 7},
    "top_up": {MACHINE: 70, WINDOW: 30},
    "dispensing": {WINDOW: 92, MACHINE: 8},
    "report": {MACHINE: 52, MINI_PROGRAM: 28, ACCOUNT: 10, WINDOW: 5, DOCTOR: 5},
}

COST_TYPES: Final[Mapping[str, float]] = {
    "101": 31.0,  # 自费
    "201": 34.0,  # 职工医保
    "202": 26.0,  # 居民医保
    "203": 6.0,  # 异地医保
    "301": 1.5,  # 公费
    "901": 1.5,  # 其他
}

ARRIVALS_BY_HOUR: Final = (
    *(0.5, 0.3, 0.2, 0.2, 0.2, 0.5, 1.6, 6.5, 14.0, 13.5, 10.5, 5.5),
    *(2.2, 4.5, 9.5, 8.5, 6.0, 3.5, 2.8, 2.6, 2.3, 1.8, 1.2, 0.8),
)
BOOKINGS_BY_HOUR: Final = (
    *(1.5, 0.6, 0.3, 0.2, 0.2, 0.6, 3.0, 9.0, 8.0, 7.0, 6.0, 5.0),
    *(5.5, 5.5, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 6.5, 6.0, 4.5, 3.0),
)


def urn(shares: Mapping[T, float], slots: int = 2000) -> tuple[T, ...]:
    """A tuple to draw from with equal chances, in which every key stands as often as its share says, at least once."""
    whole = sum(shares.values())
    return tuple(key for key, share in shares.items() for _ in range(max(1, round(slots * share / whole))))
