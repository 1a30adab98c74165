"""Wire requests: a typed request from the document's own JSON, for whoever writes it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, cast

from card_usage.errors import RequestRefused
from card_usage.interfaces.declaration import Form, Interface, Message, Request, parameters


def request_from_wire(interface: Interface, req: Mapping[str, Any]) -> Request[Any]:
    """The interface's request. Raises RequestRefused for a parameter that it does not have, never quoting a value.

    An absent parameter is "", and validation tells about it.
    """
    strange = [*_strange(interface.request, req, "")]
    if strange:
        known = ", ".join(each.name for each in parameters(interface.request).values())
        problem = f"no parameters of document {interface.section}: {', '.join(strange[:5])}; there are {known}"
        raise RequestRefused(interface=interface.name, count=len(strange), problems=problem)
    return cast(Request[Any], _message(interface.request, req))


def _strange(kind: type[Message], req: Mapping[str, Any], path: str) -> list[str]:
    known = {each.name: each for each in parameters(kind).values()}
    found = [path + str(name) for name in req if name not in known]
    for name, parameter in known.items():
        if parameter.form is Form.LIST and parameter.message is not None:
            items = req.get(name)
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                found.append(f"{path}{name} (it is a list of objects)")
            else:
                for at, item in enumerate(items):
                    found += _strange(parameter.message, item, f"{path}{name}[{at}].")
    return found


def _message(kind: type[Message], req: Mapping[str, Any]) -> Message:
    defaults = {each.name: each.default for each in fields(cast(Any, kind))}
    values: dict[str, Any] = {}
    for attribute, parameter in parameters(kind).items():
        value = req.get(parameter.name)
        if parameter.form is Form.LIST and parameter.message is not None:
            values[attribute] = tuple(_message(parameter.message, item) for item in value or ())
        elif value is None:
            values[attribute] = "" if defaults[attribute] is MISSING else defaults[attribute]
        else:
            values[attribute] = value
    return kind(**values)
