"""Sandbox surroundings: what a flow needs beside the interfaces, as the project's sandbox offers it (docs/sandbox.md).

The user, his WeChat and the HIS are made up. Against anything but the sandbox a flow cannot be rehearsed: nobody is
there to touch the platform's pages.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Final

import httpx

from card_usage.errors import FlowBroken
from card_usage.open_platform.flows import Person
from card_usage.standard.id_numbers import check_digit

BACK: Final = "https://isv.example.org/health-card"
_FAMILY, _GIVEN = "赵钱孙李周吴郑王冯陈", "甲乙丙丁戊己庚辛壬癸"


class SandboxSurroundings:
    """Of one sandbox at `pages`."""

    def __init__(self, pages: str, http: httpx.AsyncClient, *, app_id: str, back: str = BACK) -> None:
        self.pages, self.back = pages, back
        self._http, self._app_id = http, app_id
        self._patids: dict[str, str] = {}

    async def visit(self, url: str, user: str) -> str:
        """The page as the sandbox serves it: a redirect, or a page that says why not."""
        response = await self._get(f"{url}&user={user}")
        if response.status_code != 302:
            raise FlowBroken(step="-", problem=f"the page leads nowhere (HTTP {response.status_code})")
        return response.headers["location"]

    async def take_into_package(self, order_id: str) -> None:
        """By the sandbox's page of the card package."""
        for expected in (0, 10053):  # good for one use
            answer = await self._http.post(f"{self.pages}/sandbox/use-order", json={"orderId": order_id})
            if self._json(answer).get("resultCode") != expected:
                raise FlowBroken(step="-", problem="the order is not good for exactly one use")

    async def offline_wechat_code(self) -> str:
        """As the sandbox tells it."""
        found = self._json(await self._get(f"{self.pages}/sandbox/offline-code?app_id={self._app_id}"))
        return str(found.get("wechatCode", ""))

    async def template_messages(self) -> list[str]:
        """Whom the sandbox would tell."""
        listed: Any = (await self._get(f"{self.pages}/sandbox/invitations")).json()
        return [str(each.get("openId")) for each in listed]

    async def patid_of(self, person: Person) -> str:
        """A HIS with nobody in it yet."""
        return self._patids.setdefault(person.id_number, f"P{len(self._patids) + 1:06}")

    async def _get(self, url: str) -> httpx.Response:
        try:
            return await self._http.get(url)
        except httpx.HTTPError as error:
            raise FlowBroken(step="-", problem=f"the sandbox's pages cannot be had ({type(error).__name__})") from None

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        try:
            found = response.json()
        except ValueError:
            found = None
        if response.status_code != 200 or not isinstance(found, dict):
            problem = "there is no /sandbox/: flows are rehearsed against python -m platform_sandbox"
            raise FlowBroken(step="-", problem=problem)
        return found


def made_up_person(random: Random) -> Person:
    """Somebody who does not exist, with an ID number that passes every check."""
    born = date(1950, 1, 1) + timedelta(days=random.randrange(20_000))
    order = random.randrange(1, 1000)
    first = f"110101{born:%Y%m%d}{order:03}"
    return Person(
        name=random.choice(_FAMILY) + random.choice(_GIVEN) + random.choice(_GIVEN),
        id_number=first + check_digit(first),
        birthday=born.isoformat(),
        gender="男" if order % 2 else "女",
        phone=f"139{random.randrange(10**8):08}",
    )
