"""Signature (签名, document 3.1.3): what proves to the platform that a request is ours."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

Scalar = str | int | float | bool


def signature(common: Mapping[str, Any], req: Mapping[str, Any], secret: str) -> str:
    """Base64 of SHA-256 over the signed text and the secret (document 3.1.3). 44 characters."""
    return digest(signed_text(common, req), secret)


def digest(text: str, secret: str) -> str:
    """Base64 of SHA-256 over text and secret (3.1.3.3)."""
    return base64.b64encode(hashlib.sha256((text + secret).encode()).digest()).decode()


def signed_text(common: Mapping[str, Any], req: Mapping[str, Any]) -> str:
    """The sorted `k=v` pairs of both parts (签名原文, 3.1.3.2), without the secret.

    `req` wins where both have a key; `sign`, null and "" take no part, zero does; nested values are compact JSON with
    sorted keys.
    """
    merged = {**common, **req}
    pairs = [
        f"{key}={value if isinstance(value, str) else _text(value)}"
        for key, value in sorted(merged.items())
        if value is not None and value != "" and key != "sign"
    ]
    return "&".join(pairs)


def _text(value: Scalar | Mapping[str, Any] | list[Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
