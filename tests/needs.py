"""What a test needs and a machine may lack."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(server: str) -> NoReturn:
    """Its programs are not installed: CI must have them, elsewhere what needs them is passed over, aloud."""
    reason = f"NO {server.upper()}: its server programs are not installed, so nothing was tested; run: make services"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
