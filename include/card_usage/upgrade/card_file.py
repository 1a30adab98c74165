"""Card file: cards that a hospital has on file, by document number or by its own id of the patient."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from card_usage.config.keyring import Keyring
from card_usage.errors import PatientListUnusable
from card_usage.files.delimited import dict_reader, read_text
from card_usage.ledger.patient_cards import Card, person_key, record_key
from card_usage.standard import id_numbers, normalize, qr_texts
from card_usage.standard.code_tables import fold

NUMBER: Final = ("证件号码", "身份证号", "idNumber")
PATID: Final = ("院内ID", "患者ID", "patid")
QR_TEXT: Final = ("二维码文本", "qrCodeText")
CARD_ID: Final = ("健康卡ID", "healthCardId")


def cards(path: Path, keyring: Keyring, hospital: str) -> Iterator[tuple[int, Card | str]]:
    """Line and card of each row, or what is wrong with it, without its content. Raises PatientListUnusable, OSError."""
    try:
        reader = dict_reader(read_text(path), [])
    except UnicodeDecodeError:
        raise PatientListUnusable(
            path=path.name, line=1, problem="its encoding is none of UTF-8, UTF-16, GB 18030"
        ) from None
    given = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}

    def head(names: tuple[str, ...]) -> str | None:
        return next((given[name.lower()] for name in names if name.lower() in given), None)

    number, patid, text, card_id = head(NUMBER), head(PATID), head(QR_TEXT), head(CARD_ID)
    if text is None or (number is None and patid is None):
        problem = f"no column {QR_TEXT[0]}, or neither {NUMBER[0]} nor {PATID[0]}"
        raise PatientListUnusable(path=path.name, line=1, problem=problem)
    try:
        for row in reader:
            of_number = normalize.id_number(row.get(number) if number else None, upgrade=True) or ""
            of_patid = fold((row.get(patid) if patid else None) or "")
            qr = normalize.qr_code_text(row.get(text)) or ""
            parsed = qr_texts.parsed(qr)
            if parsed is None or parsed.dynamic:
                yield reader.line_num, "the QR text is no static one (64 hex digits and :1)"
            elif id_numbers.is_resident_id(of_number):
                key = person_key(keyring, hospital, id_numbers.RESIDENT_ID, of_number)
                yield reader.line_num, Card(key, qr, fold((row.get(card_id) if card_id else None) or ""))
            elif of_patid:
                key = record_key(keyring, hospital, of_patid)
                yield reader.line_num, Card(key, qr, fold((row.get(card_id) if card_id else None) or ""))
            else:
                yield reader.line_num, "neither a valid resident ID nor the hospital's id of the patient"
    except csv.Error as error:
        raise PatientListUnusable(path=path.name, line=reader.line_num, problem=str(error)) from None
