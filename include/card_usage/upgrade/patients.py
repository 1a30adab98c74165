"""Patients: a row of a hospital's list as the patient of a batch (document 3.2.9), and what is wrong with it.

What the list says in its own way (1 for 男, 汉, 1990/3/7) becomes what the document asks for. Nothing is guessed:
birthday and gender come from a resident ID, which has both; a nation that is not known is 未知, as the document says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from card_usage.interfaces.messages import PatientToRegister
from card_usage.source.patients import SourcePatient
from card_usage.standard import id_numbers, normalize
from card_usage.standard.characters import as_text
from card_usage.standard.code_tables import CodeTable, fold

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("姓名", "name"),
    "gender": ("性别", "gender"),
    "nation": ("民族", "nation"),
    "birthday": ("出生日期", "出生年月日", "birthday"),
    "id_type": ("证件类型", "idType"),
    "id_number": ("证件号码", "身份证号", "idNumber"),
    "address": ("地址", "address"),
    "phone1": ("联系电话", "联系方式1", "手机号", "phone1"),
    "phone2": ("联系电话2", "联系方式2", "phone2"),
    "patid": ("院内ID", "院内 ID", "患者ID", "patid"),
    "open_id": ("openId", "openid"),
}
"""Field -> the heads that its column may have."""
REQUIRED: Final = ("name", "id_number", "phone1", "patid", "open_id")
"""Fields without whose column there is no list of patients."""

UNKNOWN_NATION: Final = "未知"
NATIONS: Final = (
    *("汉族", "蒙古族", "回族", "藏族", "维吾尔族", "苗族", "彝族", "壮族", "布依族", "朝鲜族", "满族", "侗族", "瑶族"),
    *("白族", "土家族", "哈尼族", "哈萨克族", "傣族", "黎族", "傈僳族", "佤族", "畲族", "高山族", "拉祜族", "水族"),
    *("东乡族", "纳西族", "景颇族", "柯尔克孜族", "土族", "达斡尔族", "仫佬族", "羌族", "布朗族", "撒拉族", "毛南族"),
    *("仡佬族", "锡伯族", "阿昌族", "普米族", "塔吉克族", "怒族", "乌孜别克族", "俄罗斯族", "鄂温克族", "德昂族"),
    *("保安族", "裕固族", "京族", "塔塔尔族", "独龙族", "鄂伦春族", "赫哲族", "门巴族", "珞巴族", "基诺族"),
)
"""GB/T 3304 in the order of its codes, 01 to 56."""
_MEN, _WOMEN = {"男", "男性", "1", "m", "male"}, {"女", "女性", "2", "f", "female"}
_DATE: Final = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[ T].*)?", re.ASCII)
_PHONE: Final = re.compile(r"\+?\d{7,20}", re.ASCII)


_NO_ALIASES: Final[Mapping[str, str]] = {}
_NO_DOCUMENT: Final = frozenset({"09", "10", "11"})
"""Insurance card, patient card, health card (3.3.2): presented, but no document that a number such as this is of."""


class Batched(NamedTuple):
    """What all patients of a hospital's batches have: the offline wechatCode, and where the message leads (3.2.9)."""

    wechat_code: str
    wechat_url: str


def patient(
    row: Mapping[str, str], batched: Batched, card_types: CodeTable, aliases: Mapping[str, str] = _NO_ALIASES
) -> PatientToRegister:
    """The patient of a row, which has a text for every field of COLUMNS. Validation tells what is wrong with him.

    `aliases`: what the hospital's own codes of card types mean.
    """
    number = re.sub(r"\s", "", fold(row["id_number"])).upper()
    id_type = _id_type(fold(row["id_type"]), number, card_types, aliases)
    resident = id_type == id_numbers.RESIDENT_ID and id_numbers.is_resident_id(number)
    return PatientToRegister(
        wechat_code=batched.wechat_code,
        name=fold(row["name"]),
        gender=_gender_of(number) if resident else _gender(fold(row["gender"])),
        nation=nation(fold(row["nation"])),
        birthday=_birthday_of(number) if resident else _birthday(fold(row["birthday"])),
        id_number=number,
        id_type=id_type,
        address=fold(row["address"]),
        phone1=_phone(row["phone1"]),
        phone2=_phone(row["phone2"]),
        patid=fold(row["patid"]),
        open_id=row["open_id"].strip(),
        wechat_url=batched.wechat_url,
    )


def of_source(
    row: SourcePatient, batched: Batched, card_types: CodeTable, aliases: Mapping[str, str]
) -> PatientToRegister:
    """The patient of a row of the HIS. What only looks like a name or a number (无名氏, 测试, 000000) is none."""
    texts = {field: as_text(getattr(row, field)) for field in COLUMNS if field != "patid"}
    texts["name"] = normalize.name(row.name) or ""
    texts["id_number"] = normalize.id_number(row.id_number) or ""
    texts["patid"] = as_text(row.source_id)
    return patient(texts, batched, card_types, aliases)


def nation(text: str) -> str:
    """A nation by its code or name (GB/T 3304), with or without 族; 未知 for anything else."""
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= len(NATIONS) and len(text) <= 2:
        return NATIONS[int(text) - 1]
    for name in (text, f"{text}族"):
        if name in NATIONS:
            return name
    return UNKNOWN_NATION


def _id_type(text: str, number: str, card_types: CodeTable, aliases: Mapping[str, str]) -> str:
    """The type of the document with this number; a card of the hospital or of the insurance says nothing of it."""
    standard = card_types.standard(aliases, text, text) if text else ""
    if not text or standard in _NO_DOCUMENT:
        return id_numbers.RESIDENT_ID if id_numbers.has_resident_shape(number) else standard or ""
    return standard or text


def _gender(text: str) -> str:
    lower = text.lower()
    return "男" if lower in _MEN else "女" if lower in _WOMEN else text


def _gender_of(number: str) -> str:
    return "男" if int(number[16 if len(number) == 18 else 14]) % 2 else "女"


def _birthday_of(number: str) -> str:
    born = number[6:14] if len(number) == 18 else f"19{number[6:12]}"
    return f"{born[:4]}-{born[4:6]}-{born[6:]}"


def _birthday(text: str) -> str:
    """yyyy-MM-dd of the usual ways to write a date; as it is if it is none."""
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())).isoformat() if found else text
    except ValueError:
        return text


def _phone(text: str) -> str:
    """Digits alone; what is no telephone number is none."""
    digits = re.sub(r"[\s\-()（）]", "", fold(text)).removeprefix("+86")
    return digits if _PHONE.fullmatch(digits) else ""
