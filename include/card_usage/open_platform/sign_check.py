"""Sign check: why a signature was refused (21006), by the text that was signed and the mistakes that are often made.

Given a whole call with its `sign`, each known mistake is tried; the one that gives this very signature is what the
other program did.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from card_usage.platform.signature import digest, signed_text

Part = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """`text`: what is signed, without the secret; `sign`: the right signature; `given`: the one in the call, if any;
    `mistake`: which mistake gives that one, "" if it is right or nothing known gives it."""

    text: str
    sign: str
    given: str
    mistake: str

    @property
    def is_right(self) -> bool:
        """Whether the call's own signature is right; True where it has none."""
        return self.given in {"", self.sign}


def explain(common: Part, req: Part, secret: str) -> Explained:
    """The right signature of a call, and what is wrong with the one that it has."""
    given = common.get("sign")
    given = given if isinstance(given, str) else ""
    text = signed_text(common, req)
    sign = digest(text, secret)
    mistake = ""
    if given and given != sign:
        mistake = next((name for name, found in _mistakes(common, req, secret) if found == given), "")
    return Explained(text=text, sign=sign, given=given, mistake=mistake)


def _mistakes(common: Part, req: Part, secret: str) -> Iterator[tuple[str, str]]:
    """Each mistake and the signature that it gives; names are keys of the catalogue."""
    merged = {**common, **req}
    merged.pop("sign", None)
    text = signed_text(common, req)
    yield "no_secret", digest(text, "")
    yield "secret_joined", digest(text, f"&{secret}")
    yield "secret_first", digest(secret + text, "")
    yield "spaces_in_secret", digest(text, f"{secret} ")
    yield "newline_after_secret", digest(text, f"{secret}\n")
    yield "hex", hashlib.sha256((text + secret).encode()).hexdigest()
    yield "hex", hashlib.sha256((text + secret).encode()).hexdigest().upper()
    yield "hex_in_base64", base64.b64encode(hashlib.sha256((text + secret).encode()).hexdigest().encode()).decode()
    yield "trailing_ampersand", digest(f"{text}&", secret)
    yield "without_req", digest(signed_text(common, {}), secret)
    yield "without_common", digest(signed_text({}, req), secret)
    yield "without_token", digest(signed_text({**common, "appToken": ""}, req), secret)
    yield "with_sign", digest(_joined({**merged, "sign": common.get("sign", "")}, _text), secret)
    yield "empty_signed", digest(_joined(merged, _text, empty=True), secret)
    yield "unsorted", digest("&".join(_pairs(merged, _text)), secret)
    yield "sorted_without_case", digest("&".join(sorted(_pairs(merged, _text), key=str.lower)), secret)
    yield "nested_unsorted", digest(_joined(merged, _as_added), secret)
    yield "nested_with_spaces", digest(_joined(merged, _with_spaces), secret)
    yield "nested_escaped", digest(_joined(merged, _escaped), secret)
    yield "csharp_booleans", digest(_joined(merged, _capital), secret)
    yield "encoded", digest(_joined(merged, lambda value: quote(_text(value), safe="")), secret)
    yield "gbk", _gbk(text + secret)


def _pairs(merged: Part, form: Callable[[Any], str], *, empty: bool = False) -> list[str]:
    shown = {name: "" if value is None else value for name, value in merged.items()}
    return [f"{name}={form(value)}" for name, value in shown.items() if empty or value != ""]


def _joined(merged: Part, form: Callable[[Any], str], *, empty: bool = False) -> str:
    return "&".join(_pairs(dict(sorted(merged.items())), form, empty=empty))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=_TIGHT, sort_keys=True)


def _as_added(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=_TIGHT)


def _with_spaces(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _escaped(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=_TIGHT, sort_keys=True)


def _capital(value: Any) -> str:
    return str(value) if isinstance(value, bool) else _text(value)


def _gbk(whole: str) -> str:
    return base64.b64encode(hashlib.sha256(whole.encode("gbk", errors="replace")).digest()).decode()


_TIGHT: Final = (",", ":")
