"""Acceptance items: what is tried of each demand of document 2.8.3, against a sandbox whose faults may be changed."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any, Final
from uuid import uuid4

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from card_usage.config.connections import Connection
from card_usage.context import Context
from card_usage.errors import RequestRefused
from card_usage.interfaces.declaration import Form, parameters
from card_usage.interfaces.messages import (
    GetDynamicQrCode,
    GetHealthCardByQrCode,
    OcrInfo,
    PatientToRegister,
    RegisterBatchHealthCard,
    ReportHisData,
)
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.advice import advice
from card_usage.open_platform.client import Gate, OpenPlatform
from card_usage.open_platform.flow_steps import FLOWS
from card_usage.open_platform.flows import Person, Story, register_by_page, run_flow
from card_usage.open_platform.sandbox_surroundings import SandboxSurroundings, made_up_person
from card_usage.open_platform.session import LedgerGate
from card_usage.open_platform.validation import problems
from card_usage.platform.client import Credentials, Platform
from card_usage.platform.outcome import Answer, classify, meanings
from card_usage.standard.qr_texts import card_id
from card_usage.windows import local
from card_usage.words.catalogue import Words

FAULTS: Final = (
    *("drop_before", "drop_after", "http_500", "html", "truncated", "wrong_request_id"),
    *("gateway_403", "gateway_429", "gateway_503", "lost", "lost_503", "busy", "slow"),
)
TIMEOUT: Final = 2.0
_SLOW_MS: Final = 4_000.0
_LOSSES: Final = {"drop_after": 0.25, "lost": 0.15, "gateway_503": 0.1, "truncated": 0.1}
_MOST_SECONDS: Final = 3.0
"""2.8.3.9: a QR code within three seconds."""
_RARE: Final = "𠮷"
_NO_ID: Final = "iVBORw0KGgo="
"""The beginning of a PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item of the review. `section`: of the document; `name`: key of its words; `figures`: what was counted."""

    name: str
    section: str
    passed: bool
    figures: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"item": self.name, "section": self.section, "passed": self.passed, "figures": self.figures}


class Review:
    """The items, each with what it needs."""

    def __init__(
        self, context: Context, connection: Connection, http: httpx.AsyncClient, caller: Platform, gate: LedgerGate
    ) -> None:
        self._context, self._connection, self._http = context, connection, http
        self._caller, self._gate = caller, gate
        self._settings = context.hospital.platform
        self._platform = self._client(caller)
        self._around = SandboxSurroundings(connection.base_url(), http, app_id=connection.login)
        self._random = SystemRandom()

    def _client(self, caller: Platform, gate: Gate | None = None) -> OpenPlatform:
        return OpenPlatform(
            caller,
            gate or self._gate,
            hospital_id=self._settings.hospital_id,
            tables=self._context.tables,
            profile=self._settings.profile,
        )

    async def calm(self) -> None:
        """No faults."""
        (await self._http.request("DELETE", "/sandbox/faults")).raise_for_status()

    async def _faults(self, **faults: float | bool) -> None:
        await self.calm()
        (await self._http.post("/sandbox/faults", json={"on_cards": True, **faults})).raise_for_status()

    async def _counts(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._http.get("/sandbox/counts")).json()
        return found

    # 2.8.3.1

    async def protocol(self, own: Connection | None) -> Item:
        """HTTPS for the hospital's own platform; JSON in UTF-8, with a character beyond the usual ones."""
        secure = own is not None and own.base_url().startswith("https://")
        person = replace(self._person(), name=f"演练{_RARE}")
        text = await self._register(person)
        card = (await self._platform.call(GetHealthCardByQrCode(qr_code_text=text))).result().card
        whole = card.name == person.name
        figures = {"https": secure, "utf8": whole}
        return Item(name="protocol", section="2.8.3.1", passed=secure and whole, figures=figures)

    async def untrusted(self) -> Item:
        """A certificate that nobody vouches for: nothing is sent."""
        received = bytearray()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read(1))
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=_self_signed())
        try:
            port = server.sockets[0].getsockname()[1]
            credentials = Credentials(app_id="review", app_secret="review")  # noqa: S106 - of nobody
            async with Platform(f"https://127.0.0.1:{port}", credentials, call_timeout=TIMEOUT) as caller:
                reply, _ = await caller.call(
                    INTERFACES["getHealthCardByQRCode"].path,
                    token="review",  # noqa: S106
                    request_id=uuid4().hex,
                    hospital_id="review",
                    req={},
                    now=self._gate.now(),
                )
        finally:
            server.close()
        passed = reply.answer is Answer.NOT_SENT and not received
        return Item(name="untrusted", section="2.8.3.1", passed=passed, figures={"bytes": len(received)})

    # 2.8.3.6 (1)

    async def exchange(self) -> Item:
        """Every interface is called and answered: all flows of the document, and a picture without an ID."""
        before = (await self._counts())["by_interface"]
        (await self._http.post("/sandbox/evict")).raise_for_status()  # so that a token is fetched
        for name in FLOWS:
            story = Story(
                platform=self._platform,
                around=self._around,
                app_id=self._connection.login,
                now=self._gate.now(),
            )
            await run_flow(name, story, self._person())
        read = await self._platform.call(OcrInfo(image_content=_NO_ID))
        after = (await self._counts())["by_interface"]
        called = {name for name in INTERFACES if after.get(name, 0) > before.get(name, 0)}
        figures = {"interfaces": len(called), "flows": len(FLOWS)}
        passed = called == INTERFACES.keys() and read.reply.answer is Answer.REFUSED
        return Item(name="exchange", section="2.8.3.6", passed=passed, figures=figures)

    async def codes(self) -> Item:
        """Every result code is answered once, and handled by its class."""
        text = await self._register(self._person())
        platform = self._client(self._caller, _Steady(self._gate))
        handled: Counter[str] = Counter()
        wrong = []
        for code in meanings():
            if code == 0:
                continue
            asked = GetHealthCardByQrCode(qr_code_text=text)
            answered = await platform.call(asked, request_id=f"RETURN.{code}.{uuid4().hex}")
            right = answered.reply.result_code == code and answered.reply.answer is classify(code)
            if right and answered.rsp is None and advice(code, Words("zh")):
                handled[f"class {answered.reply.answer}"] += 1
            else:
                wrong.append(code)
        figures: dict[str, Any] = {"codes": handled.total(), **dict(sorted(handled.items()))}
        if wrong:
            figures["wrong"] = wrong
        return Item(name="codes", section="2.8.3.6", passed=not wrong, figures=figures)

    async def wire(self) -> Item:
        """Each trouble of the wire is told as one, never as an answer."""
        text = await self._register(self._person())
        told: dict[str, Any] = {}
        passed = True
        for fault in FAULTS:
            await self._faults(**{fault: 1.0, "slow_ms": _SLOW_MS})
            answered = await self._platform.call(GetHealthCardByQrCode(qr_code_text=text))
            told[fault] = answered.reply.answer.value
            passed &= answered.rsp is None and answered.reply.answer not in {Answer.ACCEPTED, Answer.REPEATED}
        return Item(name="wire", section="2.8.3.6", passed=passed, figures=told)

    async def token(self) -> Item:
        """A token that was lost to somebody else is renewed, and the call made again."""
        text = await self._register(self._person())
        (await self._http.post("/sandbox/evict")).raise_for_status()
        answered = await self._platform.call(GetHealthCardByQrCode(qr_code_text=text))
        return Item(name="token", section="2.8.3.6", passed=answered.rsp is not None)

    # 2.8.3.6 (2)

    async def lost_answers(self, reports: int) -> Item:
        """Answers are lost: every use arrives, none twice."""
        before = await self._counts()
        await self._faults(**_LOSSES)
        uses = [self._use(number) for number in range(reports)]
        answers: Counter[str] = Counter()
        together = asyncio.Semaphore(16)

        async def report(use: ReportHisData) -> None:
            async with together:
                answered = await self._platform.call(use, tries=40)
                answers[answered.reply.answer.value] += 1

        await asyncio.gather(*(report(use) for use in uses))
        await self.calm()
        after = await self._counts()
        arrived, doubled = (after[name] - before[name] for name in ("accepted", "doubled"))
        lost = sum((after["faults"].get(name, 0) - before["faults"].get(name, 0)) for name in _LOSSES)
        figures = {"sent": reports, "arrived": arrived, "doubled": doubled, "lost answers": lost, **answers}
        passed = arrived == reports and doubled == 0
        return Item(name="lost_answers", section="2.8.3.6", passed=passed, figures=figures)

    async def replay(self) -> Item:
        """The same requestId again is carried out once."""
        before = await self._counts()
        use, request_id = self._use(0), uuid4().hex.upper()
        first, second = [(await self._platform.call(use, request_id=request_id)).reply for _ in range(2)]
        arrived = (await self._counts())["accepted"] - before["accepted"]
        passed = (first.answer, second.answer, arrived) == (Answer.ACCEPTED, Answer.REPEATED, 1)
        return Item(name="replay", section="2.8.3.6", passed=passed, figures={"sent": 2, "arrived": arrived})

    async def tampering(self) -> Item:
        """A call whose signature does not fit is refused (21006), and told as our own mistake."""
        credentials = Credentials(app_id=self._connection.login, app_secret=f"{self._connection.password}x")
        async with Platform(self._connection.base_url(), credentials, call_timeout=TIMEOUT) as caller:
            reply = (await self._client(caller).call(self._use(0))).reply
        passed = (reply.result_code, reply.answer) == (21006, Answer.MISCONFIGURED)
        return Item(name="tampering", section="2.8.3.6", passed=passed, figures={"code": reply.result_code})

    async def refused_before_sending(self) -> Item:
        """What the document requires and is not there: told with its message, and nothing is sent."""
        before = (await self._counts())["calls"]
        told = required = 0
        for interface in INTERFACES.values():
            declared = parameters(interface.request)
            empty = interface.request(**{name: () if p.form is Form.LIST else "" for name, p in declared.items()})
            named = {problem.path for problem in problems(empty, self._context.tables, self._settings.profile)}
            wanted = {parameter.name for parameter in declared.values() if parameter.required}
            told, required = told + len(named & wanted), required + len(wanted)
            try:
                await self._platform.call(empty)
            except RequestRefused:
                pass
            else:
                required += 1
        sent = (await self._counts())["calls"] - before
        figures = {"required": required, "told": told, "sent": sent}
        passed = told == required and sent == 0
        return Item(name="refused_before_sending", section="2.8.3.6", passed=passed, figures=figures)

    # 2.8.3.6 (3)

    async def nested(self) -> Item:
        """A batch: nested JSON is signed, mixed results are read item by item, bad items are not sent."""
        people = [self._person() for _ in range(5)]
        code = await self._around.offline_wechat_code()
        items = [self._item(person, code, at) for at, person in enumerate(people)]
        # One that is never sent, and one whom the platform cannot verify.
        items[1] = replace(items[1], phone1="")
        items[2] = replace(items[2], gender="女" if people[2].gender == "男" else "男")
        done = await self._platform.register(RegisterBatchHealthCard(health_card_items=tuple(items)))
        answered = done.answered.result().rsp_items if done.answered is not None else ()
        registered = sum(bool(item.qr_code_text) for item in answered)
        figures = {"items": 5, "not sent": len(done.parted.bad), "registered": registered}
        passed = (list(done.parted.bad), len(answered), registered) == ([1], 4, 3)
        return Item(name="nested", section="2.8.3.6", passed=passed, figures=figures)

    # 2.8.3.8, 2.8.3.9

    async def load(self, calls: int) -> Item:
        """Many calls at once: all are answered."""
        text = await self._register(self._person())
        asked = GetHealthCardByQrCode(qr_code_text=text)
        together = asyncio.Semaphore(self._settings.concurrency)
        seconds: list[float] = []
        failed = 0

        async def call() -> None:
            nonlocal failed
            async with together:
                began = time.perf_counter()
                answered = await self._platform.call(asked)
                seconds.append(time.perf_counter() - began)
                failed += answered.rsp is None

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(calls)))
        took = time.perf_counter() - began
        figures = {
            "calls": calls,
            "at once": self._settings.concurrency,
            "failed": failed,
            "a second": round(calls / took),
            **_times(seconds),
        }
        return Item(name="load", section="2.8.3.8", passed=failed == 0, figures=figures)

    async def qr_time(self) -> Item:
        """A dynamic QR code in less than three seconds."""
        person = self._person()
        card = card_id(await self._register(person))
        asked = GetDynamicQrCode(health_card_id=card, id_type="01", id_number=person.id_number)
        seconds = []
        for _ in range(20):
            began = time.perf_counter()
            (await self._platform.call(asked)).result()
            seconds.append(time.perf_counter() - began)
        passed = max(seconds) < _MOST_SECONDS
        return Item(name="qr_time", section="2.8.3.9", passed=passed, figures={"calls": 20, **_times(seconds)})

    # What they need

    def _person(self) -> Person:
        return made_up_person(self._random)

    async def _register(self, person: Person) -> str:
        """The QR text of a new card."""
        user = f"review-{uuid4().hex[:8]}"
        return (await register_by_page(self._platform, self._around, person, user)).qr_code_text

    def _item(self, person: Person, code: str, at: int) -> PatientToRegister:
        open_id = f"review-{uuid4().hex[:12]}"
        return person.in_batch(code, patid=f"P{at}", open_id=open_id, wechat_url=self._around.back)

    def _use(self, number: int) -> ReportHisData:
        """A card use that no other one equals."""
        person = self._person()
        moment = local(self._gate.now()) - timedelta(seconds=number)
        code = self._settings.hospital_id if self._settings.profile == "current" else ""
        return ReportHisData(
            id_card_number=person.id_number,
            name=person.name,
            time=f"{moment:%Y-%m-%d %H:%M:%S}",
            hospital_id=self._settings.hospital_id,
            hospital_code=code,
            scene="010102",
            card_type="01",
            card_channel="0100",
        )


