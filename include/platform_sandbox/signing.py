"""Signature of a call, document 3.1.3, as the platform computes it to compare with the caller's."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Final

Json = Mapping[str, object]

canonical: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def source(common: Json, req: Json) -> str:
    """The text that is signed: sorted `k=v` joined by `&`, without `sign` and empty values (3.1.3.1, 3.1.3.2).

    On a key present in both, req wins. Numbers, booleans and nested values stand as compact JSON with sorted keys.
    """
    merged = {**common, **req}
    merged.pop("sign", None)
    return "&".join(
        [
            f"{name}={value if type(value) is str else canonical(value)}"
            for name, value in sorted(merged.items())
            if value is not None and value != ""
        ]
    )


def signature(common: Json, req: Json, secret: str) -> str:
    """Base64 of SHA-256 over source and secret, 44 characters (3.1.3.3).

    Raises UnicodeEncodeError if a value holds half a surrogate pair, which UTF-8 cannot carry.
    """
    return base64.b64encode(hashlib.sha256((source(common, req) + secret).encode()).digest()).decode()
