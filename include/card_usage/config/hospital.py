"""Hospital: the model of a hospital's TOML file, hospitals/<id>.toml, validated when it is read. It holds no secrets.

A file names the HIS connection, its shape and feeds, the platform's connection, and what the hospital has agreed with
the platform (document 2.7.4 leaves some of it open, see docs/rules.md).
"""

from __future__ import annotations

import tomllib
from datetime import date, time
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from card_usage.config.alert_causes import CAUSES
from card_usage.config.calendar import Calendar
from card_usage.errors import BadHospitalFile, HospitalEnded, UnknownHospital
from card_usage.files.shipped import SHIPPED, names_in
from card_usage.windows import Window, day_window

SQL = SHIPPED / "sql"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Hours = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
"""A range of local time of day, end exclusive; it may span midnight: 23:30-02:00."""


class _Table(BaseModel):
    """A table of the file. Unknown keys are errors, so that a mistyped key is not replaced by its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Freshness(_Table):
    """How to find out up to which moment the replica is complete (source/freshness.py).

    `grace_minutes`: how far past a window's end the probe must be. `deadline_minutes` after the end the run continues
    without proof, as provisional.
    """

    probe: Literal["none", "heartbeat", "replication", "newest_row"] = "none"
    table: str = Field(default="", pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)?)?$")
    column: str = Field(default="", pattern=r"^([A-Za-z_]\w*)?$")
    grace_minutes: float = Field(default=5, ge=0, le=1440)
    deadline_minutes: float = Field(default=360, ge=0, le=10_080)

    @model_validator(mode="after")
    def _heartbeat_is_named(self) -> Freshness:
        named = bool(self.table and self.column)
        if (self.probe == "heartbeat") != named:
            raise ValueError("the probe 'heartbeat' needs table and column, and no other probe has them")
        return self


class His(_Table):
    """The HIS replica that card uses are read from."""

    connection: Name
    shape: Name
    feeds: tuple[Name, ...] = Field(min_length=1)
    fetch_size: int = Field(default=5000, ge=1, le=100_000)
    look_back_days: int = Field(default=3, ge=0, le=92)
    # The session on the replica (source/replica.py). The count of tries starts again after each row received.
    isolation: Literal["read committed", "snapshot"] = "read committed"
    lock_timeout_seconds: float = Field(default=30, ge=0.1, le=3600)
    query_timeout_seconds: int = Field(default=600, ge=1, le=86_400)
    tries: int = Field(default=5, ge=0, le=100)
    pause_seconds: float = Field(default=5, ge=0, le=60)
    # Limits of source/query_slots.py: parallel queries of all processes together, and hours in which none starts.
    max_parallel_queries: int = Field(default=2, ge=1, le=16)
    avoid_hours: tuple[Hours, ...] = ()
    # None: encrypted, and the certificate is checked where an authority is known; this machine aside (source/tls.py).
    tls: Literal["verified", "encrypted", "optional"] | None = None
    freshness: Freshness = Freshness()

    @model_validator(mode="after")
    def _sql_exists(self) -> His:
        shapes = names_in(SQL)
        if self.shape not in shapes:
            raise ValueError(f"shape '{self.shape}' has no folder in include/sql (there are: {', '.join(shapes)})")
        feeds = [name.removesuffix(".sql") for name in names_in(SQL / self.shape, "*.sql")]
        missing = [feed for feed in self.feeds if feed not in feeds]
        if missing:
            known = ", ".join(feeds)
            raise ValueError(f"shape '{self.shape}' has no feed {', '.join(missing)} (it has: {known})")
        if len(set(self.feeds)) != len(self.feeds):
            raise ValueError("a feed is listed twice")
        return self


OptionalField = Literal["department", "cost_type", "id_number", "name", "qr_code_text"]
"""Fields that the document lets an event go without; those of the patient among them."""


class Platform(_Table):
    """How to report to the platform, and how many calls a day. Rates are calls per second; 0: no limit of our own.

    `also_send`: fields that are sent where they are known, beyond those that a rule requires; by default the codes
    among them that the profile's document has. `channel_num`, `sub_hospital_code`: parameters channelNum and
    subHospitalCode of newer documents, left out while they are not set. docs/rules.md says where the document
    contradicts itself about the rest.
    `gateway`: host, or host:port, that may be called by plain http (config/platform_address.py).
    `rehearsal_connection`: the platform's test system or a sandbox; None: `<connection>_rehearsal`.
    """

    connection: Name
    rehearsal_connection: Name | None = None
    gateway: str = Field(default="", max_length=255, pattern=r"^[\w.:\[\]-]*$")
    hospital_id: str = Field(min_length=1, max_length=64)
    profile: Literal["v2.1", "current"] = "v2.1"
    department_format: Literal["code", "name", "his_name"] = "name"
    channel_format: Literal["code", "name"] = "code"
    also_send: tuple[OptionalField, ...] | None = None
    channel_num: int | None = Field(default=None, ge=0, le=999)
    sub_hospital_code: str = Field(default="", max_length=64, pattern=r"^\S*$")
    live: bool = True
    daily_quota: int = Field(default=100, ge=1)
    backfill_order: Literal["newest", "oldest"] = "newest"
    concurrency: int = Field(default=32, ge=1, le=1024)
    requests_per_second: float = Field(default=0, ge=0)
    app_requests_per_second: float = Field(default=0, ge=0)
    call_timeout_seconds: float = Field(default=15, gt=0, le=120)

    @property
    def sent_where_known(self) -> frozenset[str]:
        """Fields that are sent beyond the required ones, by name. V2.1 has a table of cost types and no parameter."""
        if self.also_send is not None:
            return frozenset(self.also_send)
        return frozenset({"department"} if self.profile == "v2.1" else {"department", "cost_type"})


class Normalize(_Table):
    """Options of normalization."""

    upgrade_15_digit_ids: bool = False
    # False: an unknown code in a field that is not sent (the department of a payment) does not quarantine the event.
    quarantine_every_unknown_code: bool = True
    # False: the HIS's serial numbers look like ID or mobile numbers, so a record's key is not judged by its shape.
    keys_by_shape: bool = True
    # True: a use with a health card and no QR text takes it from the cards that are known (docs/upgrade.md).
    cards_from_map: bool = False


class Gate(_Table):
    """Limits at which the quality gate warns about a window or holds it. Shares are of its events, 0 to 1.

    A share of 1 disables a limit. Drops, rises and shifts are relative to comparable earlier days (config/calendar.py);
    without such days they are not checked. See docs/quality.md.
    """

    warn_quarantined_share: float = Field(default=0.02, ge=0, le=1)
    hold_quarantined_share: float = Field(default=0.30, ge=0, le=1)
    warn_unmapped_share: float = Field(default=0.005, ge=0, le=1)
    warn_volume_drop: float = Field(default=0.4, gt=0, le=1)
    # Disabled by default: too few events do no harm, late ones are staged by the look-back.
    hold_volume_drop: float = Field(default=1.0, gt=0, le=1)
    # Holidays vary: New Year's Day has three times the visits of the first day of the Spring Festival.
    holiday_drop: float = Field(default=0.85, gt=0, le=1)
    warn_volume_rise: float = Field(default=0.6, gt=0)
    # Reports cannot be withdrawn: a day with two and a half times the usual volume is held for approval.
    hold_volume_rise: float = Field(default=1.5, gt=0)
    warn_share_shift: float = Field(default=0.10, gt=0, le=1)
    warn_health_card_drop: float = Field(default=0.10, gt=0, le=1)
    warn_doubled_share: float = Field(default=0.02, ge=0, le=1)
    hold_doubled_share: float = Field(default=0.30, ge=0, le=1)
    warn_midnight_share: float = Field(default=0.05, ge=0, le=1)
    warn_quiet_minutes: int = Field(default=120, ge=1)
    decide_within_hours: float = Field(default=20, gt=0, le=60)
    undecided: Literal["released", "clean", "rejected"] = "rejected"
    # None: one person decides.
    second_person_above: float | None = Field(default=None, ge=0, lt=1)

    @model_validator(mode="after")
    def _nobody_is_no_second_person(self) -> Gate:
        if self.second_person_above is not None and self.undecided != "rejected":
            raise ValueError(
                "second_person_above asks for two people, and undecided = "
                f'"{self.undecided}" for none: write undecided = "rejected"'
            )
        return self


class Route(_Table):
    """A notification channel (an Airflow connection, docs/alerts.md) and which incidents are sent to it."""

    channel: Name
    least: Literal["info", "warning", "critical"] = "warning"
    causes: tuple[Name, ...] = ()  # empty: all
    at_night: Literal["critical", "all", "nothing"] = "critical"
    digest: bool = True
    language: Literal["zh", "en"] | None = None

    @model_validator(mode="after")
    def _causes_exist(self) -> Route:
        if strange := sorted(set(self.causes) - CAUSES.keys()):
            raise ValueError(f"no cause {', '.join(strange)} (there are: {', '.join(CAUSES)})")
        return self


class Alerts(_Table):
    """Routes, quiet hours and thresholds of alerts. Times are local, shares 0 to 1; see docs/alerts.md."""

    routes: tuple[Route, ...] = ()
    quiet_from: time = time(21)
    quiet_to: time = time(7, 30)
    digest_at: time = time(7, 30)
    report_by: time = time(9)
    late_hours: int = Field(default=3, ge=1, le=72)
    behind_hours: int = Field(default=4, ge=1, le=72)
    settle_hours: int = Field(default=12, ge=1, le=168)
    missing_share: float = Field(default=0.05, gt=0, le=1)
    drop_share: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _channels_differ(self) -> Alerts:
        names = [route.channel for route in self.routes]
        if len(set(names)) != len(names):
            raise ValueError("a channel is listed twice")
        return self

    def is_quiet(self, at: time) -> bool:
        """Whether a local time is within the quiet hours, which may span midnight."""
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= at < self.quiet_to
        return at >= self.quiet_from or at < self.quiet_to


class Report(_Table):
    """Options of reports."""

    language: Literal["zh", "en"] = "zh"
    # Health cards issued by this hospital, for figures per issued card (docs/usage-figures.md).
    issued_cards: int | None = Field(default=None, ge=1)


class Upgrade(_Table):
    """Cards for patients of the hospital, in batches (document 2.5, docs/upgrade.md).

    `card_list_url`: the page of its account that lists a user's cards, to which the template message leads (wechatUrl).
    `shape`: the folder of include/sql whose upgrade/patient.sql reads the patients; None: that of [his].
    """

    shape: Name | None = None

    card_list_url: str = Field(default="", pattern=r"^(https?://[!-~]+)?$", max_length=512)
    patients_a_batch: int = Field(default=50, ge=1, le=200)


class Retention(_Table):
    """How many days are kept what is no evidence, counted from the day of the events; None: for ever.

    `quarantined_days`, `rejected_days`: the patient fields of such events; rows and counts stay. `reports_days`: report
    files. `drop_folder_days`: statements that were imported or refused, counted from when they came; of several
    hospitals the longest counts. See docs/production.md.
    """

    quarantined_days: int | None = Field(default=180, ge=30)
    rejected_days: int | None = Field(default=180, ge=30)
    reports_days: int | None = Field(default=None, ge=30)
    drop_folder_days: int | None = Field(default=365, ge=30)


class Hospital(_Table):
    """The file of one hospital."""

    id: Name
    name: str = Field(min_length=1)
    name_en: str = ""
    region: str = Field(default="", pattern=r"^(\d{6})?$")
    cadence: Literal["daily", "hourly"] = "daily"
    # First and last day that is reported, both included; None: open.
    start: date | None = None
    end: date | None = None
    his: His
    platform: Platform
    normalize: Normalize = Normalize()
    calendar: Calendar = Calendar()
    gate: Gate = Gate()
    report: Report = Report()
    alerts: Alerts = Alerts()
    upgrade: Upgrade = Upgrade()
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _keeps_what_it_looks_back_on(self) -> Hospital:
        kept = (self.retention.quarantined_days, self.retention.rejected_days, self.retention.reports_days)
        if any(days is not None and days <= self.his.look_back_days for days in kept):
            raise ValueError(f"[retention] ends within look_back_days ({self.his.look_back_days})")
        return self

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Hospital:
        if self.start and self.end and self.end < self.start:
            raise ValueError(f"end ({self.end}) is before start ({self.start})")
        return self

    def reports(self, day: date) -> bool:
        """Whether the day is one that the hospital reports: not before its first day, not after its last."""
        return (self.start is None or day >= self.start) and not self.has_ended(day)

    def has_ended(self, day: date) -> bool:
        """Whether the day is after the hospital's last one."""
        return self.end is not None and day > self.end

    def until_end(self, window: Window) -> Window:
        """The window as far as the hospital's last day. Raises HospitalEnded if all of it is later."""
        if self.end is None or window.end <= (last := day_window(self.end).end):
            return window
        if window.start >= last:
            raise HospitalEnded(hospital=self.id, window=window, end=self.end)
        return Window(window.start, last)

    @property
    def patient_shape(self) -> str:
        """The shape whose SQL reads the patients."""
        return self.upgrade.shape or self.his.shape

    @property
    def label(self) -> str:
        """The hospital's name in the language of its reports."""
        return self.name if self.report.language == "zh" else self.name_en or self.name


