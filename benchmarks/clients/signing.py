"""A signed body under a fresh request id, for the clients that are measured beside ours."""

from __future__ import annotations

import json
import time
import uuid

from card_usage.platform.signature import signature

HOSPITAL_ID = "10086"


def signed(req: dict[str, str], token: str, secret: str) -> bytes:
    """The body of one call under a fresh request id."""
    common = {
        "appToken": token,
        "requestId": uuid.uuid4().hex.upper(),
        "hospitalId": HOSPITAL_ID,
        "timestamp": str(int(time.time())),
    }
    common["sign"] = signature(common, req, secret)
    return json.dumps({"commonIn": common, "req": req}, ensure_ascii=False, separators=(",", ":")).encode()
