"""What a test needs and a machine may lack."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

Programs = TypeVar("Programs")


def needed(server: str, programs: Programs | None) -> Programs:
    """A server's programs. Where they are not installed: CI must have them, elsewhere what needs them is passed over,
    aloud."""
    if programs is not None:
        return programs
    reason = f"NO {server.upper()}: its server programs are not installed, so nothing was tested; run: make services"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
