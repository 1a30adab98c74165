"""Validation: what is wrong with a request, found before it is sent, in the words of document 3.2.12.

Problems name the parameter and the document's section, never a value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from card_usage.errors import RequestRefused
from card_usage.interfaces.declaration import Form, Message, Parameter, Request, parameters
from card_usage.interfaces.messages import PatientToRegister, RegisterBatchHealthCard
from card_usage.interfaces.table import INTERFACES, interface_of
from card_usage.platform.outcome import meanings
from card_usage.standard import id_numbers
from card_usage.standard.code_tables import CodeTable

TOO_LONG: Final = 20004
NO_RESIDENT_ID: Final = -10027
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)

Tables = Mapping[str, CodeTable]
"""Code table by name, as `load_tables` gives them."""
_Req = TypeVar("_Req", bound=Request[Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One parameter that is not as the document demands. `path`: as `healthCardItems[3].idNumber`; `code`: of 3.2.12;
    `hint`: what the code does not say."""

    path: str
    code: int
    section: str
    hint: str = ""

    @property
    def meaning(self) -> str:
        """The document's message."""
        return meanings()[self.code]

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.path}: {self.meaning} ({self.code}, document {self.section}{hint})"


def problems(request: Request[Any], tables: Tables, profile: str = "v2.1") -> list[Problem]:
    """Everything that is wrong with a request, in the document's order; nothing: it may be sent."""
    return list(_Validator(interface_of(request).section, tables, profile).message(request, ""))


def checked(request: _Req, tables: Tables, profile: str = "v2.1") -> _Req:
    """The request. Raises RequestRefused."""
    if found := problems(request, tables, profile):
        raise RequestRefused(interface=request.interface, count=len(found), problems="; ".join(map(str, found[:5])))
    return request


@dataclass(frozen=True, kw_only=True, slots=True)
class Parted:
    """A batch without its bad items. `good`: None if there is none; `bad`: position in the batch -> its problems."""

    good: RegisterBatchHealthCard | None
    bad: Mapping[int, list[Problem]]


def parted(batch: RegisterBatchHealthCard, tables: Tables, profile: str = "v2.1") -> Parted:
    """Take the bad items out of a batch, so that the others can be sent. Of two with one ID number the later is bad:
    the answer tells items apart by nothing else."""
    validator = _Validator(interface_of(batch).section, tables, profile)
    good: list[PatientToRegister] = []
    bad: dict[int, list[Problem]] = {}
    numbers: set[str] = set()
    for at, item in enumerate(batch.health_card_items):
        if found := list(validator.item(item, at, numbers)):
            bad[at] = found
        else:
            good.append(item)
    return Parted(good=RegisterBatchHealthCard(health_card_items=tuple(good)) if good else None, bad=bad)


def item_problems(item: PatientToRegister, tables: Tables, profile: str = "v2.1") -> list[Problem]:
    """What is wrong with one patient of a batch; paths are the parameters alone."""
    section = INTERFACES[RegisterBatchHealthCard.interface].section
    return list(_Validator(section, tables, profile).message(item, ""))


class _Validator:
    def __init__(self, section: str, tables: Tables, profile: str) -> None:
        self._section, self._tables, self._profile = section, tables, profile

    def message(self, message: Message, path: str) -> Iterator[Problem]:
        for parameter in parameters(type(message)).values():
            value = getattr(message, parameter.attribute)
            problem = next(self._parameter(message, parameter, value, path + parameter.name), None)
            if problem is not None:
                yield problem
            elif parameter.form is Form.LIST:
                numbers: set[str] = set()
                for at, item in enumerate(value):
                    yield from self.item(item, at, numbers, path + parameter.name)

    def item(self, item: Message, at: int, numbers: set[str], name: str = "healthCardItems") -> Iterator[Problem]:
        """Of one item of a batch; `numbers`: the ID numbers of those before it, to which its own is added."""
        path = f"{name}[{at}]."
        yield from self.message(item, path)
        number = getattr(item, "id_number", "")
        if number and number in numbers:
            yield self._problem(f"{path}idNumber", 10042, "the same number stands further up in the batch")
        numbers.add(number)

    def _problem(self, path: str, code: int, hint: str = "") -> Problem:
        return Problem(path=path, code=code, section=self._section, hint=hint)

    def _parameter(self, message: Message, parameter: Parameter, value: Any, path: str) -> Iterator[Problem]:
        """At most the first of what it gives counts."""
        if parameter.form is Form.LIST:
            if not value:
                yield self._problem(path, parameter.missing, "it is empty")
            elif parameter.limit is not None and len(value) > parameter.limit:
                yield self._problem(path, TOO_LONG, f"at most {parameter.limit} items a batch (our limit)")
            return
        if not isinstance(value, str):
            yield self._problem(path, 20001, "it is no text")
        elif not value or value.isspace():
            if value or self._is_required(message, parameter):
                yield self._problem(path, parameter.missing, "it is absent" if not value else "it is blank")
        elif parameter.limit is not None and len(value) > parameter.limit:
            yield self._problem(path, TOO_LONG, f"longer than {parameter.limit} characters (our limit)")
        elif not value.isprintable():
            yield self._problem(path, 20001, "it holds a control character, which would be signed in two ways")
        elif parameter.values and value not in parameter.values:
            yield self._problem(path, parameter.wrong, f"it is one of {', '.join(parameter.values)}")
        elif parameter.table is not None and not self._is_listed(parameter, value):
            yield self._problem(path, parameter.wrong, f"it is no code of the table {parameter.table}")
        else:
            yield from self._form(message, parameter, value, path)

    def _is_listed(self, parameter: Parameter, value: str) -> bool:
        table = self._tables[parameter.table or ""]
        return value in table or (parameter.named and value in table.names.values())

    def _is_required(self, message: Message, parameter: Parameter) -> bool:
        if self._profile not in parameter.profiles:
            return False
        if parameter.when is None:
            return parameter.required
        return getattr(message, parameter.when.field) in parameter.when.values

    def _form(self, message: Message, parameter: Parameter, value: str, path: str) -> Iterator[Problem]:
        match parameter.form:
            case Form.DATE if not _is_moment(_DATE, value):
                yield self._problem(path, parameter.wrong, "yyyy-MM-dd")
            case Form.MOMENT if not _is_moment(_MOMENT, value):
                yield self._problem(path, parameter.wrong, "yyyy-MM-dd HH:mm:ss")
            case Form.ID_NUMBER if parameter.of is not None:
                if getattr(message, parameter.of) == id_numbers.RESIDENT_ID:
                    if not re.fullmatch(r"\d{15}|\d{17}[\dX]", value, re.ASCII):
                        yield self._problem(path, -10026, "18 characters, or the 15 digits of former times")
                    elif not id_numbers.is_resident_id(value):
                        yield self._problem(path, NO_RESIDENT_ID, "birth date or check digit")
            case Form.LINK if not _is_link(value):
                yield self._problem(path, parameter.wrong, "an absolute URL, https://...")
            case Form.BASE64 if not _is_base64(value):
                yield self._problem(path, parameter.wrong, "Base64 without data:image/...;base64,")


def _is_moment(form: re.Pattern[str], value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return form.fullmatch(value) is not None


def _is_link(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and value.isascii() and " " not in value
    except ValueError:
        return False


def _is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return False
