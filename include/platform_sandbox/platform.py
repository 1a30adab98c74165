"""The platform itself, without a network: a call's bytes in, the document's answer out.

A call passes, in this order: envelope, token or appId, signature, hospital, rate limit, quota (the gate); then, in
the interface, requestId replay, planned faults, field checks. The first that refuses names the result code.

Not thread-safe: one thread, or one event loop, calls it. Deterministic for a given clock and seed but for the tokens.
"""

import hmac
import json
import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Final, NamedTuple

from platform_sandbox import rules
from platform_sandbox.accepted import Accepted, Journal, Record
from platform_sandbox.card_interfaces import Caller, CardInterfaces, planted
from platform_sandbox.codes import BUSY, RESULTS
from platform_sandbox.faults import Dice, Faults
from platform_sandbox.refusal import Refusal
from platform_sandbox.settings import App, Config, SettingError
from platform_sandbox.signing import canonical, signature

GET_APP_TOKEN: Final = "getAppToken"
REPORT_HIS_DATA: Final = "reportHISData"
CONTENT_TYPE: Final = "application/json; charset=utf-8"

_FAILS: Final = frozenset({"busy", "lost", "lost_503"})
_SHANGHAI: Final = timedelta(hours=8)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Answer(NamedTuple):
    """What the platform says: resultCode, errMsg, the requestId echoed ("" if unreadable), rsp."""

    code: int
    message: str
    request_id: str
    rsp: dict[str, object]

    def encoded(self) -> bytes:
        """The JSON body: commonOut and rsp (3.1.2)."""
        common = {"requestId": self.request_id, "resultCode": self.code, "errMsg": self.message}
        return _encode({"commonOut": common, "rsp": self.rsp}).encode()


class Tally(NamedTuple):
    """What calls are counted by: the platform's day of the call, hospital ("" if not known), interface, result code."""

    day: str
    hospital_id: str
    interface: str
    code: int


class Token(NamedTuple):
    """A token that is alive."""

    app: App
    expires_at: datetime