def load_hospital(directory: Path, hospital_id: str) -> Hospital:
    """Read hospitals/<id>.toml. Raises UnknownHospital or BadHospitalFile (file, key, reason)."""
    path = directory / f"{hospital_id}.toml"
    if not path.exists() and not path.is_symlink():
        known = ", ".join(hospital_ids(directory)) or "none"
        raise UnknownHospital(hospital=hospital_id, directory=directory.as_posix(), known=known)
    try:
        hospital = Hospital.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = "it is not UTF-8, save it again as UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise BadHospitalFile(path=path.as_posix(), key="(file)", problem=f"not readable as TOML: {why}") from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise BadHospitalFile(path=path.as_posix(), key="(file)", problem=problem) from None
    except ValidationError as error:
        # Without the values: a misplaced secret must not reach a log.
        first, *others = error.errors(include_input=False, include_url=False)
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        more = f" (and {len(others)} more)" if others else ""
        raise BadHospitalFile(path=path.as_posix(), key=key, problem=first["msg"] + more) from None
    if hospital.id != hospital_id:
        problem = f"is '{hospital.id}', the file's name says '{hospital_id}'"
        raise BadHospitalFile(path=path.as_posix(), key="id", problem=problem)
    return hospital


def load_hospitals(directory: Path) -> tuple[Hospital, ...]:
    """Every hospital of the directory, by id."""
    return tuple(load_hospital(directory, hospital_id) for hospital_id in hospital_ids(directory))


class ValidHospitals(NamedTuple):
    """The hospitals whose files are valid, by id, and the problem of each file that is not (id -> one line)."""

    hospitals: list[Hospital]
    broken: dict[str, str]


def load_valid_hospitals(directory: Path) -> ValidHospitals:
    """Every hospital of the directory whose file is valid: one invalid file does not concern the others."""
    loaded = ValidHospitals([], {})
    for hospital_id in hospital_ids(directory):
        try:
            loaded.hospitals.append(load_hospital(directory, hospital_id))
        except BadHospitalFile as problem:
            loaded.broken[hospital_id] = str(problem)
    return loaded


def hospital_ids(directory: Path) -> tuple[str, ...]:
    """Ids of all hospital files, sorted; none if the directory does not exist."""
    return tuple(sorted(path.stem for path in directory.glob("*.toml")))
