"""Identity: whether a person can be one (核身). The platform asks the police's register; this looks at the number.

A resident ID (GB 11643) has 18 characters: a region, a date of birth, a number that is odd for men, a check digit; 15
digits before 1999. A name consists of Chinese characters. Who has been registered keeps his name.
"""

import re
from datetime import date
from typing import Final

from platform_sandbox.refusal import Refusal

RESIDENT_ID: Final = "01"
_SHAPE: Final = re.compile(r"[1-9]\d{5}(\d{8})\d{2}(\d)[\dX]", re.ASCII)
_FORMER: Final = re.compile(r"[1-9]\d{5}(\d{6})\d{2}(\d)", re.ASCII)
_NAME: Final = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U000323af]+(·[㐀-䶿一-鿿豈-﫿\U00020000-\U000323af]+)*")
_WEIGHTS: Final = [2 ** (17 - at) % 11 for at in range(17)]


def _check_digit(number: str) -> str:
    return "10X98765432"[sum(int(each) * weight for each, weight in zip(number, _WEIGHTS, strict=False)) % 11]


def check_resident_id(number: str) -> tuple[str, str]:
    """Birthday as yyyy-MM-dd and gender of a resident ID: -10026 for another shape, -10027 for one that cannot be."""
    found = _SHAPE.fullmatch(number)
    born, digit = (found[1], found[2]) if found else ("", "")
    if found is None:
        former = _FORMER.fullmatch(number)
        if former is None:
            raise Refusal(-10026, "idNumber")
        born, digit = f"19{former[1]}", former[2]
    elif _check_digit(number) != number[17]:
        raise Refusal(-10027, "idNumber")
    try:
        birthday = date(int(born[:4]), int(born[4:6]), int(born[6:])).isoformat()
    except ValueError:
        raise Refusal(-10027, "idNumber") from None
    return birthday, "男" if int(digit) % 2 else "女"


def verify(name: str, gender: str, birthday: str, id_type: str, id_number: str) -> None:
    """核身: 10015 where name, gender and birthday cannot be this number's. Of other documents nothing is known."""
    if id_type != RESIDENT_ID:
        return
    if (birthday, gender) != check_resident_id(id_number):
        raise Refusal(10015)
    if not 2 <= len(name) <= 30 or not _NAME.fullmatch(name):
        raise Refusal(10015)
