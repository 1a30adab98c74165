"""Flows: what happens between user, ISV, HIS and platform when a card is made and used (document 2.3 to 2.6, and
scan-to-treat), as sequences that run against a sandbox.

A flow's steps are listed in flow_steps.py, from which docs/flows.md is written, and carried out here in their order;
tests hold that a run takes all of them and calls the very interfaces that they name. An ISV reads a function to see
which answer goes where.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from card_usage.errors import FlowBroken
from card_usage.interfaces.messages import (
    BindCardRelation,
    Card,
    GetDynamicQrCode,
    GetHealthCardByHealthCode,
    GetHealthCardByQrCode,
    GetOrderIdByOutAppId,
    OcrInfo,
    PatientToRegister,
    RegisterBatchHealthCard,
    RegisteredCard,
    RegisterHealthCard,
    ReportHisData,
    VerifyQrCode,
)
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.flow_steps import FLOWS, Flow, Step
from card_usage.open_platform.redirects import (
    HEALTH_CODE,
    WECHAT_CODE,
    activation_url,
    card_list_url,
    returned,
    user_code_url,
)
from card_usage.standard.qr_texts import card_id
from card_usage.windows import local


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who comes to the hospital. Never shown."""

    name: str = field(repr=False)
    id_number: str = field(repr=False)
    birthday: str = field(repr=False)
    gender: str = field(repr=False)
    phone: str = field(repr=False)
    nation: str = field(default="汉族", repr=False)

    def registration(self, wechat_code: str) -> RegisterHealthCard:
        """The request for a card of his own (3.2.2)."""
        return RegisterHealthCard(
            wechat_code=wechat_code,
            name=self.name,
            gender=self.gender,
            nation=self.nation,
            birthday=self.birthday,
            id_number=self.id_number,
            id_type="01",
            phone1=self.phone,
        )

    def in_batch(self, wechat_code: str, *, patid: str, open_id: str, wechat_url: str) -> PatientToRegister:
        """The same as one patient of a batch (3.2.9)."""
        return PatientToRegister(
            wechat_code=wechat_code,
            name=self.name,
            gender=self.gender,
            nation=self.nation,
            birthday=self.birthday,
            id_number=self.id_number,
            id_type="01",
            phone1=self.phone,
            patid=patid,
            open_id=open_id,
            wechat_url=wechat_url,
        )


class Surroundings(Protocol):
    """What is not the platform's interfaces: the user with WeChat, the platform's pages, the HIS. `pages`: where the
    pages are; `back`: the ISV's own page, to which they lead back."""

    pages: str
    back: str

    async def visit(self, url: str, user: str) -> str:
        """The user opens a page of the platform; gives the address that it leads back to."""
        ...

    async def take_into_package(self, order_id: str) -> None:
        """The user takes the card into the WeChat card package, on the page that the platform's settings name."""
        ...

    async def offline_wechat_code(self) -> str:
        """The fixed code of batches, from the platform's staff (3.2.9)."""
        ...

    async def template_messages(self) -> list[str]:
        """The openIds to whom the platform's website would send the message (2.5.2, step 4)."""
        ...

    async def patid_of(self, person: Person) -> str:
        """The HIS: the hospital's id of a person, who is filed if he is not yet."""
        ...


@dataclass(kw_only=True)
class Story:
    """A run of a flow: who takes part, and the steps taken so far."""

    platform: OpenPlatform
    around: Surroundings
    app_id: str
    now: datetime
    picture: str = ""
    taken: list[Step] = field(default_factory=list)
    on_step: Callable[[Step], None] | None = None

    def step(self, flow: Flow) -> None:
        """The next step of the flow was taken."""
        step = flow.steps[len(self.taken)]
        self.taken.append(step)
        if self.on_step is not None:
            self.on_step(step)

    def expect(self, holds: bool, what: str) -> None:
        """Raises FlowBroken where the platform did not do what the document says; `what` names no value."""
        if not holds:
            raise FlowBroken(step=len(self.taken) + 1, problem=what)


async def _new_card(story: Story, person: Person) -> None:
    """2.3: a user without a card makes one at this hospital, and the card is bound to the hospital's own id."""
    flow, platform, around = FLOWS["new-card"], story.platform, story.around
    way_back = await around.visit(user_code_url(around.back, pages=around.pages), "user-new")
    wechat_code = returned(way_back, WECHAT_CODE)
    story.step(flow)
    if story.picture:
        read = (await platform.call(OcrInfo(image_content=story.picture))).result().card_info
        year, month, day = (int(part) for part in read.birth.split("/"))
        person = Person(
            name=read.name,
            id_number=read.id_number,
            birthday=f"{year:04}-{month:02}-{day:02}",
            gender=read.gender,
            nation=f"{read.nation}族",
            phone=person.phone,
        )
    story.step(flow)
    registered = (await platform.call(person.registration(wechat_code))).result()
    story.step(flow)
    patid = await _bound(story, flow, person, registered.qr_code_text)
    card = await _chosen(story, "user-new")
    story.expect(card.patid == patid, "the card does not come with the hospital's id that was bound")
    story.step(flow)
    await _shown(story, _card_of(registered), person)
    story.step(flow)


async def _known_card(story: Story, person: Person) -> None:
    """2.4: a user who has a card from elsewhere makes it this hospital's with one touch."""
    flow, platform, around = FLOWS["known-card"], story.platform, story.around
    await register_by_page(platform, around, person, "user-known")
    way_back = await around.visit(card_list_url(around.back, pages=around.pages), "user-known")
    health_code = returned(way_back, HEALTH_CODE)
    story.step(flow)
    card = (await platform.call(GetHealthCardByHealthCode(health_code=health_code))).result().card
    story.expect(card.id_number == person.id_number, "another person's card came")
    story.step(flow)
    patid = await _bound(story, flow, person, card.qr_code_text)
    seen = await _chosen(story, "user-known")
    story.expect(seen.patid == patid, "the card does not come with the hospital's id that was bound")
    story.step(flow)


