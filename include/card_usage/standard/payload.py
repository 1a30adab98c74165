"""Payload: the parameters of reportHISData for one event (document 3.2.7), and the settings that they depend on.

Staging seals the parameters with the event, beside a short mark of the settings that made them (`Form.mark`). An event
that may have reached the platform is sent as it was sealed, whatever the settings are by then; another one that was
sealed under other settings is sealed again before it is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from typing import Final, Self

from card_usage.config.hospital import Platform
from card_usage.events import FIELDS, PATIENT_FIELDS, CardUse
from card_usage.standard.code_tables import CodeTable
from card_usage.standard.rule_check import sent_fields

_VERSION: Final = 2  # of the way from an event to its parameters
_TIME: Final = FIELDS["occurred_at"]
_OWN: Final = frozenset({_TIME, *(FIELDS[field] for field in PATIENT_FIELDS)})
_SPELLED: Final = ("department", "channel")
"""Fields whose code may be sent as its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The settings by which an event becomes parameters.

    `also_send`: fields that are sent where they are known, beyond the required ones. `names`: by field, standard code
    -> name, where names are sent. `mark` tells two forms apart, in 16 hexadecimal digits.
    """

    hospital_id: str
    sub_hospital_code: str
    profile: str
    department_format: str
    also_send: frozenset[str]
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mark: str

    @classmethod
    def of(cls, platform: Platform, tables: Mapping[str, CodeTable]) -> Self:
        """The form of a hospital's settings."""
        formats = {"department": platform.department_format, "channel": platform.channel_format}
        names = {name: tables[name].names for name in _SPELLED if formats[name] == "name"}
        settings: list[object] = [
            _VERSION,
            platform.hospital_id,
            platform.sub_hospital_code,
            platform.profile,
            formats,
            sorted(platform.sent_where_known),
            {name: sorted(table.items()) for name, table in names.items()},
        ]
        return cls(
            hospital_id=platform.hospital_id,
            sub_hospital_code=platform.sub_hospital_code,
            profile=platform.profile,
            department_format=platform.department_format,
            also_send=platform.sent_where_known,
            names=names,
            mark=sha256(dumps(settings, ensure_ascii=False).encode()).hexdigest()[:16],
        )

    @classmethod
    def of_0_2(cls, platform: Platform, tables: Mapping[str, CodeTable]) -> Self:
        """The form by which version 0.2.0 sent events under the same settings: it did not seal what it sent."""
        said = platform.model_fields_set
        known_then = {"also_send": (), "channel_format": "code", "sub_hospital_code": ""}
        if "department_format" not in said:
            known_then["department_format"] = "code"
        return cls.of(platform.model_copy(update=known_then), tables)


def template(form: Form, codes: CardUse, department_name: str | None) -> dict[str, str | None]:
    """What all events with these codes send, by wire name and in order; None: the event's own time or patient field."""
    fields = sent_fields(codes, form.profile, form.also_send)
    sent: dict[str, str | None] = {"hospitalId": form.hospital_id}
    if form.profile == "current":
        sent["hospitalCode"] = form.hospital_id
    if form.sub_hospital_code:
        sent["subHospitalCode"] = form.sub_hospital_code
    for name, wire in FIELDS.items():
        if name not in fields:
            continue
        if wire in _OWN:
            sent[wire] = None
            continue
        value = getattr(codes, name)
        if name == "department" and form.department_format == "his_name":
            value = department_name
        elif name in form.names and value is not None:
            value = form.names[name][value]
        if value:
            sent[wire] = value
    return sent


def filled(sent: Mapping[str, str | None], patient: Mapping[str, str | None], time: str | None) -> dict[str, str]:
    """`req` of reportHISData: flat text by wire name; fields that the event does not have are left out.

    `patient`: the patient fields by wire name. `time`: as the platform has it.
    """
    own = {**patient, _TIME: time}
    values = {wire: own[wire] if value is None else value for wire, value in sent.items()}
    return {wire: value for wire, value in values.items() if value}


def payload(form: Form, card_use: CardUse, department_name: str | None = None) -> dict[str, str]:
    """`req` of reportHISData (document 3.2.7): required fields and those of `form.also_send`, absent ones left out.

    The department as the form says: its standard code or name, or the HIS's own name (`department_name`).
    """
    patient = {FIELDS[name]: getattr(card_use, name) for name in PATIENT_FIELDS}
    moment = card_use.occurred_at
    time = None if moment is None else moment.isoformat(" ", "seconds")
    return filled(template(form, card_use, department_name), patient, time)
