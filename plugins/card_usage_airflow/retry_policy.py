"""Retry policy: errors that need a person fail at once, errors that pass by themselves are retried."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from card_usage.errors import (
    ChannelRefused,
    CheckBroken,
    CodeTableError,
    DayKeysLost,
    DecisionStands,
    DeliveryInterrupted,
    EvidenceBroken,
    GateStopped,
    LedgerAltered,
    LedgerBehind,
    LedgerError,
    LedgerReplaced,
    Misconfigured,
    NormalizeError,
    PackUnusable,
    PatientListUnusable,
    PlatformError,
    QuestionRefused,
    RedirectRefused,
    ReplicaBusy,
    RequestRefused,
    SettingsError,
    SourceDrift,
    SourceError,
    StatementError,
    Unforeseen,
    UpgradeUnderWay,
    WarehouseUnreadable,
    WorkbookUnreadable,
    WrongKey,
)

NEEDS_SOMEBODY: Final = (
    SettingsError,
    CodeTableError,
    NormalizeError,
    SourceDrift,
    StatementError,
    WorkbookUnreadable,
    DecisionStands,
    EvidenceBroken,
    PackUnusable,
    PatientListUnusable,
    LedgerAltered,
    LedgerBehind,
    LedgerReplaced,
    DayKeysLost,
    WrongKey,
    Misconfigured,
    RequestRefused,
    RedirectRefused,
    GateStopped,
    QuestionRefused,
    WarehouseUnreadable,
)
HEALS_BY_ITSELF: Final = (
    SourceError,
    LedgerError,
    PlatformError,
    DeliveryInterrupted,
    UpgradeUnderWay,
    CheckBroken,
    ChannelRefused,
    Unforeseen,
)
"""Families of errors that are retried, except those of NEEDS_SOMEBODY."""
BUSY_PAUSE: Final = timedelta(minutes=30)
"""Delay before a replica is queried again that no query is allowed on now: hours to avoid last longer than outages."""

# Any other error was not foreseen: Airflow's default applies, which retries.
RETRY_BY_MEANING: Final = ExceptionRetryPolicy(
    rules=[
        RetryRule(list(NEEDS_SOMEBODY), RetryAction.FAIL, reason="a retry cannot mend this; somebody must, see above"),
        RetryRule([ReplicaBusy], RetryAction.RETRY, BUSY_PAUSE, "the replica may not be asked now; tried again later"),
        RetryRule(list(HEALS_BY_ITSELF), RetryAction.RETRY, reason="tried again later; nothing is lost or sent twice"),
    ]
)
