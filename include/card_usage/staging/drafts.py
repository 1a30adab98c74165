"""Drafts: a row of the HIS in standard form, judged by the rules, as the ledger is to hold it; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date, datetime
from functools import lru_cache, partial
from itertools import combinations
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Any, Final, Literal, NamedTuple

from card_usage.config.day_keys import DayKey, HospitalKeys
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Sealed
from card_usage.events import (
    CODE_TABLES,
    OPTIONAL_FIELDS,
    PATIENT_FIELDS,
    CardUse,
    Finding,
    SourceRow,
    event_key,
    maker,
)
from card_usage.interfaces.messages import HEALTH_CARDS
from card_usage.ledger.patient_cards import CardMap
from card_usage.standard import misplaced, normalize, rule_check
from card_usage.standard.aliases import Aliases
from card_usage.standard.characters import as_text, source_key
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.standard.normalize import Codes, Normalizer
from card_usage.standard.payload import Form, template
from card_usage.standard.rules import MISPLACED, SUPPLIED
from card_usage.windows import Window

# Widths of the ledger's columns; the event key covers the whole of a longer id.
_SOURCE_ID: Final = 128
_DEPARTMENT_NAME: Final = 128


class Draft(NamedTuple):
    """One card use as staging sees it now.

    `digest` covers what would be sent, keyed by the data key `key_id`; `digest_by(id)` is the same by another key
    (None of None: the founding key), None if that key is no more. `was(id, digest)` tells whether a digest of before is
    one of the same content, when other optional fields were sent. `seal` makes the sealed part, called only if it has
    to be written; `form`: the mark of the settings by which it holds the body of a call, if it does.
    """

    key: str
    source_id: str
    day: date
    card_use: CardUse
    department_name: str | None
    status: Literal["ready", "quarantined", "voided"]
    digest: str
    key_id: str
    findings: tuple[Finding, ...]
    form: str | None
    seal: Callable[[], Sealed | None]
    digest_by: Callable[[str | None], str | None]
    was: Callable[[str | None, str], bool]


_new_draft: Final = maker(Draft)


class _Sent(NamedTuple):
    """What is sent of rows with the same codes, as the digest has it: the codes, and which of the patient fields."""

    codes: str
    number: bool
    name: bool
    qr: bool


class _Suspect(NamedTuple):
    """A local code or name that nobody knows: it may be a patient's. `shaped`: its looks alone say so."""

    finding: Finding
    text: str
    shaped: bool


class _CodeGroup(NamedTuple):
    """What rows with the same codes have in common: the standard codes, a quick test whether the rules find nothing,
    what is sent, the codes by field as the digest has them, the fields that must be sent, the template of the body
    of their calls (standard/payload.py) as JSON, and the texts among them that may be patient data."""

    codes: Codes
    department_name: str | None
    passes_all: Callable[[CardUse], bool]
    sent: _Sent
    values: Mapping[str, str | None]
    required: frozenset[str]
    body: str
    suspects: tuple[_Suspect, ...]


