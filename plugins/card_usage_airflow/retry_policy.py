"""Retries by meaning: what somebody must mend fails at once, what heals by itself is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from card_usage.errors import (
    ChannelRefused,
    CheckBroken,
    CodeTableError,
    EvidenceBroken,
    GateStopped,
    LedgerBehind,
    LedgerError,
    Misconfigured,
    NormalizeError,
    PlatformError,
    ReplicaBusy,
    SettingsError,
    SourceDrift,
    SourceError,
    StatementError,
    WrongKey,
)

NEEDS_SOMEBODY: Final = (
    SettingsError,
    CodeTableError,
    NormalizeError,
    SourceDrift,
    StatementError,
    EvidenceBroken,
    LedgerBehind,
    WrongKey,
    Misconfigured,
    GateStopped,
)
HEALS_BY_ITSELF: Final = (SourceError, LedgerError, PlatformError, CheckBroken, ChannelRefused)
"""Of these families, whatever does not need somebody."""
BUSY_PAUSE: Final = timedelta(minutes=30)
"""Before a replica is asked again that may not be asked now: hours to avoid last longer than an outage."""

# Anything else was not foreseen: the default, which tries again and so rides out what nobody thought of.
RETRY_BY_MEANING: Final = ExceptionRetryPolicy(
    rules=[
        RetryRule(list(NEEDS_SOMEBODY), RetryAction.FAIL, reason="a retry cannot mend this; somebody must, see above"),
        RetryRule([ReplicaBusy], RetryAction.RETRY, BUSY_PAUSE, "the replica may not be asked now; tried again later"),
        RetryRule(list(HEALS_BY_ITSELF), RetryAction.RETRY, reason="tried again later; nothing is lost or sent twice"),
    ]
)
