"""A backlog in the ledger: synthetic card uses that are ready to be delivered, without a HIS behind them.

Promises: event `n` of a backlog is the same in every process, valid under the declared rules and unlike every other
one; it comes in as staged rows do (normalized, judged, sealed). What the platform must accept is known beforehand
(`Backlog.digests`), so that lost and doubled events can be told one by one.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path

from card_usage.config.day_keys import DayKeys
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.config.keyring import Keyring
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger, migrate, open_ledger
from card_usage.ledger.scope import LIVE
from card_usage.staging.coverage import record_window
from card_usage.staging.drafts import Drafter
from card_usage.staging.intake import take_in
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import CodeTable, load_tables
from card_usage.standard.id_numbers import check_digit
from card_usage.standard.payload import Form, payload
from card_usage.windows import day_window
from platform_sandbox.signing import canonical

HOSPITAL = "violence_hospital"
DAY = date(2026, 3, 2)
APP_ID, SECRET, HOSPITAL_ID = "demo-app-id", "demo-app-secret", "10086"
FEED = "registration"
BATCH = 5_000
_KEY = "test:" + "A" * 43 + "="

_FILE = """\
id = "{id}"
name = "压力测试医院"
[his]
connection = "no_his"
shape = "winning"
feeds = ["registration"]
[platform]
connection = "violence_platform"
hospital_id = "{hospital_id}"
concurrency = {concurrency}
call_timeout_seconds = {call_timeout}
"""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """So many events of one day of one hospital, whose file, ledger settings and reports live in `home`.

    `start`: number of the first event; backlogs whose numbers do not overlap fit into one ledger.
    """

    home: Path
    events: int
    ledger_url: str
    platform_url: str
    start: int = 0
    concurrency: int = 32
    call_timeout: float = 15

    @cached_property
    def environment(self) -> dict[str, str]:
        """What `python -m card_usage` reads."""
        platform = {"conn_type": "http", "host": self.platform_url, "login": APP_ID, "password": SECRET}
        return {
            "CARD_USAGE_LEDGER_URL": self.ledger_url,
            "CARD_USAGE_KEY": _KEY,
            "CARD_USAGE_KEY_FOLDER": str(self.home / "keys"),
            "CARD_USAGE_HOSPITALS": str(self.home / "hospitals"),
            "CARD_USAGE_REPORTS": str(self.home / "reports"),
            "AIRFLOW_CONN_VIOLENCE_PLATFORM": json.dumps(platform),
        }

    @cached_property
    def hospital(self) -> Hospital:
        """The hospital, its file written."""
        directory = self.home / "hospitals"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{HOSPITAL}.toml").write_text(
            _FILE.format(
                id=HOSPITAL, hospital_id=HOSPITAL_ID, concurrency=self.concurrency, call_timeout=self.call_timeout
            ),
            encoding="utf-8",
        )
        return load_hospital(directory, HOSPITAL)

    @cached_property
    def tables(self) -> Mapping[str, CodeTable]:
        """The standard code tables."""
        return load_tables(SHIPPED / "code_tables")

    @cached_property
    def drafter(self) -> Drafter:
        """As staging has it, for a hospital whose HIS speaks standard codes."""
        aliases = load_aliases(self.home / "code_aliases", HOSPITAL, self.tables)
        return Drafter(self.hospital, FEED, self.tables, aliases, self.day_keys.of(HOSPITAL))

    @cached_property
    def day_keys(self) -> DayKeys:
        """Those of the ledger; without one, they live as long as this does."""
        if not self.ledger_url:
            return DayKeys(self.keyring)
        ledger = self.open()
        ledger.close()
        return ledger.day_keys

    def open(self) -> Ledger:
        """The ledger, migrated."""
        migrate(self.ledger_url)
        return open_ledger(self.ledger_url, self.keyring)

    @cached_property
    def keyring(self) -> Keyring:
        """As `environment` has it."""
        return Keyring.parse(_KEY).with_folder(self.home / "keys")

    def fill(self) -> None:
        """Bring all events in. Filling twice adds nothing."""
        ledger = self.open()
        rows, window, now = self.rows(), day_window(DAY), datetime.now(UTC)
        try:
            while batch := list(islice(rows, BATCH)):
                drafts = [self.drafter.draft(row, window) for row in batch]
                assert all(draft.status == "ready" for draft in drafts), drafts[0].findings
                with ledger.write() as connection:
                    take_in(connection, HOSPITAL, FEED, drafts, lane=LIVE, now=now)
            with ledger.write() as connection:
                named = {"hospital": HOSPITAL, "feed": FEED, "start": window.start, "end": window.end}
                record_window(connection, **named, status="closed", source_rows=self.events, now=now)
        finally:
            ledger.close()

    def rows(self) -> Iterator[SourceRow]:
        """The events as a HIS would give them: two of three by ID card at a registration, one by QR code."""
        midnight = datetime.combine(DAY, time())
        for n in range(self.start, self.start + self.events):
            born = date(1950, 1, 1) + timedelta(days=n // 999)
            first_17 = f"110101{born:%Y%m%d}{n % 999 + 1:03d}"
            by_card = n % 3 != 0
            yield SourceRow(
                source_id=f"V{n:08d}",
                occurred_at=midnight + timedelta(seconds=(n - self.start) * 86_400 // self.events),
                scene="010101" if by_card else "0101051",
                department="0300" if by_card else None,
                department_name=None,
                card_type="01" if by_card else "11",
                channel="0100" if by_card else "0401",
                cost_type=None,
                id_number=first_17 + check_digit(first_17) if by_card else None,
                name="压测患者" if by_card else None,
                qr_code_text=None if by_card else f"{n:064x}:1",
                voided=0,
            )

    def requests(self) -> Iterator[dict[str, str]]:
        """`req` of each event, as reportHISData has to get it."""
        window = day_window(DAY)
        form = Form.of(self.hospital.platform, self.tables)
        for row in self.rows():
            use = self.drafter.draft(row, window).card_use
            yield payload(form, use)

    def digests(self) -> list[str]:
        """By event, the digest under which the sandbox keeps it once accepted."""
        key = SECRET.encode()
        return [hmac.digest(key, canonical(req).encode(), "sha256").hex()[:32] for req in self.requests()]
