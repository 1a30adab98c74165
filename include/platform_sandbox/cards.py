"""Cards: the health cards of the region and what hangs on them, in memory alone.

One card a person (document type and number); who was registered first keeps what was given then (FAQ 5). One-time
codes: wechatCode of an account, healthCode of a card, orderId. The latest binding counts, for each hospital (2.3.2).
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from platform_sandbox.refusal import Refusal

CARDS_AN_ACCOUNT: Final = 5
"""2.3: an account holds five cards at most, its owner's and relatives'."""
ISSUER: Final = "35020001001"


class Person(NamedTuple):
    """Who holds a card, as first registered. Never shown but to whoever asks for the card."""

    name: str
    gender: str
    nation: str
    birthday: str
    id_number: str
    id_type: str
    address: str
    phone1: str
    phone2: str

    def __repr__(self) -> str:
        return "Person(...)"


@dataclass(slots=True)
class Card:
    """One health card. `card_id` and `phid`: 64 hex digits; `patids`: hospital -> its latest id of the patient."""

    card_id: str
    phid: str
    person: Person = field(repr=False)
    frozen: bool = False
    patids: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def static_text(self) -> str:
        """The static QR text (3.2.2)."""
        return f"{self.card_id}:1"


class Grant(NamedTuple):
    """What a one-time code stands for, and until when."""

    subject: str
    until: datetime


class Invitation(NamedTuple):
    """A batch-registered patient who has not activated the card: the template message goes here (2.5.2, step 4)."""

    hospital_id: str
    open_id: str
    url: str
    card_id: str


class Cards:
    """All cards. `seed` makes their ids; `qr_life`, `code_life`: seconds of a dynamic QR text, of a one-time code."""

    def __init__(self, *, seed: int, qr_life: float, code_life: float) -> None:
        self._key = f"sandbox cards {seed}".encode()
        self._qr_life, self._code_life = timedelta(seconds=qr_life), timedelta(seconds=code_life)
        self._by_person: dict[tuple[str, str], Card] = {}
        self._by_id: dict[str, Card] = {}
        self._accounts: dict[str, list[str]] = {}
        self._wechat_codes: dict[str, Grant] = {}
        self._health_codes: dict[str, Grant] = {}
        self._orders: dict[str, str] = {}
        self._dynamic: dict[str, Grant] = {}
        self._swept_at: datetime | None = None
        self.invitations: dict[tuple[str, str], Invitation] = {}
        self.activated: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_id)

    # Persons and cards

    def register(self, person: Person, account: str) -> Card:
        """The person's card, new or the one that is there, now also on the account. 10056, 10057."""
        key = person.id_type, person.id_number
        card = self._by_person.get(key)
        if card is not None and card.person.name != person.name:
            raise Refusal(10056)
        card_id = card.card_id if card is not None else self._digest("card", *key)
        held = self._accounts.get(account, [])
        if account and card_id not in held and len(held) >= CARDS_AN_ACCOUNT:
            raise Refusal(10057)
        if card is None:
            card = Card(card_id, self._digest("phid", *key), person)
            self._by_person[key] = self._by_id[card_id] = card
        if account and card_id not in held:
            self._accounts.setdefault(account, []).append(card_id)
        return card

    def of_person(self, id_type: str, id_number: str) -> Card | None:
        """A person's card."""
        return self._by_person.get((id_type, id_number))

    def by_id(self, card_id: str) -> Card:
        """-10019 if there is none."""
        card = self._by_id.get(card_id)
        if card is None:
            raise Refusal(-10019)
        return card

    def of_account(self, account: str) -> list[Card]:
        """The cards of a WeChat account, in the order in which they came."""
        return [self._by_id[card_id] for card_id in self._accounts.get(account, ())]

    def freeze(self, card_id: str, frozen: bool) -> None:
        """The holder cancels or takes up his card. -10019."""
        self.by_id(card_id).frozen = frozen

    # QR texts

    def dynamic_text(self, card: Card, now: datetime) -> str:
        """A new dynamic QR text (3.2.10); earlier ones stay good until their end."""
        self._sweep(now)
        text = f"{card.card_id}:0:{secrets.token_hex(16).upper()}::{ISSUER}"
        self._dynamic[text] = Grant(card.card_id, now + self._qr_life)
        return text

    def scanned(self, text: str, now: datetime, *, dynamic_only: bool = False) -> Card:
        """The card behind a QR text: 10020 for no such text or an expired one, -10019 for no such card."""
        card_id, _, rest = text.partition(":")
        if rest == "1" and not dynamic_only:
            return self.by_id(card_id)
        if not rest.startswith("0:"):
            raise Refusal(10020)
        grant = self._dynamic.get(text)
        if grant is None or now >= grant.until:
            self.by_id(card_id)
            raise Refusal(10020, "expired")
        return self.by_id(grant.subject)

    # One-time codes

    def wechat_code(self, account: str, now: datetime) -> str:
        """A code of an account (2.3.5)."""
        return self._code(self._wechat_codes, account, now)

    def account_of(self, code: str, now: datetime) -> str:
        """Whose code it is: 10011 for no such form, 10010 for one that is unknown, spent or over. It is not spent."""
        return self._look(self._wechat_codes, code, now, malformed=10011, unknown=10010)

    def spend_wechat_code(self, code: str) -> None:
        """It did what it was for."""
        self._wechat_codes.pop(code, None)

    def health_code(self, card_id: str, now: datetime) -> str:
        """A code of a card (2.4.5)."""
        return self._code(self._health_codes, card_id, now)

    def take_health_code(self, code: str, now: datetime) -> Card:
        """The card of a code, which is spent: 10009, 10008, and 10021 for a card that was frozen meanwhile."""
        card = self.by_id(self._look(self._health_codes, code, now, malformed=10009, unknown=10008))
        if card.frozen:
            raise Refusal(10021)
        del self._health_codes[code]
        return card

    def order(self, card: Card) -> str:
        """An order for one use (3.2.8)."""
        order_id = secrets.token_hex(16)
        self._orders[order_id] = card.card_id
        return order_id

    def use_order(self, order_id: str) -> str:
        """The order's card; 10053 if there is no such order, or no more."""
        card_id = self._orders.pop(order_id, None)
        if card_id is None:
            raise Refusal(10053)
        return card_id

    # Patients of a batch

    def invite(self, invitation: Invitation) -> None:
        """A batch registered this patient (2.5)."""
        if invitation.open_id not in self.activated:
            self.invitations[invitation.hospital_id, invitation.open_id] = invitation

    def activate(self, open_id: str) -> bool:
        """2.5.2, step 6. False: no batch has registered this user."""
        invited = [key for key in self.invitations if key[1] == open_id]
        for key in invited:
            del self.invitations[key]
        if invited:
            self.activated.add(open_id)
        return bool(invited) or open_id in self.activated

    def _code(self, codes: dict[str, Grant], subject: str, now: datetime) -> str:
        self._sweep(now)
        code = secrets.token_hex(16).upper()
        codes[code] = Grant(subject, now + self._code_life)
        return code

    @staticmethod
    def _look(codes: dict[str, Grant], code: str, now: datetime, *, malformed: int, unknown: int) -> str:
        if len(code) != 32 or not code.isalnum() or not code.isascii():
            raise Refusal(malformed)
        grant = codes.get(code)
        if grant is None or now >= grant.until:
            raise Refusal(unknown)
        return grant.subject

    def _sweep(self, now: datetime) -> None:
        """Forget what is over, once a minute."""
        if self._swept_at is not None and timedelta() <= now - self._swept_at < timedelta(minutes=1):
            return
        self._swept_at = now
        for grants in (self._dynamic, self._wechat_codes, self._health_codes):
            for name in [name for name, grant in grants.items() if now >= grant.until]:
                del grants[name]

    def _digest(self, *parts: str) -> str:
        return hmac.new(self._key, "\0".join(parts).encode(), hashlib.sha256).hexdigest().upper()


def everybody(cards: Cards) -> Iterator[Card]:
    """All cards, in the order in which they were made."""
    return iter(cards._by_id.values())
