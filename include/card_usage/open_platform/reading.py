"""Reading: the `rsp` of an answer as its typed message.

Types are strict, and what an answer is for must be there; anything else is an answer that cannot be read. Problems name
the parameter and the kind of what came, never a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from card_usage.interfaces.declaration import Form, Message, Parameter, parameters
from card_usage.platform.reader import Unreadable, quoted, whole_number

_Kind = TypeVar("_Kind", bound=Message)


def read(kind: type[_Kind], rsp: Mapping[str, object], path: str = "rsp.") -> _Kind:
    """The message. A text that is absent or null and may be is "". Raises Unreadable."""
    values = {
        attribute: _value(parameter, rsp.get(parameter.name), path + parameter.name)
        for attribute, parameter in parameters(kind).items()
    }
    return kind(**values)


def _value(parameter: Parameter, value: object, path: str) -> Any:
    if parameter.vital and (value is None or value == ""):
        raise Unreadable(f"{path} is absent")
    match parameter.form:
        case Form.OBJECT:
            if not isinstance(value, dict) or parameter.message is None:
                raise Unreadable(f"{path} is {_kind(value)}")
            return read(parameter.message, value, f"{path}.")
        case Form.LIST:
            if not isinstance(value, list) or parameter.message is None:
                raise Unreadable(f"{path} is {_kind(value)}")
            items = []
            for at, item in enumerate(value):
                if not isinstance(item, dict):
                    raise Unreadable(f"{path}[{at}] is {_kind(item)}")
                items.append(read(parameter.message, item, f"{path}[{at}]."))
            return tuple(items)
        case Form.TRUTH:
            if not isinstance(value, bool):
                raise Unreadable(f"{path} is {_kind(value)}")
            return value
        case Form.NUMBER:
            number = whole_number(value)
            if number is None:
                raise Unreadable(f"{path} is {_kind(value)}")
            return number
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{path} is {_kind(value)}")
    if not value.isprintable():
        raise Unreadable(f"{path} has a bad character")
    return value


def _kind(value: object) -> str:
    """A text is never quoted here: it may be about a patient."""
    return f"a text of {len(value)} characters" if isinstance(value, str) else quoted(value)
