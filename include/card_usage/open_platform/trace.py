"""Trace: a call as the vendor's SDK logs it (document 3.1.4): text to be signed, signature, request, answer.

The secret and the token are always masked, patients unless it is asked for otherwise. What the table does not declare
is masked as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from card_usage.interfaces.declaration import Form, Interface, Message, parameters
from card_usage.interfaces.table import INTERFACES
from card_usage.platform.client import Platform
from card_usage.platform.reader import Unreadable
from card_usage.platform.signature import signature, signed_text
from card_usage.standard.misplaced import may_name

MASK: Final = "***"
_BY_PATH: Final = {each.path: each for each in INTERFACES.values()}
_COMMON_OUT: Final = ("requestId", "resultCode", "errMsg")


class Trace:
    """The lines of every call that a platform makes. `unmasked`: with what is about patients."""

    def __init__(self, platform: Platform, *, unmasked: bool = False) -> None:
        self.lines: list[str] = []
        self._secret, self._unmasked = platform.credentials.app_secret, unmasked
        platform.listener = self._heard

    def _heard(
        self,
        path: str,
        common: Mapping[str, str | int],
        token: str,
        req: Mapping[str, object],
        status: int,
        content: bytes | Unreadable,
    ) -> None:
        interface = _BY_PATH[path]
        whole = {"appToken": token, **common}
        sign = signature(whole, req, self._secret)
        shown = whole | {"appToken": MASK if token else ""}
        masked = masked_parameters(interface.request, req, unmasked=self._unmasked)
        self.lines += [
            f"# {interface.section} {interface.name}",
            f"签名原文(排序+secret): {signed_text(shown, masked)}{MASK}",
            f"签名: {sign}",
            f"输入参数: {_json({'commonIn': shown | {'sign': sign}, 'req': masked})}",
            f"输出参数: {self._answer(interface, status, content)}",
        ]

    def _answer(self, interface: Interface, status: int, content: bytes | Unreadable) -> str:
        if isinstance(content, Unreadable):
            return f"HTTP {status}, {content}"
        try:
            answer = json.loads(content)
            common, rsp = answer["commonOut"], answer.get("rsp") or {}
            told = {name: common[name] for name in _COMMON_OUT if name in common}
            return _json(
                {"commonOut": told, "rsp": masked_parameters(interface.response, rsp, unmasked=self._unmasked)}
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return f"HTTP {status}, {len(content)} bytes that are no answer of the document"


def masked_parameters(kind: type[Message], values: Mapping[str, Any], *, unmasked: bool = False) -> dict[str, Any]:
    """Parameters by name, with a mask for those about patients, for a token, for what is not declared, and for what
    looks like a patient's number wherever it stands."""
    declared = {parameter.name: parameter for parameter in parameters(kind).values()}
    shown: dict[str, Any] = {}
    for name, value in values.items():
        parameter = declared.get(name)
        if parameter is not None and parameter.message is not None:
            if parameter.form is Form.LIST and isinstance(value, list):
                shown[name] = [
                    masked_parameters(parameter.message, item, unmasked=unmasked) if isinstance(item, dict) else MASK
                    for item in value
                ]
            elif isinstance(value, dict):
                shown[name] = masked_parameters(parameter.message, value, unmasked=unmasked)
            else:
                shown[name] = MASK
        elif name == "appToken" or (not unmasked and (parameter is None or parameter.patient) and value):
            shown[name] = MASK
        elif not unmasked and isinstance(value, str) and may_name(value):
            shown[name] = MASK  # in a parameter that is about nobody
        else:
            shown[name] = value
    return shown


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