class _Steady:
    """A gate whose token is not lost by the codes that say so: they were asked for, and it is good."""

    def __init__(self, gate: LedgerGate) -> None:
        self._gate = gate
        self.token, self.admit, self.pause, self.now = gate.token, gate.admit, gate.pause, gate.now

    async def lost(self, token: str) -> None:
        """It is not."""

    async def bound(self, patid: str, qr_code_text: str) -> None:
        """Nobody's card is kept."""

    async def exhausted(self, interface: str) -> None:
        """Nothing is."""


def _times(seconds: list[float]) -> dict[str, Any]:
    """Half of the calls took at most the one, 95 of 100 the other, none more than the last; in milliseconds."""
    ranked = sorted(seconds)
    at = {"ms, half": 0.5, "ms, 95 of 100": 0.95}
    shown = {name: round(ranked[int(share * (len(ranked) - 1))] * 1000, 1) for name, share in at.items()}
    return shown | {"ms, longest": round(ranked[-1] * 1000, 1)}


def _self_signed() -> ssl.SSLContext:
    """A server's TLS with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="card_usage_") as folder:
        file = Path(folder) / "server.pem"
        file.touch(mode=0o600)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        file.write_bytes(private + certificate.public_bytes(pem))
        context.load_cert_chain(file)
    return context
