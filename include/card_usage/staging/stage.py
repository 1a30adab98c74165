"""Stage: rows of one feed and window from the HIS into the ledger, normalized, judged and sealed. Constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from json import JSONEncoder
from json.encoder import encode_basestring
from time import perf_counter
from typing import Any, Final, Literal, NamedTuple

from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Keyring, Sealed
from card_usage.events import CODE_TABLES, PATIENT_FIELDS, CardUse, Finding, SourceRow, event_key, maker, request_id
from card_usage.gc_tuning import collected_every, collection_paused
from card_usage.ledger.database import Ledger
from card_usage.ledger.scope import BACKFILL, LIVE
from card_usage.staging import unchanged_hours
from card_usage.staging.intake import Draft, record_window, take_in
from card_usage.staging.stretches import Stretch, fingerprint, stretches, text
from card_usage.standard import rules
from card_usage.standard.code_tables import Aliases, CodeTable
from card_usage.standard.normalize import Codes, Normalizer
from card_usage.windows import HOUR, Window

# Widths of the ledger's columns; the event key covers the whole of a longer id.
_SOURCE_ID: Final = 128
_DEPARTMENT_NAME: Final = 128
_SWEPT: Final = 20  # stretches between two searches for cycles

_new_draft: Final = maker(Draft)


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """What staging one feed and window came to, in rows. `quarantined` counts among new and changed ones.

    `status`: closed, or provisional while the replica has not provably passed the window's end.
    """

    feed: str
    window: str
    status: str
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


class _Alike(NamedTuple):
    """What rows with the same codes have in common: the standard codes, those of them that are sent, as the digest has
    them, which of the patient fields are sent, and a quick way to see that the rules find nothing."""

    codes: Codes
    department_name: str | None
    spotless: Callable[[CardUse], bool]
    sent: str
    sends_number: bool
    sends_name: bool
    sends_qr: bool


class Drafter:
    """Turns source rows of one hospital and feed into drafts for the ledger.

    Remembers what rows with the same codes have in common, so it lives as long as tables and aliases: one a task.
    """

    def __init__(
        self, hospital: Hospital, feed: str, tables: Mapping[str, CodeTable], aliases: Aliases, keyring: Keyring
    ) -> None:
        self._normalizer = Normalizer(tables, aliases, upgrade_15_digit_ids=hospital.normalize.upgrade_15_digit_ids)
        self._hospital = hospital
        self._feed = feed
        self._keyring = keyring
        self._profile = hospital.platform.profile
        self._format = hospital.platform.department_format
        self._alike: dict[tuple[object, ...], _Alike] = {}

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
        alike = self._alike.get(row[2:8]) or self._look_up(row)
        use, found = self._normalizer.with_codes(row, alike.codes)
        moment = use.occurred_at
        findings: tuple[Finding, ...] = ()
        status: Literal["ready", "quarantined", "voided"] = "ready"
        if row.voided:
            status = "voided"
        elif moment is None or not window.start <= moment < window.end or not alike.spotless(use):
            findings = rules.check(
                use,
                profile=self._profile,
                window=window,
                department_format=self._format,
                department_name=alike.codes.department_name,
                found=found,
                every_code=self._hospital.normalize.quarantine_every_unknown_code,
            )
            if any(one.severity == "critical" for one in findings):
                status = "quarantined"
        source_id = str(row.source_id).strip()
        key = event_key(self._hospital.id, self._feed, source_id)
        digest = self._keyring.digest(_content(use, alike, findings))
        return _new_draft(
            (
                key,
                source_id[:_SOURCE_ID],
                moment.date() if moment else window.day,
                use,
                alike.department_name,
                status,
                digest,
                request_id(key, digest, 0),
                findings,
                self._seal(row, use, status, key),
            )
        )

    def _seal(self, row: SourceRow, use: CardUse, status: str, key: str) -> Callable[[], Sealed | None]:
        """Seals what has to be kept of the patient until the event is settled."""
        if status == "voided":
            return _nothing
        if status == "quarantined":
            # All of the row, so that it can be normalized again once the mapping is mended.
            kept = _encode(list(map(_writable, row)))
        else:
            number, name, qr = _quoted(use.id_number), _quoted(use.name), _quoted(use.qr_code_text)
            kept = f'{{"idCardNumber": {number}, "name": {name}, "qrCodeText": {qr}}}'
        return partial(self._keyring.seal, kept.encode(), bound_to=key.encode())

    def _look_up(self, row: SourceRow) -> _Alike:
        """What is said of all rows with these codes, remembered as long as the normalizer remembers the codes."""
        codes = self._normalizer.codes(row)
        of_tables = (codes.scene, codes.department, codes.card_type, codes.channel, codes.cost_type)
        use = CardUse(None, *of_tables, None, None, None)
        spotless = None
        if not codes.found:
            spotless = rules.spotless(
                use,
                profile=self._profile,
                department_format=self._format,
                department_name=codes.department_name,
            )
        sent = rules.required_fields(use, self._profile)
        values = dict(zip(CODE_TABLES, of_tables, strict=True))
        if self._format == "his_name":
            values["department"] = codes.department_name
        coded = [(value if table in sent else "") or "" for table, value in values.items()]
        alike = _Alike(
            codes,
            codes.department_name and codes.department_name[:_DEPARTMENT_NAME],
            spotless or _never,
            "\x1f".join(coded),
            *(field in sent for field in PATIENT_FIELDS),
        )
        if self._normalizer.remembers(row):
            self._alike[row[2:8]] = alike
        return alike


def _content(use: CardUse, alike: _Alike, findings: Iterable[Finding]) -> str:
    """The text that the digest covers: what would be sent, and what stands against sending it.

    Only sent fields count: a request id must not change because a column changed that the platform never sees.
    """
    number = use.id_number if alike.sends_number else ""
    name = use.name if alike.sends_name else ""
    qr = use.qr_code_text if alike.sends_qr else ""
    content = f"{_said(use.occurred_at)}\x1f{alike.sent}\x1f{number or ''}\x1f{name or ''}\x1f{qr or ''}"
    for one in findings:
        if one.severity == "critical":
            content += f"\x1f!{one.rule} {one.code or ''}"
    return content


@lru_cache(maxsize=1_000)
def _said(moment: datetime | None) -> str:
    """Rows come in the order of time: at a busy hospital the next ones say the same."""
    return str(moment or "")


def _never(_: CardUse) -> bool:
    return False


_encode: Final = JSONEncoder(ensure_ascii=False, default=lambda value: _as_text(value)).encode


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def _nothing() -> None:
    return None


def _writable(value: Any) -> Any:
    """The same without what UTF-8 cannot write."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value


