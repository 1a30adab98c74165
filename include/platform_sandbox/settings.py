"""What a sandbox is started with: applications, profile, quota, limits. Frozen; wrong ones are refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from platform_sandbox.faults import Faults, SandboxError

PROFILES = ("v2.1", "current")
REPEATS = ("accepted", "seen", "gate")
QR_TEXTS = ("static", "dynamic")

__all__ = ["PROFILES", "QR_TEXTS", "REPEATS", "App", "Config", "SandboxError", "SettingError", "utc_now"]


class SettingError(SandboxError, ValueError):
    """A setting that cannot be: the message names it and what it may be."""


def utc_now() -> datetime:
    """The present instant, UTC aware: the clock unless a test gives another."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """An ISV's application and the hospitals bound to it (document 2.1.1)."""

    app_id: str
    app_secret: str = field(repr=False)
    hospitals: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.app_id and self.app_secret and self.hospitals and all(self.hospitals)):
            raise SettingError(
                "an app needs an id, a secret and at least one hospital id: ID:SECRET:HOSPITAL[,HOSPITAL]"
            )

    @classmethod
    def parse(cls, text: str) -> "App":
        """From `ID:SECRET:HOSPITAL[,HOSPITAL...]`; the secret may hold colons. Never repeats the text in an error."""
        app_id, _, rest = text.partition(":")
        secret, _, hospitals = rest.rpartition(":")
        return cls(app_id=app_id, app_secret=secret, hospitals=tuple(hospitals.split(",")))


DEMO_APP = App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that a sandbox is told once.

    profile      v2.1 or current (newer copies of the document: cardCostTypes and hospitalCode)
    repeat       accepted: a requestId is remembered once accepted; seen: as soon as it reached the interface; gate: as
                 soon as it can be read, whatever the gate (token, signature, rate, quota) says
    not_live     hospitals with a quota of `quota` calls a day (Asia/Shanghai) and interface (3.1.1)
    token_life   seconds (3.2.1)
    rate_limit   calls a second and application, counted by the clock's second; 0: none
    state        journal of what was accepted; None: memory only
    seed         of every random choice of the faults, and of the cards' ids
    qr           static or dynamic: which QR text a registration gives (3.2.2: as the region's authority demands)
    qr_life      seconds of a dynamic QR text
    code_life    seconds of a wechatCode or healthCode
    allowed      addresses that may call (3.1.1: IP 白名单); empty: any
    redirects    hosts, with or without port, that pages may lead back to (3.1.1: 域名白名单); empty: any
    clock        the present instant, UTC aware
    """

    apps: tuple[App, ...] = (DEMO_APP,)
    profile: str = "v2.1"
    repeat: str = "accepted"
    not_live: frozenset[str] = frozenset()
    quota: int = 100
    token_life: float = 7200
    rate_limit: int = 0
    state: Path | None = None
    seed: int = 0
    qr: str = "static"
    qr_life: float = 60
    code_life: float = 300
    allowed: frozenset[str] = frozenset()
    redirects: frozenset[str] = frozenset()
    faults: Faults = field(default_factory=Faults)
    clock: Callable[[], datetime] = utc_now

    def __post_init__(self) -> None:
        if not self.apps:
            raise SettingError("at least one app is needed")
        ids = [app.app_id for app in self.apps]
        twice = sorted({app_id for app_id in ids if ids.count(app_id) > 1})
        if twice:
            raise SettingError(f"app id given twice: {', '.join(twice)}")
        if self.profile not in PROFILES:
            raise SettingError(f"profile is {' or '.join(PROFILES)}, not {self.profile!r}")
        if self.repeat not in REPEATS:
            raise SettingError(f"repeat is {', '.join(REPEATS[:-1])} or {REPEATS[-1]}, not {self.repeat!r}")
        if self.qr not in QR_TEXTS:
            raise SettingError(f"qr is {' or '.join(QR_TEXTS)}, not {self.qr!r}")
        if not (self.qr_life > 0 and self.code_life > 0):
            raise SettingError("the lives of QR texts and codes are numbers of seconds above 0")
        strangers = sorted(self.not_live - self.hospitals)
        if strangers:
            raise SettingError(f"not live, but bound to no app: {', '.join(strangers)}")
        if self.quota < 0:
            raise SettingError(f"quota is a number of calls, 0 or more, not {self.quota}")
        if not self.token_life > 0:
            raise SettingError(f"token life is a number of seconds above 0, not {self.token_life}")
        if self.rate_limit < 0:
            raise SettingError(f"rate limit is a number of calls a second, 0 for none, not {self.rate_limit}")

    @property
    def hospitals(self) -> frozenset[str]:
        """Every hospital id bound to an app."""
        return frozenset(hospital for app in self.apps for hospital in app.hospitals)


def local_day(text: str) -> str:
    """`YYYY-MM-DD` checked, or SettingError."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        try:
            return datetime.fromisoformat(text).date().isoformat()
        except ValueError:
            pass
    raise SettingError("day is YYYY-MM-DD")
