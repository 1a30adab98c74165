"""The interfaces of cards: 3.2.2 to 3.2.6 and 3.2.8 to 3.2.11. A call that passed the gate in, `rsp` or a Refusal out.

Fields are checked in the order of the document's tables. What a batch says about one patient fails that patient alone:
his item comes back with an empty qrCodeText (3.2.9).
"""

import base64
import hmac
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

import segno

from platform_sandbox import identity, rules
from platform_sandbox.cards import Card, Cards, Invitation, Person
from platform_sandbox.codes import CARD_TYPES, CHANNELS, RESULTS, SCENES
from platform_sandbox.id_pictures import read_id
from platform_sandbox.refusal import Refusal
from platform_sandbox.settings import App, Config

REGISTER: Final = "registerHealthCard"
BY_HEALTH_CODE: Final = "getHealthCardByHealthCode"
BY_QR_CODE: Final = "getHealthCardByQRCode"
OCR: Final = "ocrInfo"
BIND: Final = "bindCardRelation"
ORDER: Final = "getOrderIdByOutAppId"
REGISTER_BATCH: Final = "registerBatchHealthCard"
DYNAMIC_QR_CODE: Final = "getDynamicQRCode"
VERIFY: Final = "verifyQRCode"

_OPEN: Final = "/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/"
PATHS: Final = {
    _OPEN + name: name
    for name in (REGISTER, BY_HEALTH_CODE, BY_QR_CODE, OCR, BIND, ORDER, REGISTER_BATCH, DYNAMIC_QR_CODE, VERIFY)
}

PERSON_TEXTS: Final = (
    *("wechatCode", "name", "gender", "nation", "birthday", "idNumber", "idType", "address", "phone1", "phone2"),
    "patid",
)
BATCH_TEXTS: Final = (*PERSON_TEXTS, "openId", "wechatUrl")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    REGISTER: PERSON_TEXTS,
    BY_HEALTH_CODE: ("healthCode",),
    BY_QR_CODE: ("qrCodeText",),
    OCR: ("imageContent",),
    BIND: ("patid", "qrCodeText"),
    ORDER: ("appId", "qrCodeText"),
    REGISTER_BATCH: (),
    DYNAMIC_QR_CODE: ("healthCardId", "idType", "idNumber"),
    VERIFY: (
        *("qrCodeText", "terminalId", "time", "medicalStep", "useCityCode", "useCityName", "hospitalCode"),
        *("hospitalName", "orgId", "name", "idCard", "useScene", "useType", "useChannel"),
    ),
}
"""The text fields of each interface's req, as its table has them."""

_TERMINAL: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
PLANTED: Final = re.compile(r"RETURN\.(-?\d{1,6})\..*", re.ASCII)
"""A requestId that asks for a result code."""


class Caller(NamedTuple):
    """Who calls: application, hospital (of commonIn) and when."""

    app: App
    hospital_id: str
    now: datetime


class Verified(NamedTuple):
    """One use counted by verifyQRCode, without its patient."""

    hospital_id: str
    day: str
    scene: str
    channel: str


@dataclass(frozen=True, slots=True)
class Uses:
    """Uses that verifyQRCode counted, and those of them that were also reported. Keys are digests."""

    verified: Counter[Verified]
    marks: set[bytes]
    reported_marks: set[bytes]
    twice: Counter[str]


def offline_code(app: App) -> str:
    """The fixed wechatCode of an application's batches (3.2.9: 请联系对接人员获取)."""
    return hmac.digest(app.app_secret.encode(), b"offline wechatCode", "sha256").hex()[:32].upper()


def planted(request_id: str) -> None:
    """Refuse with the code that the requestId asks for, so that every code can be had on every interface."""
    found = PLANTED.fullmatch(request_id)
    if found and int(found[1]) in RESULTS and int(found[1]) != 0:
        raise Refusal(int(found[1]))


