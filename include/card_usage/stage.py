"""Stage: rows of one feed and window from the HIS into the ledger, normalized, judged and sealed. Constant memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Final

from card_usage import rules
from card_usage.codes import Aliases, CodeTable
from card_usage.events import FIELDS, CardUse, Finding, SourceRow, event_key, request_id
from card_usage.hospitals import Hospital
from card_usage.keyring import Keyring, Sealed
from card_usage.ledger.database import Ledger
from card_usage.ledger.delivery import BACKFILL, LIVE
from card_usage.ledger.intake import Draft, record_window, take_in
from card_usage.normalize import Normalizer, department_name
from card_usage.windows import Window

# Widths of the ledger's columns; the event key covers the whole of a longer id.
_SOURCE_ID: Final = 128
_DEPARTMENT_NAME: Final = 128
_SENT: Final = tuple(field for field in FIELDS if field != "occurred_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """What staging one feed and window came to, in rows. `quarantined` counts among new and changed ones."""

    feed: str
    window: str
    read: int
    new: int
    unchanged: int
    changed: int
    voided: int
    marked: int
    duplicate: int
    quarantined: int
    seconds: float

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return asdict(self)


class Drafter:
    """Turns source rows of one hospital and feed into drafts for the ledger."""

    def __init__(
        self, hospital: Hospital, feed: str, tables: Mapping[str, CodeTable], aliases: Aliases, keyring: Keyring
    ) -> None:
        self._normalizer = Normalizer(tables, aliases, upgrade_15_digit_ids=hospital.normalize.upgrade_15_digit_ids)
        self._hospital = hospital
        self._feed = feed
        self._keyring = keyring
        self._profile = hospital.platform.profile
        self._format = hospital.platform.department_format

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
        use, found = self._normalizer.card_use(row)
        local_name = department_name(row.department_name)
        findings: tuple[Finding, ...] = ()
        status = "voided"
        if not row.voided:
            findings = rules.check(
                use,
                profile=self._profile,
                window=window,
                department_format=self._format,
                department_name=local_name,
                found=found,
                every_code=self._hospital.normalize.quarantine_every_unknown_code,
            )
            status = "quarantined" if any(one.severity == "critical" for one in findings) else "ready"
        key = event_key(self._hospital.id, self._feed, str(row.source_id).strip())
        digest = self._keyring.digest(self._content(use, local_name, findings))

        if status == "quarantined":
            row = SourceRow._make(map(_writable, row))

        def seal() -> Sealed | None:
            if status == "voided":
                return None
            kept: object = (
                # All of the row, so that it can be normalized again once the mapping is mended.
                list(row)
                if status == "quarantined"
                else {"idCardNumber": use.id_number, "name": use.name, "qrCodeText": use.qr_code_text}
            )
            plain = json.dumps(kept, ensure_ascii=False, default=_as_text).encode()
            return self._keyring.seal(plain, bound_to=key.encode())

        return Draft(
            key=key,
            source_id=str(row.source_id).strip()[:_SOURCE_ID],
            day=use.occurred_at.date() if use.occurred_at else window.day,
            card_use=use,
            department_name=local_name[:_DEPARTMENT_NAME] if local_name else None,
            status=status,  # type: ignore[arg-type]
            digest=digest,
            request_id=request_id(key, digest, 0),
            findings=findings,
            seal=seal,
        )

    def _content(self, use: CardUse, local_name: str | None, findings: Iterable[Finding]) -> str:
        """The text that the digest covers: what would be sent, and what stands against sending it.

        Only sent fields count: a request id must not change because a column changed that the platform never sees.
        """
        sent = rules.required_fields(use, self._profile)
        department = local_name if self._format == "his_name" else use.department
        parts = [use.occurred_at.isoformat(" ", "seconds") if use.occurred_at else ""]
        for field in _SENT:
            value = department if field == "department" else getattr(use, field)
            parts.append(value if field in sent and value else "")
        parts += [f"!{one.rule} {one.code or ''}" for one in findings if one.severity == "critical"]
        return "\x1f".join(parts)


def _writable(value: Any) -> Any:
    """The same without what UTF-8 cannot write."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value


def _as_text(value: object) -> str:
    """What JSON does not know, as text that normalization reads again."""
    if isinstance(value, bytes):
        return value.decode("gb18030", "ignore")
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def stage(
    batches: Iterable[list[SourceRow]],
    *,
    hospital: Hospital,
    feed: str,
    window: Window,
    ledger: Ledger,
    tables: Mapping[str, CodeTable],
    aliases: Aliases,
    backfill: bool,
    now: datetime,
) -> Staged:
    """Bring a feed's rows of one window into the ledger, a transaction a batch. Repeating it changes nothing."""
    drafter = Drafter(hospital, feed, tables, aliases, ledger.keyring)
    counts: Counter[str] = Counter()
    began = perf_counter()
    for batch in batches:
        drafts = [drafter.draft(row, window) for row in batch]
        with ledger.write() as connection:
            counts += take_in(connection, hospital.id, feed, drafts, lane=BACKFILL if backfill else LIVE, now=now)
    with ledger.write() as connection:
        record_window(
            connection,
            hospital=hospital.id,
            feed=feed,
            start=window.start,
            end=window.end,
            status="closed" if window.ended_by(now) else "provisional",
            source_rows=counts["read"],
            now=now,
        )
    names = ("read", "new", "unchanged", "changed", "voided", "marked", "duplicate", "quarantined")
    return Staged(
        feed=feed,
        window=str(window),
        seconds=round(perf_counter() - began, 3),
        **{name: counts[name] for name in names},
    )