class Drafter:
    """Turns source rows of one hospital and feed into drafts for the ledger.

    Caches what rows with the same codes have in common, so it lives as long as tables and aliases: one a task.
    """

    def __init__(
        self, hospital: Hospital, feed: str, tables: Mapping[str, CodeTable], aliases: Aliases, keys: HospitalKeys
    ) -> None:
        self._normalizer = Normalizer(tables, aliases, upgrade_15_digit_ids=hospital.normalize.upgrade_15_digit_ids)
        self._hospital = hospital
        self._feed = feed
        self.keys = keys
        self._tables, self._aliases = tables, aliases
        self._keys_by_shape = hospital.normalize.keys_by_shape
        self._profile = hospital.platform.profile
        self._format = hospital.platform.department_format
        self._form = Form.of(hospital.platform, tables)
        self._groups: dict[tuple[object, ...], _CodeGroup] = {}
        self.cards: CardMap | None = None
        """Where a use with a health card and no QR text finds it."""

    def draft(self, row: SourceRow, window: Window) -> Draft:
        """One row in standard form, judged by the rules; a voided one is not judged, for it will not be sent.

        Text that no encoding can write (half of a surrogate pair, from bytes that a driver could not decode) is left
        out, so that the field counts as absent or damaged and the row is kept.
        """
        try:
            return self._draft(row, window)
        except UnicodeEncodeError:
            return self._draft(SourceRow._make(map(_writable, row)), window)

    def _draft(self, row: SourceRow, window: Window) -> Draft:
        group = self._groups.get(row[2:8]) or self._look_up(row)
        supplied = self._supplied(row, group.codes.card_type)
        if supplied is not None:
            row = row._replace(qr_code_text=supplied)
        use, unreadable = self._normalizer.with_codes(row, group.codes)
        moment = use.occurred_at
        source_id = source_key(row.source_id)
        key = event_key(self._hospital.id, self._feed, source_id)
        department_name = group.department_name
        patient: tuple[Finding, ...] = ()
        if group.suspects:
            patient = _misplaced(group.suspects, use)
            if MISPLACED["department"] in patient:
                department_name = None
        if misplaced.in_key(source_id, use, judge_shape=self._keys_by_shape):
            patient = (*patient, MISPLACED["source_id"])
            source_id = misplaced.masked_key(key)
        elif self._keys_by_shape and misplaced.may_name(source_id):
            source_id = misplaced.masked_key(key)
        findings: tuple[Finding, ...] = ()
        status: Literal["ready", "quarantined", "voided"] = "ready"
        if row.voided:
            status = "voided"
        elif patient or moment is None or not window.start <= moment < window.end or not group.passes_all(use):
            findings = rule_check.check(
                use,
                profile=self._profile,
                window=window,
                department_format=self._format,
                department_name=group.codes.department_name,
                unreadable=unreadable,
                every_code=self._hospital.normalize.quarantine_every_unknown_code,
                also_send=self._form.also_send,
            )
            if patient:
                fields = {finding.field for finding in patient}
                findings = (*patient, *(finding for finding in findings if finding.field not in fields))
            if any(finding.severity == "critical" for finding in findings):
                status = "quarantined"
        if supplied is not None and status == "ready":
            findings = (*findings, SUPPLIED)
        day = moment.date() if moment else window.day
        day_key = self.keys.current(day)
        content = _content(use, group.sent, findings)
        return _new_draft(
            (
                key,
                source_id[:_SOURCE_ID],
                day,
                use,
                department_name,
                status,
                day_key.digest(content),
                day_key.id,
                findings,
                self._form.mark if status == "ready" else None,
                self._seal(row, use, status, key, group, day_key),
                partial(self._digest_by, content),
                partial(self._was, use, group, findings),
            )
        )

    def _supplied(self, row: SourceRow, card_type: str | None) -> str | None:
        """The QR text of the card that is known of the patient, for a use that has none of its own and needs one."""
        if (
            self.cards is None
            or row.voided
            or card_type not in HEALTH_CARDS
            or normalize.qr_code_text(row.qr_code_text)
        ):
            return None
        number = normalize.id_number(row.id_number)
        return self.cards.qr_code_text(number) if number else None

    def _digest_by(self, content: str, key_id: str | None) -> str | None:
        return self.keys.digest_by(key_id, content)

    def _was(
        self, use: CardUse, group: _CodeGroup, findings: tuple[Finding, ...], key_id: str | None, digest: str
    ) -> bool:
        """Whether the digest covers the same content, with other optional fields sent than now.

        What was sent before anybody noticed patient data in another column has not changed for that.
        """
        findings = tuple(finding for finding in findings if finding not in MISPLACED.values())
        return self._covers(use, group.required, group.values, findings, key_id, digest)

    def _covers(
        self,
        use: CardUse,
        required: frozenset[str],
        values: Mapping[str, str | None],
        findings: tuple[Finding, ...],
        key_id: str | None,
        digest: str,
    ) -> bool:
        of_event = {**values, **{name: getattr(use, name) for name in PATIENT_FIELDS}}
        optional = [name for name in OPTIONAL_FIELDS if name not in required and of_event[name]]
        return any(
            self.keys.digest_by(key_id, _content(use, _sent(required | {*some}, values), findings)) == digest
            for count in range(len(optional) + 1)
            for some in combinations(optional, count)
        )

    def sent_as(self, use: CardUse, department_name: str | None, key_id: str | None, digest: str) -> bool:
        """Whether the digest of an event that was sent covers just this, whichever optional fields were sent."""
        required = rule_check.required_fields(use, self._profile)
        return self._covers(use, required, self._coded(use, department_name), (), key_id, digest)

    def codes_sent(self, use: CardUse, department_name: str | None) -> Mapping[str, str | None]:
        """The codes of an event that are sent, by field."""
        fields = rule_check.required_fields(use, self._profile) | self._form.also_send
        return {name: code for name, code in self._coded(use, department_name).items() if name in fields}

    def _coded(self, use: CardUse, department_name: str | None) -> dict[str, str | None]:
        """Codes by field, the department in the form in which it is sent."""
        values: dict[str, str | None] = {table: getattr(use, table) for table in CODE_TABLES}
        if self._format == "his_name":
            values["department"] = department_name
        return values

    def _seal(
        self, row: SourceRow, use: CardUse, status: str, key: str, group: _CodeGroup, day_key: DayKey
    ) -> Callable[[], Sealed | None]:
        """Seals what has to be kept until the event is settled: of the patient, and the rest of what is sent."""
        if status == "voided":
            return _no_seal
        if status == "quarantined":
            # All of the row, so that it can be normalized again once the mapping is mended.
            sealed = _encode(list(map(_writable, row)))
        else:
            number, name, qr = _quoted(use.id_number), _quoted(use.name), _quoted(use.qr_code_text)
            time = _time_text(use.occurred_at)
            patient = f'"idCardNumber": {number}, "name": {name}, "qrCodeText": {qr}'
            sealed = f'{{{patient}, "time": "{time}", "req": {group.body}}}'
        return partial(day_key.seal, sealed.encode(), bound_to=key.encode())

    def _look_up(self, row: SourceRow) -> _CodeGroup:
        """What applies to all rows with these codes, cached as long as the normalizer caches the codes."""
        codes = self._normalizer.codes(row)
        of_tables = (codes.scene, codes.department, codes.card_type, codes.channel, codes.cost_type)
        use = CardUse(None, *of_tables, None, None, None)
        passes_all = None
        if not codes.unmapped:
            passes_all = rule_check.passes_all(
                use,
                profile=self._profile,
                department_format=self._format,
                department_name=codes.department_name,
                also_send=self._form.also_send,
            )
        required = rule_check.required_fields(use, self._profile)
        values = self._coded(use, codes.department_name)
        department_name = codes.department_name and codes.department_name[:_DEPARTMENT_NAME]
        group = _CodeGroup(
            codes,
            department_name,
            passes_all or _fails,
            _sent(required | self._form.also_send, values),
            values,
            required,
            _encode(template(self._form, use, department_name)),
            tuple(self._suspects(row)),
        )
        if self._normalizer.is_cached(row):
            self._groups[row[2:8]] = group
        return group

    def _suspects(self, row: SourceRow) -> Iterator[_Suspect]:
        """Codes and names that stand in no table and no alias, for a person has said what those are."""
        local = {table: [getattr(row, table)] for table in CODE_TABLES}
        local["department"].append(row.department_name)
        for table, values in local.items():
            known = self._tables[table]
            for text in map(fold, map(as_text, filter(None, values))):
                if text not in self._aliases[table] and text not in known and text not in known.by_name:
                    yield _Suspect(MISPLACED[table], text, misplaced.by_shape(text))


