"""Invented people: names, birth dates and identity numbers with the right check digit.

Resident IDs start with region codes that were never assigned (440397 to 440399), so that no number belongs to anybody.
"""

import hashlib
from datetime import date, timedelta
from random import Random
from typing import Final

from demo_his.flaws import PLACEHOLDER_IDS, PLACEHOLDER_NAMES
from demo_his.vocabulary import HEALTH_CARD

REGIONS: Final = ("440397", "440398", "440399")
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_FULL_WIDTH: Final = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓"
    "曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金"
)
_GIVEN: Final = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红文建国志海燕春梅丹宁婷雪琳欣怡子涵梓轩雨桐浩然思远嘉诚若晨"
    "佳俊鹏飞凯峰瑞祥永福德义安乐康健慧颖晓东立新学礼"
)
_LONG_NAMES: Final = ("阿依古丽·买买提", "迪丽努尔·艾力", "巴特尔·孟和", "欧阳嘉怡", "司马文博", "上官若兰")


def check_digit(first_17: str) -> str:
    """The last character of a resident ID (GB 11643): weighted sum mod 11."""
    return _CHECKS[sum(map(int.__mul__, _WEIGHTS, map(int, first_17))) % 11]


class People:
    """Draws people from one random source. `today` bounds their birth dates."""

    def __init__(self, random: Random, today: date) -> None:
        self._random = random
        self._today = today

    def row(self, patid: int, card: str, flaw: str | None, child: bool) -> dict[str, object]:
        """A row of SF_BRXXK, with the flaw in it if it is one of the patient's own."""
        random = self._random.random
        male = random() < 0.47
        years = random() * 13 if child else 14 + 72 * (random() + random()) / 2
        if flaw == "fifteen_digits":
            years = 45 + 35 * random()  # such numbers ended with the century
        birth = self._today - timedelta(days=int(years * 365.25) + 1)
        number = self._number(card, birth, male, flaw)
        name: str | None = self._name()
        if flaw == "missing_name":
            name = None if random() < 0.5 else ""
        elif flaw == "placeholder_name":
            name = PLACEHOLDER_NAMES[int(random() * len(PLACEHOLDER_NAMES))]
        elif flaw == "padded_name":
            name = f" {name}\u3000"
        return {
            "patid": patid,
            "blh": f"MZ{patid}",
            "hzxm": name,
            "sex": "男" if male else "女",
            "birth": birth.strftime("%Y%m%d"),
            "sfzh": number,
            "cardno": f"{card}{patid:012d}",
            "cardtype": card,
            "mzbm": "01" if patid % 12 else f"{2 + patid // 12 % 57:02d}",
            "lxdz": f"示范市虚构路{patid % 997 + 1}号",
            "lxdh": None if patid % 50 == 0 else f"100{patid % 100_000_000:08d}",  # no number begins so
        }

    def follower(self, patid: int) -> dict[str, object] | None:
        """A row of xt_brwx, for most."""
        if patid % 20 == 0:
            return None
        return {"brid": patid, "openId": f"o{hashlib.sha256(f'{patid}'.encode()).hexdigest()[:27]}"}

    def health_card(self, row: int, patient: dict[str, object]) -> dict[str, object]:
        """A row of xt_brxx: the static QR text is 64 hex digits and `:1`."""
        digest = hashlib.sha256(f"{self._random.random()}/{row}".encode()).hexdigest()
        return {
            "id": row,
            "brid": patient["patid"],
            "xm": patient["hzxm"],
            "sfzh": patient["sfzh"],
            "healthCardId": digest[:32].upper(),
            "qrCodeText": f"{digest.upper()}:1",
        }

    def _name(self) -> str:
        random = self._random.random
        if random() < 0.004:
            return _LONG_NAMES[int(random() * len(_LONG_NAMES))]
        # Squared: the first surnames are the frequent ones.
        name = _SURNAMES[int(random() ** 2 * len(_SURNAMES))] + _GIVEN[int(random() * len(_GIVEN))]
        return name + _GIVEN[int(random() * len(_GIVEN))] if random() < 0.82 else name

    def _number(self, card: str, birth: date, male: bool, flaw: str | None) -> str | None:
        random = self._random.random
        if flaw == "missing_id":
            return None if random() < 0.7 else ""
        if flaw == "placeholder_id":
            return PLACEHOLDER_IDS[int(random() * len(PLACEHOLDER_IDS))]
        if card == "HZ":
            return f"E{int(10_000_000 + random() * 89_999_999)}"
        if card == "GA":
            return f"H{int(10_000_000 + random() * 89_999_999)}"
        if card == "TB":
            return f"{int(10_000_000 + random() * 89_999_999)}"
        if card == "CS":
            return f"T{int(100_000_000 + random() * 899_999_999)}"
        if card == HEALTH_CARD and random() < 0.02:
            return None  # the platform knows who holds the card: a HIS need not
        region = REGIONS[int(random() * len(REGIONS))]
        sequence = 2 * int(random() * 499) + (1 if male else 2)
        if flaw == "fifteen_digits":
            return f"{region}{birth:%y%m%d}{sequence:03d}"
        first = f"{region}{birth:%Y%m%d}{sequence:03d}"
        check = check_digit(first)
        if flaw == "lower_case_x":
            while check != "X":
                sequence = sequence % 997 + 2
                first = first[:14] + f"{sequence:03d}"
                check = check_digit(first)
            return first + "x"
        if flaw == "bad_checksum":
            return first + _CHECKS[(_CHECKS.index(check) + 1 + int(random() * 10)) % 11]
        return (first + check).translate(_FULL_WIDTH) if flaw == "full_width_id" else first + check
