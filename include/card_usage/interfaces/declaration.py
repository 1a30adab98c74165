"""Declaration: how an interface and its messages are declared, and what is derived from a message's fields.

A message is a frozen dataclass whose fields are made by `wire`: the Python name in snake case gives the parameter's
name in the document (`qr_code_text` is qrCodeText), the arguments what the document says about it. Fields that say who
the patient is never show in a repr.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar, cast, dataclass_transform

PARAMETER: Final = "parameter"
"""Key of a field's metadata."""

BAD_PARAMETER: Final = 10042
"""参数错误: what is said of a field for which the document has no code of its own."""
NO_DATE: Final = 10051
"""日期格式错误."""


class Form(StrEnum):
    """What a value must look like."""

    TEXT = "text"
    DATE = "date"  # yyyy-MM-dd
    MOMENT = "moment"  # yyyy-MM-dd HH:mm:ss
    ID_NUMBER = "id_number"  # of the document that the field `of` names: a resident ID is checked
    LINK = "link"  # an absolute URL
    BASE64 = "base64"
    NUMBER = "number"
    TRUTH = "truth"
    OBJECT = "object"  # one message
    LIST = "list"  # several messages


class Condition(NamedTuple):
    """Met where `field` holds one of `values`; an absent field meets nothing."""

    field: str
    values: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What the document says about one parameter.

    `zh`: its name there. `required`: always, or only `when` the condition is met. `missing`: the result code (3.2.12)
    of a required one that is absent. `wrong`: that of a value that is not as demanded. `table`: its code table;
    `named`: a name in it will do. `values`: all that it may be. `limit`: longest text in characters; the document sets
    none, so it is ours. `message`: the kind of an object's or list's elements. `profiles`: editions of the document
    that have it. `vital`: an answer without it cannot be used.
    """

    attribute: str = ""
    name: str
    zh: str
    form: Form
    required: bool
    when: Condition | None
    missing: int
    wrong: int
    table: str | None
    named: bool
    values: tuple[str, ...]
    limit: int | None
    patient: bool
    of: str | None
    message: type[Message] | None
    profiles: tuple[str, ...]
    vital: bool
    note: str


PROFILES: Final = ("v2.1", "current")


def wire(
    zh: str,
    *,
    default: Any = MISSING,
    name: str = "",
    form: Form = Form.TEXT,
    when: Condition | None = None,
    missing: int = BAD_PARAMETER,
    wrong: int | None = None,
    table: str | None = None,
    named: bool = False,
    values: tuple[str, ...] = (),
    limit: int | None = None,
    patient: bool = False,
    of: str | None = None,
    message: type[Message] | None = None,
    profiles: tuple[str, ...] = PROFILES,
    vital: bool = False,
    note: str = "",
) -> Any:
    """A field of a message: see Parameter. One with a `default` may be left out, one with `when` only elsewhere."""
    if wrong is None:
        wrong = NO_DATE if form in {Form.DATE, Form.MOMENT} else BAD_PARAMETER
    parameter = Parameter(
        name=name,
        zh=zh,
        form=form,
        required=default is MISSING,
        when=when,
        missing=missing,
        wrong=wrong,
        table=table,
        named=named,
        values=values,
        limit=limit,
        patient=patient,
        of=of,
        message=message,
        profiles=profiles,
        vital=vital,
        note=note,
    )
    return dataclasses.field(default=default, repr=not patient, metadata={PARAMETER: parameter})


class Message:
    """A request, an answer, or a part of one."""

    __slots__ = ()

    def to_wire(self) -> dict[str, Any]:
        """By the document's names and in its order; what is absent is left out, so that it cannot disturb a signature.

        A required text that is empty is sent: the platform is to say so.
        """
        sent: dict[str, Any] = {}
        for parameter in parameters(type(self)).values():
            value = getattr(self, parameter.attribute)
            if parameter.form is Form.LIST:
                sent[parameter.name] = [item.to_wire() for item in value]
            elif parameter.form is Form.OBJECT:
                sent[parameter.name] = value.to_wire()
            elif parameter.required or (value is not None and value != ""):
                sent[parameter.name] = value
        return sent


Answered = TypeVar("Answered", bound=Message, covariant=True)
_Kind = TypeVar("_Kind", bound=type[Message])


class Request(Message, Generic[Answered]):
    """The `req` of an interface; `interface` names it, and `Answered` is its `rsp`."""

    __slots__ = ()
    interface: ClassVar[str]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(wire,))
def message(kind: _Kind) -> _Kind:
    """Make a message of a class whose fields are made by `wire`."""
    return cast(_Kind, dataclass(frozen=True, kw_only=True)(kind))


_PARAMETERS: Final[dict[type[Message], Mapping[str, Parameter]]] = {}  # found once for each kind


def parameters(kind: type[Message]) -> Mapping[str, Parameter]:
    """A message's parameters by Python name, in the document's order."""
    found = _PARAMETERS.get(kind)
    if found is None:
        declared = {}
        for each in dataclasses.fields(cast(Any, kind)):
            parameter: Parameter = each.metadata[PARAMETER]
            name = parameter.name or wire_name(each.name)
            declared[each.name] = dataclasses.replace(parameter, attribute=each.name, name=name)
        found = _PARAMETERS[kind] = MappingProxyType(declared)
    return found


def wire_name(attribute: str) -> str:
    """`qr_code_text` -> `qrCodeText`."""
    first, *others = attribute.split("_")
    return first + "".join(other.capitalize() for other in others)


class Repetition(StrEnum):
    """What to do when no answer came, so that nobody knows whether the call was carried out.

    Under the same requestId it is always safe: the platform carries out a call once and then answers 10054. What was
    answered the first time is lost with it.
    """

    NEW_ID = "new_id"  # call again under a new requestId: it reads, or leads to the same state
    NEW_CODE = "new_code"  # the same, with a new one-time code if the platform says that the old one was spent
    SAME_ID = "same_id"  # only under the same requestId: under another it counts twice


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """One interface of 3.2.

    `flows`: those of docs/flows.md that call it. `own_codes`: result codes of 3.2.12 that not every interface can give.
    `counted`: calls count against the daily quota of a hospital that is not live (3.1.1). `notes`: where the document
    contradicts itself or is silent, and how it is read here; in Chinese and English.
    """

    name: str
    zh: str
    section: str
    path: str
    flows: tuple[str, ...]
    request: type[Request[Any]]
    response: type[Message]
    own_codes: tuple[int, ...]
    repetition: Repetition
    counted: bool = True
    notes: tuple[tuple[str, str], ...] = ()