def _misplaced(suspects: Iterable[_Suspect], use: CardUse) -> tuple[Finding, ...]:
    """What is found of columns that hold patient data, this row's patient or another: one finding a column."""
    found = [suspect.finding for suspect in suspects if suspect.shaped or misplaced.in_text(suspect.text, use)]
    return tuple(dict.fromkeys(found))


def _sent(fields: Set[str], values: Mapping[str, str | None]) -> _Sent:
    """What is sent of events with these codes (`values`, by field) where these fields are sent."""
    coded = [(value if table in fields else "") or "" for table, value in values.items()]
    return _Sent("\x1f".join(coded), "id_number" in fields, "name" in fields, "qr_code_text" in fields)


def _content(use: CardUse, sent: _Sent, findings: Iterable[Finding]) -> str:
    """The text that the digest covers: what would be sent, and what stands against sending it.

    Only sent fields count: an event has not changed because a column changed that the platform never sees.
    """
    number = use.id_number if sent.number else ""
    name = use.name if sent.name else ""
    qr = use.qr_code_text if sent.qr else ""
    content = f"{_time_text(use.occurred_at)}\x1f{sent.codes}\x1f{number or ''}\x1f{name or ''}\x1f{qr or ''}"
    for finding in findings:
        if finding.severity == "critical":
            content += f"\x1f!{finding.rule} {finding.code or ''}"
    return content


@lru_cache(maxsize=1_000)
def _time_text(moment: datetime | None) -> str:
    """Cached, for rows come in the order of time: at a busy hospital many share a second."""
    return str(moment or "")


def _fails(_: CardUse) -> bool:
    return False


_encode: Final = JSONEncoder(ensure_ascii=False, default=lambda value: _as_text(value)).encode


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def _no_seal() -> None:
    return None


def _writable(value: Any) -> Any:
    """The same without what UTF-8 cannot write."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value


def _as_text(value: object) -> str:
    """What JSON does not know, as text that normalization reads again."""
    if isinstance(value, bytes):
        return value.decode("gb18030", "ignore")
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