async def _batch(story: Story, person: Person) -> None:
    """2.5: patients of the hospital get cards all at once; each activates his own from a message or a menu."""
    flow, platform, around = FLOWS["batch"], story.platform, story.around
    open_id = f"open-{person.id_number[-6:]}"
    wechat_code, patid = await around.offline_wechat_code(), await around.patid_of(person)
    item = person.in_batch(wechat_code, patid=patid, open_id=open_id, wechat_url=around.back)
    story.step(flow)
    done = await platform.register(RegisterBatchHealthCard(health_card_items=(item,)))
    story.expect(done.answered is not None, "the patient was not sent")
    assert done.answered is not None  # noqa: S101 - expected above
    (answer,) = done.answered.result().rsp_items
    story.expect(bool(answer.qr_code_text), "the patient was not registered")
    story.step(flow)
    story.expect(open_id in await around.template_messages(), "the patient is not among those to be told")
    story.step(flow)
    way_back = await around.visit(activation_url(open_id, around.back, pages=around.pages), "user-batch")
    story.expect(way_back == around.back, "the activation leads elsewhere")
    story.expect(open_id not in await around.template_messages(), "the card is not activated")
    story.step(flow)
    await _shown(story, card_id(answer.qr_code_text, answer.health_card_id), person)
    story.step(flow)


async def _card_package(story: Story, person: Person) -> None:
    """2.6: a user takes the card into the WeChat card package."""
    flow, platform, around = FLOWS["card-package"], story.platform, story.around
    card = await register_by_page(platform, around, person, "user-package")
    story.step(flow)
    asked = GetOrderIdByOutAppId(app_id=story.app_id, qr_code_text=card.qr_code_text)
    order = (await platform.call(asked)).result()
    story.step(flow)
    await around.take_into_package(order.order_id)
    story.step(flow)


async def _scan(story: Story, person: Person) -> None:
    """Scan to treat, with a static QR text (3.2.4) and with a dynamic one (3.2.11)."""
    flow, platform = FLOWS["scan"], story.platform
    card = _card_of(await register_by_page(platform, story.around, person, "user-scan"))
    static = f"{card}:1"
    story.step(flow)
    holder = (await platform.call(GetHealthCardByQrCode(qr_code_text=static))).result().card
    story.expect(holder.id_number == person.id_number, "another person's card came")
    story.step(flow)
    time = f"{local(story.now):%Y-%m-%d %H:%M:%S}"
    use = ReportHisData(
        qr_code_text=static,
        time=time,
        hospital_id=platform.hospital_id,
        hospital_code=platform.hospital_id if platform.profile == "current" else "",
        scene="010102",
        card_type="11",
        card_channel="0100",
    )
    (await platform.call(use)).result()
    story.step(flow)
    dynamic = await _shown(story, card, person)
    story.step(flow)
    verified = (
        await platform.call(
            VerifyQrCode(
                qr_code_text=dynamic,
                terminal_id="window-1",
                time=time,
                medical_step="010103",
                use_city_code="110000",
                use_city_name="北京市",
                hospital_code=platform.hospital_id,
                hospital_name="演练医院",
                use_channel="0100",
            )
        )
    ).result()
    story.expect(verified.id_number == person.id_number, "another person's card came")
    story.step(flow)


async def register_by_page(platform: OpenPlatform, around: Surroundings, person: Person, user: str) -> RegisteredCard:
    """The user's wechatCode comes from the platform's page, and the person gets a card by it."""
    way_back = await around.visit(user_code_url(around.back, pages=around.pages), user)
    return (await platform.call(person.registration(returned(way_back, WECHAT_CODE)))).result()


async def _bound(story: Story, flow: Flow, person: Person, qr_code_text: str) -> str:
    """Two steps: the HIS knows the person, and the card is bound to its id, which is given back."""
    patid = await story.around.patid_of(person)
    story.step(flow)
    bound = (await story.platform.call(BindCardRelation(patid=patid, qr_code_text=qr_code_text))).result()
    story.expect(bound.result, "the card was not bound")
    story.step(flow)
    return patid


async def _chosen(story: Story, user: str) -> Card:
    """The card that a user chooses on the platform's page."""
    around = story.around
    way_back = await around.visit(card_list_url(around.back, pages=around.pages), user)
    asked = GetHealthCardByHealthCode(health_code=returned(way_back, HEALTH_CODE))
    return (await story.platform.call(asked)).result().card


async def _shown(story: Story, card: str, person: Person) -> str:
    """The dynamic QR text that a page shows."""
    asked = GetDynamicQrCode(health_card_id=card, id_type="01", id_number=person.id_number)
    code = (await story.platform.call(asked)).result()
    story.expect(bool(code.qr_code_img), "the dynamic QR code comes without its picture")
    return code.qr_code_text


def _card_of(registered: RegisteredCard) -> str:
    return card_id(registered.qr_code_text, registered.health_card_id)


RUNS: Final[Mapping[str, Callable[[Story, Person], Awaitable[None]]]] = {
    "new-card": _new_card,
    "known-card": _known_card,
    "batch": _batch,
    "card-package": _card_package,
    "scan": _scan,
}
"""What carries out each flow of FLOWS."""


async def run_flow(name: str, story: Story, person: Person) -> None:
    """Take every step of a flow. Raises FlowBroken, CallRefused or RedirectRefused where one fails."""
    await RUNS[name](story, person)
