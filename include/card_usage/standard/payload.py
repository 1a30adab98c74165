"""Payload: the parameters of reportHISData for one event (document 3.2.7)."""

from collections.abc import Mapping

from card_usage.events import FIELDS, CardUse
from card_usage.standard.code_tables import CodeTable
from card_usage.standard.rule_check import required_fields


def payload(
    card_use: CardUse,
    hospital_id: str,
    profile: str,
    department_format: str,
    tables: Mapping[str, CodeTable],
    department_name: str | None = None,
) -> dict[str, str]:
    """`req` of reportHISData (document 3.2.7): flat text by wire name, required fields only, absent ones left out.

    `department_format`: the standard code, the standard name, or the HIS's own name (`department_name`).
    """
    required = required_fields(card_use, profile)
    sent: dict[str, str] = {"hospitalId": hospital_id}
    if profile == "current":
        sent["hospitalCode"] = hospital_id
    for field, wire in FIELDS.items():
        if field not in required:
            continue
        value = getattr(card_use, field)
        if field == "occurred_at" and value is not None:
            value = value.isoformat(" ", "seconds")
        elif field == "department" and department_format == "his_name":
            value = department_name
        elif field == "department" and department_format == "name" and value is not None:
            value = tables["department"].names[value]
        if value:
            sent[wire] = value
    return sent