def _as_text(value: object) -> str:
    """What JSON does not know, as text that normalization reads again."""
    if isinstance(value, bytes):
        return value.decode("gb18030", "ignore")
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


class _Intake:
    """One feed's window on its way into the ledger, hours that are as they were when last staged passed over."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        hospital: str,
        feed: str,
        window: Window,
        drafter: Drafter,
        said_by: str,
        lane: int,
        now: datetime,
        status: Literal["closed", "provisional"],
    ) -> None:
        self._status: Literal["closed", "provisional"] = status
        self._ledger, self._hospital, self._feed, self._window = ledger, hospital, feed, window
        self._drafter, self._said_by, self._lane, self._now = drafter, said_by, lane, now
        self._counts: Counter[str] = Counter()
        with ledger.read() as connection:
            self._remembered = unchanged_hours.remembered(connection, hospital, feed, window)
        self._seen: set[unchanged_hours.Part] = set()
        self._passed: dict[unchanged_hours.Part, str] = {}

    def take(self, found: Iterable[Stretch], at_once: int) -> Counter[str]:
        """Take everything in, `at_once` rows a transaction, and note the window."""
        # Databases write without holding Python up: meanwhile the next rows are read and drafted.
        with collection_paused(), ThreadPoolExecutor(1, thread_name_prefix="intake") as thread:
            writing: Future[Counter[str]] | None = None
            for batch in self._batches(collected_every(found, every=_SWEPT), at_once):
                drafts = [[self._drafter.draft(row, self._window) for row in one.rows] for one, _ in batch]
                if writing is not None:
                    self._counts += writing.result()
                writing = thread.submit(self._write, batch, drafts)
                del batch, drafts  # else they would live on beside the next ones
            if writing is not None:
                self._counts += writing.result()
        self._end()
        return self._counts

    def _batches(self, found: Iterable[Stretch], at_once: int) -> Iterator[list[tuple[Stretch, str | None]]]:
        """Stretches that have to be looked at, each with its digest (None: nothing to remember it by)."""
        batch: list[tuple[Stretch, str | None]] = []
        rows = 0
        for one in found:
            digest = None
            if one.hour is not None:
                part = (one.hour, one.part)
                self._seen.add(part)
                said = text(one.rows)
                digest = said and self._ledger.keyring.digest(f"{self._said_by}{said}")
                if digest is not None and self._remembered.get(part) == digest:
                    self._passed[part] = digest
                    self._counts.update(read=len(one.rows), unchanged=len(one.rows))
                    continue
            batch.append((one, digest))
            rows += len(one.rows)
            if rows >= at_once:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _write(self, batch: list[tuple[Stretch, str | None]], drafts: list[list[Draft]]) -> Counter[str]:
        """One transaction: rows, and the digests of stretches that the ledger now holds row for row."""
        with self._ledger.write() as connection:
            every = list(chain.from_iterable(drafts))
            taken = take_in(connection, self._hospital, self._feed, every, lane=self._lane, now=self._now)
            digests = {
                (one.hour, one.part): digest
                for (one, digest), of in zip(batch, drafts, strict=True)
                if one.hour is not None and digest is not None and _held(of, one.hour, taken.differing)
            }
            others = {one.hour for one, _ in batch if one.hour and (one.hour, one.part) not in digests}
            unchanged_hours.forget(connection, self._hospital, self._feed, others)
            unchanged_hours.remember(connection, self._hospital, self._feed, digests)
        return taken.counts

    def _end(self) -> None:
        """Note the window, and forget hours that the HIS no longer has or that another run has changed meanwhile."""
        with self._ledger.write() as connection:
            unchanged_hours.lock(connection, self._hospital, self._feed)
            by_now = unchanged_hours.remembered(connection, self._hospital, self._feed, self._window)
            stale = {hour for (hour, part), digest in self._passed.items() if by_now.get((hour, part)) != digest}
            unchanged_hours.forget(
                connection, self._hospital, self._feed, stale | {hour for hour, _ in by_now.keys() - self._seen}
            )
            unchanged_hours.tidy(connection, self._hospital, self._feed, self._window.start)
            record_window(
                connection,
                hospital=self._hospital,
                feed=self._feed,
                start=self._window.start,
                end=self._window.end,
                status=self._status,
                source_rows=self._counts["read"],
                repeated_rows=self._counts["duplicate"],
                now=self._now,
            )


def _held(drafts: list[Draft], hour: datetime, differing: set[str]) -> bool:
    """Whether the ledger holds these rows as they are, under the hour that the HIS named."""
    end = hour + HOUR
    for draft in drafts:
        at = draft.card_use.occurred_at
        if at is None or not hour <= at < end or draft.key in differing:
            return False
    return True


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
    passed: bool = True,
) -> Staged:
    """Bring a feed's rows of one window into the ledger, a transaction a batch. Repeating it changes nothing.

    `passed`: whether the replica was known to be past the window's end before the first row was read.
    """
    status: Literal["closed", "provisional"] = "closed" if passed and window.ended_by(now) else "provisional"
    began = perf_counter()
    intake = _Intake(
        ledger=ledger,
        hospital=hospital.id,
        feed=feed,
        window=window,
        drafter=Drafter(hospital, feed, tables, aliases, ledger.keyring),
        said_by=fingerprint(hospital, tables, aliases),
        lane=BACKFILL if backfill else LIVE,
        now=now,
        status=status,
    )
    counts = intake.take(stretches(batches), hospital.his.fetch_size)
    names = ("read", "new", "unchanged", "changed", "voided", "marked", "duplicate", "quarantined")
    return Staged(
        feed=feed,
        window=str(window),
        status=status,
        seconds=round(perf_counter() - began, 3),
        **{name: counts[name] for name in names},
    )
