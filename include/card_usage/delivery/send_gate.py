"""Send gate: whether a run may start a call now."""

from __future__ import annotations

from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.membership import Membership
from card_usage.delivery.stopping import StopControl


class SendGate:
    """Of one run."""

    def __init__(self, membership: Membership, stopping: StopControl, budget: CallBudget) -> None:
        self._membership, self._stopping, self._budget = membership, stopping, budget

    @property
    def is_open(self) -> bool:
        """Whether nobody may declare us dead during the call, nothing holds calls, and today's reservation is valid."""
        return self._membership.is_certain and not self._stopping.holds_calls and not self._budget.is_stale