class Sandbox:
    """State of the platform. `config` is what it was started with; JournalError if its journal cannot be used."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config = config or Config()
        self._apps = {app.app_id: app for app in config.apps}
        self._hospitals = config.hospitals
        self._clock: Callable[[], datetime] = config.clock
        self._remember_seen = config.repeat == "seen"
        self._remember_at_gate = config.repeat == "gate"
        self._day_start = self._day_end = datetime.min.replace(tzinfo=UTC)
        self._day = ""
        self.accepted = Accepted(Journal(config.state) if config.state else None)
        self._begin()
        for record in self.accepted.records:
            day = (datetime.fromisoformat(record.received_at) + _SHANGHAI).date().isoformat()
            self.calls[Tally(day, record.hospital_id, REPORT_HIS_DATA, 0)] += 1
            self._ids.setdefault(record.app_id, set()).add(record.request_id)
            self._ids_at_gate.add(record.request_id)
            self._reload_quota(day, record.hospital_id)

    def _begin(self) -> None:
        config = self.config
        self.dice = Dice(config.faults, config.seed)
        self.card_interfaces = CardInterfaces(config)
        self.calls: Counter[Tally] = Counter()
        self.struck: Counter[str] = Counter()
        self.evicted = 0
        self._tokens: dict[str, Token] = {}
        self._current: dict[str, str] = {}
        self._ids: dict[str, set[str]] = {app_id: set() for app_id in self._apps}
        self._ids_at_gate: set[str] = set()
        self._reports: Counter[str] = Counter()
        self._second = 0
        self._this_second: Counter[str] = Counter()
        self._used: Counter[tuple[str, str]] = Counter()

    def _reload_quota(self, day: str, hospital_id: str) -> None:
        if day == self._platform_day(self._clock()):
            self._used[hospital_id, REPORT_HIS_DATA] += 1

    # A call

    def call(
        self,
        interface: str,
        body: bytes | None,
        content_type: str = CONTENT_TYPE,
        fault: str | None = None,
        peer: str = "",
    ) -> Answer:
        """The platform's answer to one call of an interface. Never raises for what a caller sent.

        `body`: None if it was too long to read. `fault`: busy, lost or refuse, to strike once the call reached the
        interface. `peer`: the caller's address.
        """
        request_id = hospital_id = ""
        now = self._clock()
        day = self._platform_day(now)
        try:
            rules.check_content_type(content_type)
            if body is None:
                raise Refusal(20004)
            document = rules.read_document(body)
            common = rules.part(document, "commonIn", 10003)
            request_id = rules.check_request_id(common)
            req = rules.part(document, "req", 10002)
            rules.check_common(common)
            if self.config.allowed and peer not in self.config.allowed:
                raise Refusal(20000, "IP 白名单")
            if self._remember_at_gate:
                self._check_at_gate(request_id)
            app = self._app_by_id(req) if interface == GET_APP_TOKEN else self._app_by_token(common, now)
            self._check_signature(app, common, req)
            hospital_id = self._hospital(app, common)
            self._check_limits(app, hospital_id, interface, now)
            if interface == GET_APP_TOKEN:
                rsp = self._get_app_token(app, request_id, now, fault)
            elif interface == REPORT_HIS_DATA:
                rsp = self._report(app, request_id, common, req, now, fault)
            else:
                rsp = self._of_cards(interface, Caller(app, hospital_id, now), request_id, req, fault)
            answer = Answer(0, RESULTS[0], request_id, rsp)
        except Refusal as refusal:
            answer = refused(refusal, request_id)
        self.calls[Tally(day, hospital_id, interface, answer.code)] += 1
        return answer

    def _app_by_id(self, req: rules.Fields) -> App:
        rules.check_texts(req, ("appId",))
        app = self._apps.get(rules.text(req, "appId"))
        if app is None:
            raise Refusal(21002)
        return app

    def _app_by_token(self, common: rules.Fields, now: datetime) -> App:
        value = rules.text(common, "appToken")
        if not value:
            raise Refusal(21001)
        token = self._tokens.get(value)
        if token is None:
            raise Refusal(21004, "appToken")
        if now >= token.expires_at:
            raise Refusal(21003)
        return token.app

    @staticmethod
    def _check_signature(app: App, common: rules.Fields, req: rules.Fields) -> None:
        try:
            right = signature(common, req, app.app_secret)
        except (UnicodeEncodeError, RecursionError):
            raise Refusal(20001, "UTF-8 JSON") from None
        if common.get("sign") != right:
            raise Refusal(21006)

    def _hospital(self, app: App, common: rules.Fields) -> str:
        hospital_id = rules.text(common, "hospitalId")
        if hospital_id in app.hospitals:
            return intern(hospital_id)
        if hospital_id in self._hospitals:
            raise Refusal(21005)
        raise Refusal(21004, "hospitalId")

    def _check_limits(self, app: App, hospital_id: str, interface: str, now: datetime) -> None:
        config = self.config
        if config.rate_limit:
            second = int(now.timestamp())
            if second != self._second:
                self._second = second
                self._this_second.clear()
            self._this_second[app.app_id] += 1
            if self._this_second[app.app_id] > config.rate_limit:
                raise Refusal(21007)
        if hospital_id in config.not_live:
            self._used[hospital_id, interface] += 1
            if self._used[hospital_id, interface] > config.quota:
                raise Refusal(10034)

    def _platform_day(self, now: datetime) -> str:
        if not self._day_start <= now < self._day_end:
            local = now.astimezone(UTC) + _SHANGHAI
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) - _SHANGHAI
            self._day_start, self._day_end = midnight, midnight + timedelta(days=1)
            self._day = local.date().isoformat()
            self._used = Counter()
        return self._day

    # Interfaces

    def _get_app_token(self, app: App, request_id: str, now: datetime, fault: str | None) -> dict[str, object]:
        ids = self._fresh(app, request_id)
        if fault in _FAILS:
            raise Refusal(self.dice.choose(BUSY))
        token = self._issue(app, now)
        ids.add(request_id)
        return {"appToken": token, "expiresIn": math.ceil(self.config.token_life)}

    def _report(
        self, app: App, request_id: str, common: rules.Fields, req: rules.Fields, now: datetime, fault: str | None
    ) -> dict[str, object]:
        every = self.dice.faults.evict_every
        if every:
            self._reports[app.app_id] += 1
            if self._reports[app.app_id] % every == 0:
                self._evict(app, now)
        ids = self._fresh(app, request_id)
        if fault in _FAILS:
            raise Refusal(self.dice.choose(BUSY))
        if fault == "refuse":
            raise Refusal(10042)
        rules.check_texts(req, rules.REPORT_TEXTS)
        profile = self.config.profile
        if profile == "current":
            rules.check_channel_number(common)
        rules.check_report(common, req, profile)
        record = Record(
            app_id=app.app_id,
            request_id=request_id,
            hospital_id=intern(rules.text(common, "hospitalId")),
            scene=intern(rules.text(req, "scene")),
            channel=intern(rules.text(req, "cardChannel")),
            card_type=intern(rules.text(req, "cardType")),
            department=intern(rules.text(req, "department")),
            time=rules.text(req, "time"),
            received_at=now.astimezone(UTC).isoformat(timespec="milliseconds"),
            digest=hmac.digest(app.app_secret.encode(), canonical(req).encode(), "sha256").hex()[:32],
        )
        try:
            self.accepted.add(record)
        except OSError:
            raise Refusal(10005) from None
        ids.add(request_id)
        self.card_interfaces.reported(app, common, req)
        return {"none": ""}

    def _of_cards(
        self, interface: str, caller: Caller, request_id: str, req: rules.Fields, fault: str | None
    ) -> dict[str, object]:
        ids = self._fresh(caller.app, request_id)
        if fault in _FAILS:
            raise Refusal(self.dice.choose(BUSY))
        if fault == "refuse":
            raise Refusal(10042)
        rsp = self.card_interfaces.answer(interface, caller, req)
        ids.add(request_id)
        return rsp

    def _fresh(self, app: App, request_id: str) -> set[str]:
        ids = self._ids[app.app_id]
        if request_id in ids:
            raise Refusal(10054)
        if self._remember_seen:
            ids.add(request_id)
        planted(request_id)
        return ids

    def _check_at_gate(self, request_id: str) -> None:
        """Before it is known whose call it is: an id of any application."""
        if request_id in self._ids_at_gate:
            raise Refusal(10054)
        self._ids_at_gate.add(request_id)

    def _issue(self, app: App, now: datetime) -> str:
        self._tokens.pop(self._current.get(app.app_id, ""), None)
        token = secrets.token_hex(16).upper()
        self._current[app.app_id] = token
        self._tokens[token] = Token(app, now + timedelta(seconds=self.config.token_life))
        return token

    def _evict(self, app: App, now: datetime) -> None:
        self._issue(app, now)
        self.evicted += 1

    # Administration

    def evict(self, app_id: str | None = None) -> int:
        """Somebody else fetches a token: the one in use dies. Of one app or of all; how many died."""
        if app_id is not None and app_id not in self._apps:
            raise SettingError("no such app")
        now = self._clock()
        apps = [app for app in self._apps.values() if app_id in (None, app.app_id)]
        for app in apps:
            self._evict(app, now)
        return len(apps)

    def load(self, faults: Faults) -> None:
        """Commit these faults from now on."""
        self.dice.load(faults)

    def reset(self) -> None:
        """As freshly started, with an empty journal: nothing accepted, counted or remembered, first faults again."""
        self.accepted.reset()
        self._begin()

    def close(self) -> None:
        """Release the journal."""
        self.accepted.close()

    def counts(self, hospital_id: str | None = None, day: str | None = None) -> dict[str, object]:
        """What happened, as GET /sandbox/counts answers.

        `day` (YYYY-MM-DD) is the day of use for accepted, by_* and doubled, and the platform's day of the call for
        calls, by_interface, result_codes and tokens_issued. faults and tokens_evicted are of all hospitals and days.
        """
        calls = {
            tally: number
            for tally, number in self.calls.items()
            if hospital_id in (None, tally.hospital_id) and day in (None, tally.day)
        }
        slots = self.accepted.slots(hospital_id, day)
        uses = self.card_interfaces.uses
        verified = sum(
            number
            for use, number in uses.verified.items()
            if hospital_id in (None, use.hospital_id) and day in (None, use.day)
        )
        return {
            "hospital_id": hospital_id,
            "day": day,
            "calls": sum(calls.values()),
            "by_interface": _sums((tally.interface, number) for tally, number in calls.items()),
            "result_codes": _sums((str(tally.code), number) for tally, number in calls.items()),
            "tokens_issued": sum(
                number for tally, number in calls.items() if (tally.interface, tally.code) == (GET_APP_TOKEN, 0)
            ),
            "tokens_evicted": self.evicted,
            "faults": dict(sorted(self.struck.items())),
            "accepted": sum(slots.values()),
            "doubled": self.accepted.doubled(hospital_id, day),
            "verified": verified,
            "reported_and_verified": sum(uses.twice[each] for each in uses.twice if hospital_id in (None, each)),
            "cards": len(self.card_interfaces.cards),
            "by_day": _sums((slot.day, uses) for slot, uses in slots.items()),
            "by_scene": _sums((slot.scene, uses) for slot, uses in slots.items()),
            "by_channel": _sums((slot.channel, uses) for slot, uses in slots.items()),
        }


def refused(refusal: Refusal, request_id: str = "") -> Answer:
    """The answer that a refusal becomes: errMsg of 3.2.12, and the field's name where there is one."""
    message = RESULTS[refusal.code]
    if refusal.detail:
        message = f"{message}（{refusal.detail}）"
    return Answer(refusal.code, message, request_id, {})


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, number in pairs:
        sums[name] += number
    return dict(sorted(sums.items()))
