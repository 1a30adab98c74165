"""Retries by meaning: what somebody must mend fails at once, what heals by itself is tried again."""

from __future__ import annotations

from typing import Final

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from card_usage.errors import (
    CodeTableError,
    GateStopped,
    LedgerBehind,
    LedgerUnreachable,
    Misconfigured,
    PlatformUnreachable,
    SettingsError,
    SourceDrift,
    SourceInterrupted,
    SourceUnreachable,
    TokenContested,
    WrongKey,
)

from card_usage_airflow.verbs import StillOpen

NEEDS_SOMEBODY: Final = (
    SettingsError,
    CodeTableError,
    SourceDrift,
    LedgerBehind,
    WrongKey,
    Misconfigured,
    GateStopped,
)
HEALS_BY_ITSELF: Final = (
    SourceUnreachable,
    SourceInterrupted,
    LedgerUnreachable,
    PlatformUnreachable,
    TokenContested,
    StillOpen,
)

# Anything else is not foreseen: the default, which tries again and so rides out what we did not think of.
RETRY_BY_MEANING: Final = ExceptionRetryPolicy(
    rules=[
        RetryRule(list(NEEDS_SOMEBODY), RetryAction.FAIL, reason="a retry cannot mend this; somebody must, see above"),
        RetryRule(list(HEALS_BY_ITSELF), RetryAction.RETRY, reason="tried again later; nothing is lost or sent twice"),
    ]
)