class CardInterfaces:
    """Of one sandbox."""

    def __init__(self, config: Config) -> None:
        self._dynamic = config.qr == "dynamic"
        self.cards = Cards(seed=config.seed, qr_life=config.qr_life, code_life=config.code_life)
        self.uses = Uses(Counter(), set(), set(), Counter())
        self._answers: dict[str, Callable[[Caller, rules.Fields], dict[str, object]]] = {
            REGISTER: self._register,
            BY_HEALTH_CODE: self._by_health_code,
            BY_QR_CODE: self._by_qr_code,
            OCR: self._ocr,
            BIND: self._bind,
            ORDER: self._order,
            REGISTER_BATCH: self._register_batch,
            DYNAMIC_QR_CODE: self._dynamic_qr_code,
            VERIFY: self._verify,
        }

    def answer(self, interface: str, caller: Caller, req: rules.Fields) -> dict[str, object]:
        """The `rsp` of a call."""
        rules.check_texts(req, FIELDS[interface])
        return self._answers[interface](caller, req)

    def reported(self, app: App, common: rules.Fields, req: rules.Fields) -> None:
        """A use was reported by reportHISData: remember it, and whether verifyQRCode has counted it already."""
        card_id = rules.text(req, "qrCodeText").partition(":")[0]
        if card_id:
            hospital_id = rules.text(common, "hospitalId")
            mark = _mark(app, hospital_id, card_id, rules.text(req, "scene"), rules.text(req, "time"))
            if mark in self.uses.marks and mark not in self.uses.reported_marks:
                self.uses.twice[hospital_id] += 1
            self.uses.reported_marks.add(mark)

    # 3.2.2

    def _register(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        code = rules.text(req, "wechatCode")
        if not code:
            raise Refusal(10012)
        account = self.cards.account_of(code, caller.now)
        card = self.cards.register(_person(req), account)
        self.cards.spend_wechat_code(code)
        patid = rules.text(req, "patid")
        if patid:
            card.patids[caller.hospital_id] = patid
        text, card_id = self._qr(card, caller.now)
        return {"qrCodeText": text, "healthCardId": card_id, "phid": card.phid, "adminExt": _admin_ext(card, text)}

    # 3.2.3, 3.2.4

    def _by_health_code(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        code = rules.text(req, "healthCode")
        if not code:
            raise Refusal(10007)
        return self._card(caller, self.cards.take_health_code(code, caller.now))

    def _by_qr_code(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        return self._card(caller, self._scanned(req, caller.now))

    def _card(self, caller: Caller, card: Card) -> dict[str, object]:
        text, card_id = self._qr(card, caller.now)
        person = card.person
        return {
            "card": {
                "qrCodeText": text,
                "name": person.name,
                "gender": person.gender,
                "nation": person.nation,
                "birthday": person.birthday,
                "idNumber": person.id_number,
                "idType": person.id_type,
                "address": person.address,
                "phone1": person.phone1,
                "phone2": person.phone2,
                "phid": card.phid,
                "patid": card.patids.get(caller.hospital_id, ""),
                "healthCardId": card_id,
                "adminExt": _admin_ext(card, text),
            }
        }

    # 3.2.5

    def _ocr(self, _: Caller, req: rules.Fields) -> dict[str, object]:
        content = rules.text(req, "imageContent")
        if not content:
            raise Refusal(10041)
        return {"cardInfo": read_id(content)}

    # 3.2.6

    def _bind(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        patid = rules.text(req, "patid")
        if not patid:
            raise Refusal(10033)
        card = self._scanned(req, caller.now, frozen=-10031)
        card.patids[caller.hospital_id] = patid
        return {"result": True}

    # 3.2.8

    def _order(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        if rules.text(req, "appId") != caller.app.app_id:
            raise Refusal(21002)
        return {"orderId": self.cards.order(self._scanned(req, caller.now))}

    # 3.2.9

    def _register_batch(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        items = req.get("healthCardItems")
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            raise Refusal(10042, "healthCardItems")
        for item in items:
            rules.check_texts(item, BATCH_TEXTS)
        return {"rspItems": [self._batch_item(caller, item) for item in items]}

    def _batch_item(self, caller: Caller, item: rules.Fields) -> dict[str, object]:
        number = rules.text(item, "idNumber")
        try:
            if rules.text(item, "wechatCode") != offline_code(caller.app):
                raise Refusal(10011)
            person = _person(item)
            needed = {name: rules.text(item, name) for name in ("patid", "openId", "wechatUrl")}
            if not needed["patid"]:
                raise Refusal(10033)
            if not needed["openId"] or not needed["wechatUrl"].startswith(("http://", "https://")):
                raise Refusal(10042, "openId, wechatUrl")
            card = self.cards.register(person, f"openId {needed['openId']}")
            if card.frozen:
                raise Refusal(-10017)
        except Refusal:
            return {"qrCodeText": "", "idNumber": number, "healthCardId": ""}
        card.patids[caller.hospital_id] = needed["patid"]
        self.cards.invite(Invitation(caller.hospital_id, needed["openId"], needed["wechatUrl"], card.card_id))
        text, card_id = self._qr(card, caller.now)
        return {"qrCodeText": text, "idNumber": number, "healthCardId": card_id}

    # 3.2.10

    def _dynamic_qr_code(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        card_id, id_type, number = (rules.text(req, name) for name in ("healthCardId", "idType", "idNumber"))
        if not card_id:
            raise Refusal(10006)
        if id_type not in CARD_TYPES:
            raise Refusal(10042, "idType")
        if not number:
            raise Refusal(10014)
        if id_type == identity.RESIDENT_ID:
            identity.check_resident_id(number)
        of_person = self.cards.of_person(id_type, number)
        if of_person is None:
            raise Refusal(10030)
        card = self.cards.by_id(card_id)
        if card is not of_person:
            raise Refusal(10042, "healthCardId, idNumber")
        if card.frozen:
            raise Refusal(-10017)
        text = self.cards.dynamic_text(card, caller.now)
        picture = io.BytesIO()
        segno.make(text, error="m", micro=False).save(picture, kind="png", scale=4)
        return {"qrCodeText": text, "qrCodeImg": base64.b64encode(picture.getvalue()).decode()}

    # 3.2.11

    def _verify(self, caller: Caller, req: rules.Fields) -> dict[str, object]:
        text = rules.text(req, "qrCodeText")
        if not text:
            raise Refusal(10018)
        if not _TERMINAL.fullmatch(rules.text(req, "terminalId")):
            raise Refusal(-10024)
        moment = rules.text(req, "time")
        rules.check_time(moment)
        scene = rules.text(req, "medicalStep")
        if scene not in SCENES:
            raise Refusal(10042, "medicalStep")
        for name in ("useCityCode", "useCityName", "hospitalCode", "hospitalName"):
            if not rules.text(req, name):
                raise Refusal(10042, name)
        for name, table in (("useScene", SCENES), ("useType", CARD_TYPES), ("useChannel", CHANNELS)):
            if rules.text(req, name) and rules.text(req, name) not in table:
                raise Refusal(10042, name)
        card = self.cards.scanned(text, caller.now, dynamic_only=True)
        if card.frozen:
            raise Refusal(-10017)
        self._check_holder(req, card)
        channel = rules.text(req, "useChannel") or "0000"
        self.uses.verified[Verified(caller.hospital_id, moment[:10], scene, channel)] += 1
        mark = _mark(caller.app, caller.hospital_id, card.card_id, scene, moment)
        if mark in self.uses.reported_marks and mark not in self.uses.marks:
            self.uses.twice[caller.hospital_id] += 1
        self.uses.marks.add(mark)
        person = card.person
        return {
            "address": person.address,
            "birthday": person.birthday,
            "gender": person.gender,
            "healthCardId": card.card_id,
            "idNumber": person.id_number,
            "idType": person.id_type,
            "name": person.name,
            "nation": person.nation,
            "phid": card.phid,
            "phone": person.phone1,
        }

    @staticmethod
    def _check_holder(req: rules.Fields, card: Card) -> None:
        """Name and number of the holder, where they are given."""
        name, number = rules.text(req, "name"), rules.text(req, "idCard")
        if name and name != card.person.name:
            raise Refusal(10056)
        if number and number != card.person.id_number:
            if rules.text(req, "useType") in ("", identity.RESIDENT_ID):
                identity.check_resident_id(number)
            raise Refusal(10042, "idCard")

    def _scanned(self, req: rules.Fields, now: datetime, *, frozen: int = -10017) -> Card:
        text = rules.text(req, "qrCodeText")
        if not text:
            raise Refusal(10018)
        card = self.cards.scanned(text, now)
        if card.frozen:
            raise Refusal(frozen)
        return card

    def _qr(self, card: Card, now: datetime) -> tuple[str, str]:
        """qrCodeText and healthCardId as 3.2.2 has them: only beside a dynamic text the id is given."""
        if self._dynamic:
            return self.cards.dynamic_text(card, now), card.card_id
        return card.static_text, ""


def _person(fields: rules.Fields) -> Person:
    """Who is to be registered, verified (核身)."""
    name = rules.text(fields, "name")
    if not name:
        raise Refusal(10013)
    gender, nation = rules.text(fields, "gender"), rules.text(fields, "nation")
    if not gender or not nation:
        raise Refusal(-10025)
    if gender not in ("男", "女"):
        raise Refusal(10042, "gender")
    birthday = rules.text(fields, "birthday")
    if not birthday:
        raise Refusal(10042, "birthday")
    _check_date(birthday)
    number, id_type = rules.text(fields, "idNumber"), rules.text(fields, "idType")
    if not number:
        raise Refusal(10014)
    if not id_type:
        raise Refusal(-10025)
    if id_type not in CARD_TYPES:
        raise Refusal(10042, "idType")
    phone = rules.text(fields, "phone1")
    if not phone:
        raise Refusal(10043)
    identity.verify(name, gender, birthday, id_type, number)
    others = (rules.text(fields, "address"), phone, rules.text(fields, "phone2"))
    return Person(name, gender, nation, birthday, number, id_type, *others)


def _check_date(text: str) -> None:
    if not _DATE.fullmatch(text):
        raise Refusal(10051)
    try:
        date.fromisoformat(text)
    except ValueError:
        raise Refusal(10051) from None


def _admin_ext(card: Card, text: str) -> str:
    """What the card management's own answer looks like in the document's sample."""
    person = card.person
    answer = {
        "qr_code": text,
        "ecardId": card.card_id,
        "main_index": card.phid,
        "id_type": CARD_TYPES[person.id_type],
        "id_number": person.id_number,
        "name": person.name,
        "sex": person.gender,
        "birthday": person.birthday,
        "telephone": person.phone1,
        "nation": person.nation,
        "unit": "null",
        "address": person.address,
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def _mark(app: App, hospital_id: str, card_id: str, scene: str, moment: str) -> bytes:
    """What tells that two calls speak of one use."""
    parts = "\0".join((hospital_id, card_id, scene, moment))
    return hmac.digest(app.app_secret.encode(), parts.encode(), "sha256")[:16]
